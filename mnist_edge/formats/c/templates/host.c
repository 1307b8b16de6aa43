#define NET_IMPLEMENTATION
#define NET_SELF_TEST
#include "net.h"

#include <stddef.h>

size_t host_workspace(void)
{
    return sizeof(net_workspace);
}

void host_logits(void *workspace, const uint8_t *pixels, float *logits, size_t images)
{
    size_t i;
    for (i = 0; i < images; ++i) {
        net_logits((net_workspace *)workspace, pixels + i * NET_PIXELS, logits + i * NET_LABELS);
    }
}

void host_logits_of_floats(void *workspace, const float *values, float *logits, size_t images)
{
    size_t i;
    for (i = 0; i < images; ++i) {
        net_logits_of_floats((net_workspace *)workspace, values + i * NET_PIXELS, logits + i * NET_LABELS);
    }
}

void host_judge(const float *logits, net_answer *answers, size_t images)
{
    size_t i;
    for (i = 0; i < images; ++i) {
        answers[i] = net_judge(logits + i * NET_LABELS);
    }
}

int32_t host_self_test(void *workspace)
{
    return net_self_test((net_workspace *)workspace);
}
