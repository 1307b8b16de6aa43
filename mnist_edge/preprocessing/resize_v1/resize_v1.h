/*
 * resize_v1.h: any picture -> an image of a fixed size, in gray or color, scaled to it, and otherwise as it is.
 *
 * The preprocessing "resize/1" of mnist-edge a second time, in C99 and C++11; the Python package
 * mnist_edge.preprocessing.resize_v1 is the reference. No heap, no libm, no other file. Compile without -ffast-math, and
 * with -ffp-contract=off, for the same bytes everywhere.
 *
 * In one source file:
 *
 *     #define RESIZE_V1_IMPLEMENTATION
 *     #include "resize_v1.h"
 *
 * In each that calls it, the #include alone:
 *
 *     static uint32_t workspace[MANY];       // at least resize_v1_workspace_bytes(...), known beforehand
 *     uint8_t image[32 * 32 * 3];
 *     if (resize_v1_prepare(frame, 160, 120, 3, workspace, sizeof workspace, image, 32, 32, 3) == RESIZE_V1_OK) {
 *         ...                                // the bytes that a model's header takes
 *     }
 */
#ifndef RESIZE_V1_H
#define RESIZE_V1_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RESIZE_V1_MAX_SIDE 96            /* of the image */
#define RESIZE_V1_MAX_PICTURE_SIDE 32767

enum {
    RESIZE_V1_OK = 0,
    RESIZE_V1_BAD_ARGUMENT = 2 /* a size is out of range, or the workspace is too small */
};

/* Bytes of workspace for a picture, and an image of out_channels 1 (gray) or 3 (RGB); 0 where one is refused. */
size_t resize_v1_workspace_bytes(int width, int height, int out_width, int out_height, int out_channels);

/*
 * Prepare a picture: height rows of width pixels of `channels` bytes each, 1 (gray), 3 (RGB) or 4 (RGBA, the color not
 * multiplied by alpha; it is laid over white), upright. The workspace is aligned as a uint32_t is; its content means
 * nothing between two calls. The image is out_height rows of out_width pixels of out_channels bytes each.
 */
int resize_v1_prepare(const uint8_t *pixels, int width, int height, int channels, void *workspace,
                      size_t workspace_bytes, uint8_t *image, int out_width, int out_height, int out_channels);

#ifdef __cplusplus
}
#endif

#endif /* RESIZE_V1_H */

#if defined(RESIZE_V1_IMPLEMENTATION) && !defined(RESIZE_V1_IMPLEMENTED)
#define RESIZE_V1_IMPLEMENTED

#define RESIZE_V1_OVERSAMPLING 4 /* pipeline.py */
#define RESIZE_V1_PRECISION 22   /* bits behind the point of Pillow's weights for bytes */

/* How many pixels a side of the squares has that are averaged before the picture is scaled. */
static int resize_v1_factor(int width, int height, int out_width, int out_height) {
    int across = width / (RESIZE_V1_OVERSAMPLING * out_width), down = height / (RESIZE_V1_OVERSAMPLING * out_height);
    int factor = across < down ? across : down;
    return factor > 1 ? factor : 1;
}

static int resize_v1_reduced(int side, int factor) { return (side + factor - 1) / factor; }

/* Most weights that one value of `to` has where there are `from`. */
static int resize_v1_most_taps(int from, int to) { return 2 * (from > to ? (from + to - 1) / to : 1) + 1; }

/* Whether the columns are scaled before the rows, as Pillow (from 13 on) has it. */
static int resize_v1_columns_first(int columns, int rows, int out_width, int out_height) {
    return rows > out_height && rows - out_height > 2 * (columns - out_width);
}

/* Pixels between the two. */
static size_t resize_v1_between(int columns, int rows, int out_width, int out_height) {
    if (resize_v1_columns_first(columns, rows, out_width, out_height)) return (size_t)columns * (size_t)out_height;
    return (size_t)out_width * (size_t)rows;
}

size_t resize_v1_workspace_bytes(int width, int height, int out_width, int out_height, int out_channels) {
    int factor, columns, rows, across, down;
    if (width < 1 || height < 1 || width > RESIZE_V1_MAX_PICTURE_SIDE || height > RESIZE_V1_MAX_PICTURE_SIDE ||
        out_width < 1 || out_height < 1 || out_width > RESIZE_V1_MAX_SIDE || out_height > RESIZE_V1_MAX_SIDE ||
        (out_channels != 1 && out_channels != 3))
        return 0;
    factor = resize_v1_factor(width, height, out_width, out_height);
    columns = resize_v1_reduced(width, factor);
    rows = resize_v1_reduced(height, factor);
    across = resize_v1_most_taps(columns, out_width);
    down = resize_v1_most_taps(rows, out_height);
    return (size_t)(across > down ? across : down) * sizeof(int32_t) +
           ((size_t)columns * (size_t)rows + resize_v1_between(columns, rows, out_width, out_height)) *
               (size_t)out_channels;
}

/* A color over white, as Pillow's alpha_composite() has it: in 7 bits more than bytes have. */
static uint32_t resize_v1_over_white(uint32_t color, uint32_t alpha) {
    uint32_t mixed = (color * alpha + 255u * (255u - alpha) + 128u) << 7;
    return (((mixed >> 8) + mixed) >> 8) >> 7;
}

