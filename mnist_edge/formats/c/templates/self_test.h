#ifdef NET_SELF_TEST
/* The pixels of all test vectors; a 0 is followed by how many there are of them. */
@packed@

static const float net_expected[NET_TEST_VECTORS][NET_LABELS] = {
@expected@
};

int32_t net_self_test(net_workspace *workspace)
{
    uint8_t pixels[NET_PIXELS];
    float logits[NET_LABELS];
    const uint8_t *packed = net_packed;
    int32_t vector, i, zeros = 0, failed = 0;
    for (vector = 0; vector < NET_TEST_VECTORS; ++vector) {
        int32_t wrong = 0;
        for (i = 0; i < NET_PIXELS; ++i) {
            pixels[i] = 0;
            if (zeros > 0) {
                --zeros;
            } else if (*packed != 0) {
                pixels[i] = *packed++;
            } else {
                zeros = packed[1] - 1;
                packed += 2;
            }
        }
        net_logits(workspace, pixels, logits);
        for (i = 0; i < NET_LABELS; ++i) {
            wrong |= !(logits[i] == net_expected[vector][i]);
        }
        failed += wrong;
    }
    return failed;
}
#endif /* NET_SELF_TEST */
