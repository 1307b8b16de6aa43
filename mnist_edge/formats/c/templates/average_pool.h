static void net_average_pool(const net_layer *layer, const net_value *input, net_value *output)
{
    NET_EXACT
    const net_window *const w = &layer->window;
    int32_t row, column, channel, down, right;
    for (row = 0; row < w->output_height; ++row) {
        for (column = 0; column < w->output_width; ++column) {
            for (channel = 0; channel < w->channels; ++channel) {
                net_sum sum = 0;
                int32_t count = 0;
                for (down = 0; down < w->kernel_height; ++down) {
                    const int32_t y = row * w->stride_down - w->above + down;
                    for (right = 0; right < w->kernel_width; ++right) {
                        const int32_t x = column * w->stride_right - w->left + right;
                        if (y >= 0 && y < w->height && x >= 0 && x < w->width) {
                            const net_value seen = input[(y * w->width + x) * w->channels + channel];
                            sum += @seen@;
                            ++count;
                        } else if (layer->counts_padding) {
                            ++count;
                        }
                    }
                }
@average@                *output++ = sum < 0 && layer->relu ? (net_value)0 : (net_value)sum;
            }
        }
    }
}
