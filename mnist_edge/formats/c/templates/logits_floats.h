static void net_layers(net_workspace *workspace, float logits[NET_LABELS])
{
    int32_t i;
@layers@
}

void net_logits(
    net_workspace *workspace, const uint8_t pixels[NET_PIXELS], float logits[NET_LABELS])
{
    int32_t i;
    for (i = 0; i < NET_PIXELS; ++i) {
        workspace->odd[i] = (float)pixels[i] / @steps@f;
    }
    net_layers(workspace, logits);
}

void net_logits_of_floats(
    net_workspace *workspace, const float values[NET_PIXELS], float logits[NET_LABELS])
{
    int32_t i;
    for (i = 0; i < NET_PIXELS; ++i) {
        workspace->odd[i] = values[i];
    }
    net_layers(workspace, logits);
}
