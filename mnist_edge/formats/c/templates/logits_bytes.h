void net_logits(
    net_workspace *workspace, const uint8_t pixels[NET_PIXELS], float logits[NET_LABELS])
{
    int32_t i;
@layers@
}

void net_logits_of_floats(
    net_workspace *workspace, const float values[NET_PIXELS], float logits[NET_LABELS])
{
    NET_EXACT
    uint8_t pixels[NET_PIXELS];
    int32_t i;
    for (i = 0; i < NET_PIXELS; ++i) {
        float scaled = values[i] * @steps@f;
        int32_t whole;
        scaled = scaled >= 0 ? scaled : 0; /* NaN too */
        scaled = scaled <= 255.0f ? scaled : 255.0f;
        whole = (int32_t)scaled;
        pixels[i] = (uint8_t)(whole + (scaled - (float)whole >= 0.5f));
    }
    net_logits(workspace, pixels, logits);
}
