static void net_run(const net_layer *layer, const float *input, float *output, float *sums)
{
    const net_window *const w = &layer->window;
    int32_t row, column, i;
    for (row = 0; row < w->output_height; ++row) {
        for (column = 0; column < w->output_width; ++column) {
            net_sum_window(layer, input, row, column, sums);
            for (i = 0; i < w->outputs; ++i) {
                *output++ = sums[i] < 0 && layer->relu ? 0 : sums[i];
            }
        }
    }
}
