#ifndef NET_H
#define NET_H
#define NET_MODEL_@model@

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NET_PIXELS @pixels@
#define NET_LABELS @labels@
#define NET_CHECKSUM "@checksum@"

/* What is between the layers. Its content means nothing between two calls; one is needed for each thread. */
typedef struct {
    @sum@ sums[@sums@];
    @value@ even[@even@];
    @value@ odd[@odd@];
} net_workspace;

typedef struct {
    int32_t label;    /* index into net_names, and into the logits */
    float confidence; /* probability of the label, from 0 to 1 */
    float energy;     /* how much the image is like those that were learned from; see docs/training.md of mnist-edge */
    float margin;     /* by how much the best label is ahead of the second */
    int32_t certain;  /* 1 where energy and margin reach their thresholds, else 0: do not rely on the label. Whether
                         there is anything in the image is for its preprocessing to say: black may look like a thin 1 */
} net_answer;

/* The names of the labels, in UTF-8. */
extern const char *const net_names[NET_LABELS];

/* An image, as bytes from black (0) to white (255), @polarity@, row by row@interleaved@ -> its logits. */
void net_logits(
    net_workspace *workspace, const uint8_t pixels[NET_PIXELS], float logits[NET_LABELS]);

/* The same for values from 0 to @high@@rounding@. */
void net_logits_of_floats(
    net_workspace *workspace, const float values[NET_PIXELS], float logits[NET_LABELS]);

/* The logits of an image -> label, confidence, and whether to rely on them. */
net_answer net_judge(const float logits[NET_LABELS]);

/* An image -> label, confidence, and whether to rely on them. */
net_answer net_classify(net_workspace *workspace, const uint8_t pixels[NET_PIXELS]);

#define NET_TEST_VECTORS @vectors@
/*
 * How many of the test vectors give other logits here than they must, in any bit: 0 where all is well. It is there if
 * NET_SELF_TEST is defined where the implementation is.
 */
int32_t net_self_test(net_workspace *workspace);

#ifdef __cplusplus
}
#endif

#elif !defined(NET_MODEL_@model@)
#error "NET_H is of another model's header: export one of the two with another name of its task or network"
#endif /* NET_H */
