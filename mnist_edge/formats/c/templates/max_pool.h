static void net_max_pool(const net_layer *layer, const net_value *input, net_value *output)
{
    const net_window *const w = &layer->window;
    int32_t row, column, channel, down, right;
    for (row = 0; row < w->output_height; ++row) {
        for (column = 0; column < w->output_width; ++column) {
            for (channel = 0; channel < w->channels; ++channel) {
                net_sum largest = 0;
                int32_t found = 0;
                for (down = 0; down < w->kernel_height; ++down) {
                    const int32_t y = row * w->stride_down - w->above + down * w->dilation_down;
                    for (right = 0; right < w->kernel_width; ++right) {
                        const int32_t x = column * w->stride_right - w->left + right * w->dilation_right;
                        if (y >= 0 && y < w->height && x >= 0 && x < w->width) {
                            const net_value seen = input[(y * w->width + x) * w->channels + channel];
                            const net_sum value = @seen@;
                            if (!found || value > largest@or_nan@) {
                                largest = value;
                                found = 1;
                            }
                        }
                    }
                }
                *output++ = (net_value)largest;
            }
        }
    }
}
