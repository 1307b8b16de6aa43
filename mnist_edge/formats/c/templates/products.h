typedef @value@ net_value;
typedef @weight@ net_weight;
typedef @sum@ net_sum;

/* Where a layer looks, in values. */
typedef struct {
    int32_t height, width, channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_down, stride_right;
    int32_t dilation_down, dilation_right;
    int32_t above, left; /* what the first window covers outside of the input */
    int32_t output_height, output_width, outputs;
    int32_t groups;
} net_window;

typedef struct {
    net_window window;
    const net_weight *weights; /* for each input of a window a row with the weight to each output */
    const net_sum *bias;
@fields@} net_layer;

/* Up to four inputs that are not zero, with their rows of weights. */
typedef struct {
    net_sum *sums;
    int32_t outputs;
    int32_t count;
    net_sum input[4];
    const net_weight *row[4];
} net_products;

static void net_add_four(const net_products *products)
{
    NET_EXACT
    const net_sum a = products->input[0], b = products->input[1];
    const net_sum c = products->input[2], d = products->input[3];
    const net_weight *const p = products->row[0], *const q = products->row[1];
    const net_weight *const r = products->row[2], *const s = products->row[3];
    net_sum *const sums = products->sums;
    const int32_t outputs = products->outputs;
    int32_t i;
    for (i = 0; i < outputs; ++i) {
        net_sum sum = sums[i];
        sum += a * p[i];
        sum += b * q[i];
        sum += c * r[i];
        sum += d * s[i];
        sums[i] = sum;
    }
}

static void net_add_rest(const net_products *products)
{
    NET_EXACT
    int32_t k, i;
    for (k = 0; k < products->count; ++k) {
        const net_sum a = products->input[k];
        const net_weight *const p = products->row[k];
        for (i = 0; i < products->outputs; ++i) {
            products->sums[i] += a * p[i];
        }
    }
}

/* Zeros, most of the values, cost next to nothing. */
static void net_gather(
    net_products *products, const net_value *input, int32_t inputs, const net_weight *weights@flip_parameter@)
{
    const net_value *const end = input + inputs;
    const int32_t outputs = products->outputs;
    int32_t count = products->count;
    for (; input != end; ++input, weights += outputs) {
        if (*input == 0) {
            continue;
        }
        products->input[count] = @loaded@;
        products->row[count] = weights;
        if (++count == 4) {
            net_add_four(products);
            count = 0;
        }
    }
    products->count = count;
}

/* The sums of one window, for all outputs. */
static void net_sum_window(
    const net_layer *layer, const net_value *input, int32_t row, int32_t column, net_sum *sums)
{
    const net_window *const w = &layer->window;
    const int32_t inputs = w->channels / w->groups, outputs = w->outputs / w->groups;
    const int32_t top = row * w->stride_down - w->above, left = column * w->stride_right - w->left;
    const net_weight *weights = layer->weights;
    int32_t i, group, down, right;
    for (i = 0; i < w->outputs; ++i) {
        sums[i] = layer->bias[i];
    }
    for (group = 0; group < w->groups; ++group) {
        net_products products;
        products.sums = sums + group * outputs;
        products.outputs = outputs;
        products.count = 0;
        for (down = 0; down < w->kernel_height; ++down) {
            const int32_t y = top + down * w->dilation_down;
            for (right = 0; right < w->kernel_width; ++right, weights += inputs * outputs) {
                const int32_t x = left + right * w->dilation_right;
                if (y >= 0 && y < w->height && x >= 0 && x < w->width) {
                    const net_value *const seen = input + (y * w->width + x) * w->channels + group * inputs;
                    net_gather(&products, seen, inputs, weights@flip_argument@);
                }
            }
        }
        net_add_rest(&products);
    }
}
