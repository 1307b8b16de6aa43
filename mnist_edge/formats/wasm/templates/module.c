/* What JavaScript and Python call: a network and, where there is one in C, its preprocessing. */

#define NET_IMPLEMENTATION
#define NET_SELF_TEST
#include "net.h"

#include <stddef.h>

#define EXPORT(name) __attribute__((export_name(#name)))

static net_workspace workspace;
static uint8_t image[NET_PIXELS];
static float values[NET_PIXELS];
static float logits[NET_LABELS];
static net_answer answer;

EXPORT(image) uint8_t *image_address(void);
uint8_t *image_address(void) { return image; }

EXPORT(values) float *values_address(void);
float *values_address(void) { return values; }

EXPORT(logits) float *logits_address(void);
float *logits_address(void) { return logits; }

EXPORT(answer) net_answer *answer_address(void);
net_answer *answer_address(void) { return &answer; }

/* The image, as bytes -> its logits, and the answer. */
EXPORT(classify) void classify(void);
void classify(void)
{
    net_logits(&workspace, image, logits);
    answer = net_judge(logits);
}

/* The image, as floats -> its logits. */
EXPORT(run) void run(void);
void run(void) { net_logits_of_floats(&workspace, values, logits); }

EXPORT(self_test) int32_t self_test(void);
int32_t self_test(void) { return net_self_test(&workspace); }

#ifdef WITH_MNIST_V3
#define MNIST_V3_IMPLEMENTATION
#include "mnist_v3.h"

static mnist_v3_info info;

EXPORT(info) mnist_v3_info *info_address(void);
mnist_v3_info *info_address(void) { return &info; }

EXPORT(workspace_bytes) size_t workspace_bytes(int width, int height);
size_t workspace_bytes(int width, int height) { return mnist_v3_workspace_bytes(width, height); }

/* A picture -> the image; see mnist_v3.h. */
EXPORT(prepare) int prepare(const uint8_t *pixels, int width, int height, int channels, void *room, size_t bytes);
int prepare(const uint8_t *pixels, int width, int height, int channels, void *room, size_t bytes)
{
    return mnist_v3_prepare(pixels, width, height, channels, room, bytes, image, &info);
}
#endif

#ifdef WITH_RESIZE_V1
#define RESIZE_V1_IMPLEMENTATION
#include "resize_v1.h"

#define CHANNELS (NET_PIXELS / (WIDTH * HEIGHT))

EXPORT(workspace_bytes) size_t workspace_bytes(int width, int height);
size_t workspace_bytes(int width, int height)
{
    return resize_v1_workspace_bytes(width, height, WIDTH, HEIGHT, CHANNELS);
}

/* A picture -> the image; see resize_v1.h. */
EXPORT(prepare) int prepare(const uint8_t *pixels, int width, int height, int channels, void *room, size_t bytes);
int prepare(const uint8_t *pixels, int width, int height, int channels, void *room, size_t bytes)
{
    return resize_v1_prepare(pixels, width, height, channels, room, bytes, image, WIDTH, HEIGHT, CHANNELS);
}
#endif

#include "builtins.h"
