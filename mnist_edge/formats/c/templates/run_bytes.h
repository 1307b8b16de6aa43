/* A sum in the steps of the layer's output. */
static uint8_t net_to_byte(const net_layer *layer, int32_t sum, uint32_t multiplier)
{
    const uint32_t largest = layer->relu ? 255 : 127;
    const uint32_t magnitude = sum < 0 ? (uint32_t)0 - (uint32_t)sum : (uint32_t)sum;
    uint32_t steps;
    if (sum < 0 && layer->relu) {
        return 0;
    }
    steps = (uint32_t)(((uint64_t)magnitude * multiplier) >> 32);
    steps = (steps + ((uint32_t)1 << (layer->shift - 1))) >> layer->shift;
    steps = steps > largest ? largest : steps;
    return (uint8_t)(sum < 0 ? 256 - steps : steps);
}

static void net_run(const net_layer *layer, const uint8_t *input, uint8_t *output, int32_t *sums)
{
    const net_window *const w = &layer->window;
    int32_t row, column, i;
    for (row = 0; row < w->output_height; ++row) {
        for (column = 0; column < w->output_width; ++column) {
            net_sum_window(layer, input, row, column, sums);
            for (i = 0; i < w->outputs; ++i) {
                *output++ = net_to_byte(layer, sums[i], layer->multipliers[i]);
            }
        }
    }
}