/* A pixel over white: in gray by ITU-R BT.601 in 16 bits, as Pillow converts RGB to L, or as it is. */
static void resize_v1_pixel(const uint8_t *pixel, int channels, int out_channels, uint32_t out[3]) {
    int channel;
    for (channel = 0; channel < 3; channel++) {
        uint32_t color = pixel[channels == 1 ? 0 : channel];
        out[channel] = channels == 4 ? resize_v1_over_white(color, pixel[3]) : color;
    }
    if (out_channels == 1 && channels != 1)
        out[0] = (out[0] * 19595u + out[1] * 38470u + out[2] * 7471u + 0x8000u) >> 16;
}

/* Average squares of pixels, each in the channels of the image, as Pillow's reduce(): by a product in 32 bits. */
static void resize_v1_reduce(const uint8_t *pixels, int width, int height, int channels, int factor, int out_channels,
                             uint8_t *out) {
    int left, top, x, y, channel;
    for (top = 0; top < height; top += factor)
        for (left = 0; left < width; left += factor) {
            int right = left + factor < width ? left + factor : width;
            int bottom = top + factor < height ? top + factor : height;
            uint32_t count = (uint32_t)(right - left) * (uint32_t)(bottom - top), sums[3] = {0, 0, 0}, pixel[3];
            uint32_t multiplier = (uint32_t)(4294967296.0f / (float)(256u * count));
            for (y = top; y < bottom; y++)
                for (x = left; x < right; x++) {
                    resize_v1_pixel(pixels + ((size_t)y * (size_t)width + (size_t)x) * (size_t)channels, channels,
                                    out_channels, pixel);
                    for (channel = 0; channel < out_channels; channel++) sums[channel] += pixel[channel];
                }
            for (channel = 0; channel < out_channels; channel++)
                *out++ = (uint8_t)(((sums[channel] + count / 2u) * multiplier) >> 24);
        }
}

/* The bilinear weights of value `index` of `to` from `from`, in whole numbers; returns the first, and how many. */
static int resize_v1_weights(int index, int from, int to, int32_t *weights, int *count) {
    double scale = (double)from / to, reach = scale > 1.0 ? scale : 1.0, center = (index + 0.5) * scale, sum = 0.0;
    double step = 1.0 / reach;
    int first = (int)(center - reach + 0.5), end = (int)(center + reach + 0.5), i, pass;
    if (center - reach + 0.5 < 0.0) first = 0;
    if (end > from) end = from;
    *count = end - first;
    for (pass = 0; pass < 2; pass++)
        for (i = 0; i < *count; i++) {
            double distance = ((double)(i + first) - center + 0.5) * step, weight;
            if (distance < 0.0) distance = -distance;
            weight = distance < 1.0 ? 1.0 - distance : 0.0;
            if (!pass) sum += weight;
            else weights[i] = (int32_t)(weight / sum * (double)((int32_t)1 << RESIZE_V1_PRECISION) + 0.5);
        }
    return first;
}

/*
 * Scale one side of an array of bytes from `from` to `to` values: `outer` times, there are from * inner values in, and
 * to * inner out, in which neighbors along that side are `inner` apart.
 */
static void resize_v1_scale(const uint8_t *in, int outer, int from, int to, int inner, int32_t *weights, uint8_t *out) {
    int index, i, j, k, count;
    for (index = 0; index < to; index++) {
        int first = resize_v1_weights(index, from, to, weights, &count);
        for (i = 0; i < outer; i++)
            for (j = 0; j < inner; j++) {
                const uint8_t *value = in + ((size_t)i * (size_t)from + (size_t)first) * (size_t)inner + (size_t)j;
                int32_t sum = (int32_t)1 << (RESIZE_V1_PRECISION - 1);
                for (k = 0; k < count; k++) sum += value[(size_t)k * (size_t)inner] * weights[k];
                sum >>= RESIZE_V1_PRECISION;
                out[((size_t)i * (size_t)to + (size_t)index) * (size_t)inner + (size_t)j] =
                    (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
            }
    }
}

int resize_v1_prepare(const uint8_t *pixels, int width, int height, int channels, void *workspace,
                      size_t workspace_bytes, uint8_t *image, int out_width, int out_height, int out_channels) {
    size_t needed = resize_v1_workspace_bytes(width, height, out_width, out_height, out_channels);
    int factor, columns, rows, across, down;
    int32_t *weights = (int32_t *)workspace;
    uint8_t *reduced, *between;
    if (!needed || !pixels || !workspace || !image || workspace_bytes < needed ||
        (channels != 1 && channels != 3 && channels != 4))
        return RESIZE_V1_BAD_ARGUMENT;
    factor = resize_v1_factor(width, height, out_width, out_height);
    columns = resize_v1_reduced(width, factor);
    rows = resize_v1_reduced(height, factor);
    across = resize_v1_most_taps(columns, out_width);
    down = resize_v1_most_taps(rows, out_height);
    reduced = (uint8_t *)(weights + (across > down ? across : down));
    between = reduced + (size_t)columns * (size_t)rows * (size_t)out_channels;
    resize_v1_reduce(pixels, width, height, channels, factor, out_channels, reduced);
    /* A side that stays as it is has one weight for each value, which is 1. */
    if (resize_v1_columns_first(columns, rows, out_width, out_height)) {
        resize_v1_scale(reduced, 1, rows, out_height, columns * out_channels, weights, between);
        resize_v1_scale(between, out_height, columns, out_width, out_channels, weights, image);
    } else {
        resize_v1_scale(reduced, rows, columns, out_width, out_channels, weights, between);
        resize_v1_scale(between, 1, rows, out_height, out_width * out_channels, weights, image);
    }
    return RESIZE_V1_OK;
}

#endif /* RESIZE_V1_IMPLEMENTATION */
