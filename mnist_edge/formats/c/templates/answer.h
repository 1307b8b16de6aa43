/* exp(x) for x up to 0, within 2e-7 of it; Cephes' expf with the power of two by multiplications. */
static float net_exp(float x)
{
    NET_EXACT
    int32_t n;
    float power, result, count;
    if (!(x > -87.0f)) {
        return 0.0f;
    }
    n = (int32_t)(x * 1.44269504f - 0.5f);
    count = (float)n;
    x = x - count * 0.693359375f;
    x = x - count * -2.12194440e-4f;
    result = 1.9875691500e-4f;
    result = result * x + 1.3981999507e-3f;
    result = result * x + 8.3334519073e-3f;
    result = result * x + 4.1665795894e-2f;
    result = result * x + 1.6666665459e-1f;
    result = result * x + 5.0000001201e-1f;
    result = result * x * x + x + 1.0f;
    for (power = 0.5f; n < 0; n = -(-n / 2), power = power * power) {
        if (n % 2 != 0) {
            result = result * power;
        }
    }
    return result;
}

/* log(x) for x of 1 or more, by the series of the area tangent. */
static float net_log(float x)
{
    NET_EXACT
    float result = 0.0f, z, square, series;
    while (x > 1.5f) {
        x = x * 0.5f;
        result = result + 0.693147181f;
    }
    z = (x - 1.0f) / (x + 1.0f);
    square = z * z;
    series = 0.142857143f + square * 0.111111111f;
    series = 0.2f + square * series;
    series = 0.333333333f + square * series;
    return result + 2.0f * z * (1.0f + square * series);
}

net_answer net_judge(const float logits[NET_LABELS])
{
    NET_EXACT
    net_answer answer;
    float total = 0.0f, best = logits[0], second = -FLT_MAX;
    int32_t i, finite = 1;
    answer.label = 0;
    for (i = 0; i < NET_LABELS; ++i) {
        if (!(logits[i] >= -FLT_MAX && logits[i] <= FLT_MAX)) {
            finite = 0;
        }
        if (i > 0 && logits[i] > best) {
            second = best;
            best = logits[i];
            answer.label = i;
        } else if (i > 0 && logits[i] > second) {
            second = logits[i];
        }
    }
    for (i = 0; i < NET_LABELS; ++i) {
        total = total + net_exp((logits[i] - best) / @temperature@f);
    }
    answer.confidence = finite ? 1.0f / total : 0.0f;
    answer.energy = finite ? best / @temperature@f + net_log(total) : 0.0f;
    answer.margin = finite ? (best - second) / @temperature@f : 0.0f;
    answer.certain = finite && answer.energy >= @energy@f && answer.margin >= @margin@f;
    return answer;
}

net_answer net_classify(net_workspace *workspace, const uint8_t pixels[NET_PIXELS])
{
    float logits[NET_LABELS];
    net_logits(workspace, pixels, logits);
    return net_judge(logits);
}
