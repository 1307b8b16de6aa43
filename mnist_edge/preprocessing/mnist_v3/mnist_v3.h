/*
 * mnist_v3.h: a picture of one handwritten digit, as a camera gives it -> 28x28 bytes like those of MNIST.
 *
 * The preprocessing "mnist/3" of mnist-edge a second time, in C99 and C++11: the same stages in the same order under the
 * same names as in the Python package mnist_edge.preprocessing.mnist_v3, which is the reference. No heap, no libm, no
 * other file. Compile without -ffast-math, and with -ffp-contract=off, for the same bytes everywhere.
 *
 * In one source file:
 *
 *     #define MNIST_V3_IMPLEMENTATION
 *     #include "mnist_v3.h"
 *
 * In each that calls it, the #include alone:
 *
 *     static uint32_t workspace[MANY];       // at least mnist_v3_workspace_bytes(width, height), known beforehand
 *     uint8_t image[MNIST_V3_PIXELS];
 *     if (mnist_v3_prepare(frame, 160, 120, 1, workspace, sizeof workspace, image, 0) == MNIST_V3_OK) {
 *         ...                                // the bytes that a model's header takes
 *     }
 */
#ifndef MNIST_V3_H
#define MNIST_V3_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MNIST_V3_SIDE 28
#define MNIST_V3_PIXELS (MNIST_V3_SIDE * MNIST_V3_SIDE)
#define MNIST_V3_MAX_SIDE 32767 /* of a picture */

enum {
    MNIST_V3_OK = 0,
    MNIST_V3_NO_DIGIT = 1,    /* nothing stands out from the background, or only scattered specks */
    MNIST_V3_BAD_ARGUMENT = 2 /* a size is out of range, or the workspace is too small */
};

typedef struct {
    int32_t other_digits;  /* pieces of ink beside the digit that are about as large: more than one digit */
    int32_t light_on_dark; /* 1 where the ink is lighter than the background */
    int32_t box[4];        /* of the digit in the picture: left, top, right, bottom, in pixels; the last two not included;
                              the whole picture where that already is as MNIST's are */
} mnist_v3_info;

/* Bytes of workspace that a picture of this size needs; 0 where it is refused. */
size_t mnist_v3_workspace_bytes(int width, int height);

/*
 * Prepare a picture: height rows of width pixels of `channels` bytes each, 1 (gray), 3 (RGB) or 4 (RGBA, the color not
 * multiplied by alpha; an alpha of 255 everywhere is none), upright. The workspace is aligned as a uint32_t is; its
 * content means nothing between two calls.
 * Where MNIST_V3_OK is returned, the image is white ink on black; info, which may be a null pointer, is filled in.
 */
int mnist_v3_prepare(const uint8_t *pixels, int width, int height, int channels, void *workspace,
                     size_t workspace_bytes, uint8_t image[MNIST_V3_PIXELS], mnist_v3_info *info);

#ifdef __cplusplus
}
#endif

#endif /* MNIST_V3_H */

#if defined(MNIST_V3_IMPLEMENTATION) && !defined(MNIST_V3_IMPLEMENTED)
#define MNIST_V3_IMPLEMENTED

/* The constants of the Python modules, under their names; what each is for is said there. */
#define MNIST_V3_MAX_WORKING_SIDE 800          /* pipeline.py */
#define MNIST_V3_MIN_DIGIT_SIDE 100
#define MNIST_V3_MARGIN_SHARE 0.5
#define MNIST_V3_MIN_PEAK_INK 0.9              /* layout.py */
#define MNIST_V3_MAX_BACKGROUND_SIDE 256       /* background.py */
#define MNIST_V3_MAX_POLARITY_SIDE 96
#define MNIST_V3_CORNER_SHARE 0.1
#define MNIST_V3_WINDOW_SHARE 0.36
#define MNIST_V3_BORDER_QUANTILE 0.75
#define MNIST_V3_BETWEEN_LESS 0.25
#define MNIST_V3_BETWEEN_MORE 0.75
#define MNIST_V3_MAX_BETWEEN_SHARE 0.1
#define MNIST_V3_MIN_CONTRAST 0.02
#define MNIST_V3_MAX_BORDER_VARIATION 0.1
#define MNIST_V3_MIN_FLAT_SHARE 0.95
#define MNIST_V3_MAX_UNEXPLAINED_SHARE 0.4
#define MNIST_V3_NOISE_DEVIATIONS 5.0
#define MNIST_V3_MIN_HISTOGRAM_RANGE 2e-5
#define MNIST_V3_MIN_STROKE_INK 0.4            /* segmentation.py */
#define MNIST_V3_MIN_FRAGMENT_AREA_SHARE 0.02
#define MNIST_V3_MAX_SPECKS_AREA_SHARE 0.1
#define MNIST_V3_MIN_FILLING_HEIGHT_SHARE 0.6
#define MNIST_V3_MAX_FRAGMENT_DISTANCE_SHARE 0.15
#define MNIST_V3_STACKED_FACTOR 3
#define MNIST_V3_MAX_LINE_THICKNESS_SHARE 0.04
#define MNIST_V3_MAX_SMALL_SIDE 64
#define MNIST_V3_MAX_LINE_INDENT_SHARE 0.05
#define MNIST_V3_MIN_DIGIT_INDENT_SHARE 0.1
#define MNIST_V3_MIN_OTHER_HEIGHT_SHARE 0.5
#define MNIST_V3_MIN_OTHER_AREA_SHARE 0.2
#define MNIST_V3_MAX_FRAME_HEIGHT_RATIO 5
#define MNIST_V3_DIGIT_SIDE 20                 /* size_normalization.py */
#define MNIST_V3_CENTER 14.5
#define MNIST_V3_SUPERSAMPLING 4
#define MNIST_V3_MIN_INK 0.05
#define MNIST_V3_MIN_STROKE_WIDTH 2.3
#define MNIST_V3_MAX_STROKE_WIDTH 3.5

#define MNIST_V3_LARGE_SIDE (MNIST_V3_DIGIT_SIDE * MNIST_V3_SUPERSAMPLING)
#define MNIST_V3_MAX_REACH 5                   /* of dilate_disk: half of the least width of strokes, and the soft edge */
#define MNIST_V3_MAX_TAPS 64                   /* of resample: a digit shrinks to less than a fifteenth on neither side */
#define MNIST_V3_BINS 64                       /* of otsu_threshold */

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

static int mnist_v3_min(int a, int b) { return a < b ? a : b; }
static int mnist_v3_max(int a, int b) { return a > b ? a : b; }
static int mnist_v3_ceil_div(int a, int b) { return (a + b - 1) / b; }
static double mnist_v3_abs(double value) { return value < 0 ? -value : value; }

/* The nearest whole number, of two the even one, as Python's round() and rint() have it. */
static int mnist_v3_round(double value) {
    int below = (int)value - (value < (double)(int)value);
    double rest = value - (double)below;
    return below + (rest > 0.5 || (rest == 0.5 && (below & 1)));
}

static uint32_t mnist_v3_bits(float value) {
    uint32_t bits;
    const unsigned char *from = (const unsigned char *)&value;
    unsigned char *to = (unsigned char *)&bits;
    size_t i;
    for (i = 0; i < sizeof bits; i++) to[i] = from[i];
    return bits;
}

static float mnist_v3_float(uint32_t bits) {
    float value;
    const unsigned char *from = (const unsigned char *)&bits;
    unsigned char *to = (unsigned char *)&value;
    size_t i;
    for (i = 0; i < sizeof value; i++) to[i] = from[i];
    return value;
}

/* The square root: halving the exponent is right to 4 %, and each step of Newton's doubles the digits. */
static double mnist_v3_sqrt(double square) {
    double root;
    int step;
    if (square < 1e-30) return 0.0;
    root = (double)mnist_v3_float((mnist_v3_bits((float)square) >> 1) + 0x1fbd1df5u);
    for (step = 0; step < 4; step++) root = 0.5 * (root + square / root);
    return root;
}

/* ---- Values in rows and columns ---------------------------------------------------------------------------------- */

/* A part of an array of floats, perhaps turned or mirrored. */
typedef struct {
    const float *first;
    int width, height;
    ptrdiff_t column, row; /* from one value to the next, in floats */
} mnist_v3_view;

static mnist_v3_view mnist_v3_view_of(const float *first, int width, int height, ptrdiff_t column, ptrdiff_t row) {
    mnist_v3_view view;
    view.first = first;
    view.width = width;
    view.height = height;
    view.column = column;
    view.row = row;
    return view;
}

static mnist_v3_view mnist_v3_plain(const float *values, int width, int height) {
    return mnist_v3_view_of(values, width, height, 1, width);
}

static float mnist_v3_at(mnist_v3_view view, int x, int y) {
    return view.first[(ptrdiff_t)x * view.column + (ptrdiff_t)y * view.row];
}

static mnist_v3_view mnist_v3_rows(mnist_v3_view view, int from, int count) {
    return mnist_v3_view_of(view.first + (ptrdiff_t)from * view.row, view.width, count, view.column, view.row);
}

static mnist_v3_view mnist_v3_columns(mnist_v3_view view, int from, int count) {
    return mnist_v3_view_of(view.first + (ptrdiff_t)from * view.column, count, view.height, view.column, view.row);
}

/* The outermost rows and columns; the corners are in two of them. */
static void mnist_v3_border(mnist_v3_view view, mnist_v3_view sides[4]) {
    sides[0] = mnist_v3_rows(view, 0, 1);
    sides[1] = mnist_v3_rows(view, view.height - 1, 1);
    sides[2] = mnist_v3_columns(view, 0, 1);
    sides[3] = mnist_v3_columns(view, view.width - 1, 1);
}

/* Bits of a float, in the order of the numbers. */
static uint32_t mnist_v3_ordered(float value) {
    uint32_t bits = mnist_v3_bits(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/*
 * The value of a rank, counted from 0, among those that are at least `least`: nothing is sorted or moved, the digits
 * of the number are found one after the other, eight bits at a time.
 */
static float mnist_v3_ranked(const mnist_v3_view *views, int count, size_t rank, float least) {
    uint32_t found = 0, lowest = mnist_v3_ordered(least);
    int shift, part, x, y, digit;
    for (shift = 24; shift >= 0; shift -= 8) {
        size_t counts[256];
        for (digit = 0; digit < 256; digit++) counts[digit] = 0;
        for (part = 0; part < count; part++)
            for (y = 0; y < views[part].height; y++)
                for (x = 0; x < views[part].width; x++) {
                    uint32_t bits = mnist_v3_ordered(mnist_v3_at(views[part], x, y));
                    if (bits >= lowest && (shift == 24 || bits >> (shift + 8) == found >> (shift + 8)))
                        counts[bits >> shift & 255u]++;
                }
        for (digit = 0; digit < 255 && rank >= counts[digit]; digit++) rank -= counts[digit];
        found |= (uint32_t)digit << shift;
    }
    return mnist_v3_float(found & 0x80000000u ? found & 0x7fffffffu : ~found);
}

#define MNIST_V3_LEAST (-3.4028234e38f) /* leaves nothing out */

static size_t mnist_v3_size(const mnist_v3_view *views, int count) {
    size_t size = 0;
    int part;
    for (part = 0; part < count; part++) size += (size_t)views[part].width * (size_t)views[part].height;
    return size;
}

/* The mean of the two middle values, which are one where their number is odd. */
static float mnist_v3_median_of(const mnist_v3_view *views, int count, size_t size, float least) {
    float low = mnist_v3_ranked(views, count, (size - 1) / 2, least);
    return size & 1 ? low : (low + mnist_v3_ranked(views, count, size / 2, least)) / 2.0f;
}

static float mnist_v3_median(mnist_v3_view view) {
    return mnist_v3_median_of(&view, 1, mnist_v3_size(&view, 1), MNIST_V3_LEAST);
}

/* The quantile by the nearest rank. */
static float mnist_v3_quantile(const mnist_v3_view *views, int count, double share) {
    size_t last = mnist_v3_size(views, count) - 1;
    return mnist_v3_ranked(views, count, (size_t)mnist_v3_round(share * (double)last), MNIST_V3_LEAST);
}

/* ---- Workspace --------------------------------------------------------------------------------------------------- */

/* What a stage takes is free again when the next one begins. */
typedef struct {
    unsigned char *free;
} mnist_v3_arena;

static size_t mnist_v3_rounded(size_t bytes) { return (bytes + 3) & ~(size_t)3; }

static void *mnist_v3_take(mnist_v3_arena *arena, size_t bytes) {
    void *taken = arena->free;
    arena->free += mnist_v3_rounded(bytes);
    return taken;
}

static float *mnist_v3_take_floats(mnist_v3_arena *arena, size_t count) {
    return (float *)mnist_v3_take(arena, count * sizeof(float));
}

/* A connected component of a mask. */
typedef struct {
    uint32_t area;
    uint16_t left, top, right, bottom; /* the last two not included */
    uint16_t border;                   /* pixels on the edge of the mask; a corner counts for both of its sides */
    uint8_t eligible, kept;
} mnist_v3_component;

static size_t mnist_v3_most_components(int width, int height) {
    return (size_t)((width + 1) / 2) * (size_t)((height + 1) / 2);
}

/* The most that a stage needs beside the picture's own values, for a working size up to this one. */
static size_t mnist_v3_stage_bytes(int width, int height) {
    size_t values = (size_t)width * (size_t)height, needed = values * sizeof(float), other;
    int coarse_width = mnist_v3_min(width, MNIST_V3_MAX_BACKGROUND_SIDE);
    int coarse_height = mnist_v3_min(height, MNIST_V3_MAX_BACKGROUND_SIDE);
    int reach = mnist_v3_max(1, mnist_v3_round(mnist_v3_max(coarse_width, coarse_height) * MNIST_V3_WINDOW_SHARE / 2));
    size_t padded_width = (size_t)(coarse_width + 2 * reach), padded_height = (size_t)(coarse_height + 2 * reach);
    other = (padded_width * padded_height + 2 * (padded_width + padded_height)) * sizeof(float);
    if (mnist_v3_max(width, height) > MNIST_V3_MAX_BACKGROUND_SIDE)
        other += (size_t)coarse_height * (size_t)width * sizeof(float);
    if (other > needed) needed = other; /* estimate_background */
    other = mnist_v3_rounded(values) + values * sizeof(int32_t) +
            mnist_v3_most_components(width, height) * sizeof(mnist_v3_component);
    if (other > needed) needed = other; /* segment_digit */
    other = (size_t)MNIST_V3_LARGE_SIDE * (size_t)mnist_v3_max(height, MNIST_V3_LARGE_SIDE + 2 * MNIST_V3_MAX_REACH) +
            (size_t)MNIST_V3_LARGE_SIDE * MNIST_V3_LARGE_SIDE +
            (size_t)(MNIST_V3_LARGE_SIDE + 2 * MNIST_V3_MAX_REACH) * (MNIST_V3_LARGE_SIDE + 2 * MNIST_V3_MAX_REACH) +
            (size_t)MNIST_V3_DIGIT_SIDE * MNIST_V3_DIGIT_SIDE;
    other *= sizeof(float);
    if (other > needed) needed = other; /* normalize_size */
    other = (size_t)MNIST_V3_MAX_POLARITY_SIDE * MNIST_V3_MAX_POLARITY_SIDE * sizeof(float);
    return other > needed ? other : needed; /* is_light_on_dark */
}

static size_t mnist_v3_bytes_for(int width, int height) {
    return (size_t)width * (size_t)height * sizeof(float) + mnist_v3_stage_bytes(width, height);
}

size_t mnist_v3_workspace_bytes(int width, int height) {
    int factor, near_side = 2 * MNIST_V3_MIN_DIGIT_SIDE;
    size_t bytes, near_bytes;
    if (width < 1 || height < 1 || width > MNIST_V3_MAX_SIDE || height > MNIST_V3_MAX_SIDE) return 0;
    factor = mnist_v3_ceil_div(mnist_v3_max(width, height), MNIST_V3_MAX_WORKING_SIDE);
    bytes = mnist_v3_bytes_for(mnist_v3_ceil_div(width, factor), mnist_v3_ceil_div(height, factor));
    if (factor == 1) return bytes;
    near_bytes = mnist_v3_bytes_for(mnist_v3_min(width, near_side), mnist_v3_min(height, near_side));
    return bytes > near_bytes ? bytes : near_bytes;
}

/* ---- Picture -> luminance (grayscale.py) ------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *pixels;
    int width, height, channels;
    int layered; /* whether alpha is less than 255 somewhere */
} mnist_v3_picture;

static int mnist_v3_is_layered(const uint8_t *pixels, size_t count, int channels) {
    size_t i;
    for (i = 0; channels == 4 && i < count; i++)
        if (pixels[4 * i + 3] != 255) return 1;
    return 0;
}

/* ITU-R BT.601 in 16 bits, as Pillow converts RGB to L. */
static uint32_t mnist_v3_luma(uint32_t red, uint32_t green, uint32_t blue) {
    return (red * 19595u + green * 38470u + blue * 7471u + 0x8000u) >> 16;
}

/* The rounded mean of `count` bytes with this sum, as Pillow's reduce() computes it: by a product in 32 bits. */
static uint32_t mnist_v3_byte_mean(uint32_t sum, uint32_t count) {
    uint32_t multiplier = (uint32_t)(4294967296.0f / (float)(256u * count));
    return ((sum + count / 2u) * multiplier) >> 24;
}

/* a * b / 255, rounded, as Pillow's MULDIV255. */
static uint32_t mnist_v3_multiplied(uint32_t a, uint32_t b) {
    uint32_t product = a * b + 128u;
    return ((product >> 8) + product) >> 8;
}

/*
 * Luminance and alpha, as bytes, of a square of pixels of the picture: the mean of its luminances, or, where there is
 * alpha, the luminance of its mean color, in which each pixel weighs as much as it covers.
 */
static void mnist_v3_square(const mnist_v3_picture *picture, int left, int top, int right, int bottom, uint32_t *gray,
                            uint32_t *alpha) {
    uint32_t sums[4] = {0, 0, 0, 0}, count = (uint32_t)(right - left) * (uint32_t)(bottom - top);
    int x, y, i;
    for (y = top; y < bottom; y++) {
        const uint8_t *pixel =
            picture->pixels + ((size_t)y * (size_t)picture->width + (size_t)left) * (size_t)picture->channels;
        for (x = left; x < right; x++, pixel += picture->channels) {
            if (picture->channels == 1) {
                sums[0] += pixel[0];
            } else if (!picture->layered) {
                sums[0] += mnist_v3_luma(pixel[0], pixel[1], pixel[2]);
            } else if (count == 1) {
                for (i = 0; i < 4; i++) sums[i] = pixel[i];
            } else {
                for (i = 0; i < 3; i++) sums[i] += mnist_v3_multiplied(pixel[i], pixel[3]);
                sums[3] += pixel[3];
            }
        }
    }
    if (!picture->layered) {
        *gray = mnist_v3_byte_mean(sums[0], count);
        *alpha = 255;
        return;
    }
    if (count > 1) {
        for (i = 0; i < 4; i++) sums[i] = mnist_v3_byte_mean(sums[i], count);
        if (sums[3] > 0 && sums[3] < 255)
            for (i = 0; i < 3; i++) {
                uint32_t color = 255u * sums[i] / sums[3];
                sums[i] = color > 255u ? 255u : color;
            }
    }
    *gray = mnist_v3_luma(sums[0], sums[1], sums[2]);
    *alpha = sums[3];
}

/* The luminance of a part of the picture, in [0, 1], squares of `factor` pixels averaged, over white or black. */
static void mnist_v3_luminance(const mnist_v3_picture *picture, const int box[4], int factor, float *out) {
    int width = mnist_v3_ceil_div(box[2] - box[0], factor), height = mnist_v3_ceil_div(box[3] - box[1], factor);
    int x, y, pass;
    double ink = 0.0, covered = 0.0;
    float background = 0.0f;
    for (pass = picture->layered ? 0 : 1; pass < 2; pass++) {
        for (y = 0; y < height; y++)
            for (x = 0; x < width; x++) {
                int left = box[0] + x * factor, top = box[1] + y * factor;
                uint32_t gray, alpha;
                mnist_v3_square(picture, left, top, mnist_v3_min(left + factor, box[2]),
                                mnist_v3_min(top + factor, box[3]), &gray, &alpha);
                if (pass == 0) {
                    ink += (double)gray / 255.0 * ((double)alpha / 255.0);
                    covered += (double)alpha / 255.0;
                } else {
                    float light = (float)gray / 255.0f, share = (float)alpha / 255.0f;
                    out[(size_t)y * (size_t)width + (size_t)x] =
                        picture->layered ? light * share + background * (1.0f - share) : light;
                }
            }
        background = ink / (covered > 1.0 ? covered : 1.0) < 0.5 ? 1.0f : 0.0f;
    }
}

/* ---- Images that already are as MNIST's (layout.py) -------------------------------------------------------------- */

static int mnist_v3_is_layout(const float *field, int width, int height, int negative) {
    double mass = 0.0, row = 0.0, column = 0.0, peak = 0.0;
    int left = MNIST_V3_SIDE, right = 0, top = MNIST_V3_SIDE, bottom = 0, x, y;
    if (width != MNIST_V3_SIDE || height != MNIST_V3_SIDE) return 0;
    for (y = 0; y < height; y++)
        for (x = 0; x < width; x++) {
            float value = field[y * width + x];
            if (negative) value = 1.0f - value;
            mass += (double)value;
            row += (double)value * (y + 0.5);
            column += (double)value * (x + 0.5);
            if ((double)value > peak) peak = (double)value;
            if (value != 0.0f) {
                left = mnist_v3_min(left, x);
                right = mnist_v3_max(right, x + 1);
                top = mnist_v3_min(top, y);
                bottom = mnist_v3_max(bottom, y + 1);
            }
        }
    if (mnist_v3_abs(row - MNIST_V3_CENTER * mass) > mass || mnist_v3_abs(column - MNIST_V3_CENTER * mass) > mass ||
        peak < MNIST_V3_MIN_PEAK_INK || top == 0)
        return 0;
    return mnist_v3_max(bottom - top, right - left) == MNIST_V3_DIGIT_SIDE ||
           (bottom == MNIST_V3_SIDE && bottom - top == MNIST_V3_DIGIT_SIDE - 1 && right - left < MNIST_V3_DIGIT_SIDE);
}

/* ---- Luminance -> ink (background.py) ---------------------------------------------------------------------------- */

/* The sum of a part of a row of two rows, or of one (`below` is 0): floats are added in fours, or in twos. */
static double mnist_v3_row_sum(mnist_v3_view gray, int from, int to, int y, int below) {
    double sum = 0.0;
    int x = from;
    for (; x < to - 1; x += 2) {
        float four = mnist_v3_at(gray, x, y) + mnist_v3_at(gray, x + 1, y);
        if (below) {
            four += mnist_v3_at(gray, x, y + 1);
            four += mnist_v3_at(gray, x + 1, y + 1);
        }
        sum += (double)four;
    }
    if (x < to) sum += (double)(below ? mnist_v3_at(gray, x, y) + mnist_v3_at(gray, x, y + 1) : mnist_v3_at(gray, x, y));
    return sum;
}

/*
 * Means of squares of `factor` values, those at the right and lower edge of what is there. The sums of whole squares are
 * rounded as those of Pillow's reduce() are, so that what is near a threshold falls to the same side of it.
 */
static void mnist_v3_reduce(mnist_v3_view gray, int factor, float *out, int stride) {
    int x, y, i, j;
    for (y = 0; y * factor < gray.height; y++)
        for (x = 0; x * factor < gray.width; x++) {
            int right = mnist_v3_min((x + 1) * factor, gray.width), bottom = mnist_v3_min((y + 1) * factor, gray.height);
            int whole = right == (x + 1) * factor && bottom == (y + 1) * factor;
            double sum = 0.0;
            for (j = y * factor; whole && j < bottom; j += 2)
                sum += mnist_v3_row_sum(gray, x * factor, right, j, j + 1 < bottom);
            for (j = y * factor; !whole && j < bottom; j++)
                for (i = x * factor; i < right; i++) sum += (double)mnist_v3_at(gray, i, j);
            out[(size_t)y * (size_t)stride + (size_t)x] =
                (float)(sum * (1.0 / ((right - x * factor) * (bottom - y * factor))));
        }
}

static int mnist_v3_within(int value, int length) { return value >= 0 && value < length; }

/* How many of the pixels 0 to length - 1 are within `reach` of one. */
static int mnist_v3_reached(int at, int reach, int length) {
    return mnist_v3_max(0, mnist_v3_min(at + reach, length - 1) - mnist_v3_max(at - reach, 0) + 1);
}

/*
 * To which side, in [-1, 1], the brightness stands out further from the mean within `reach` pixels. With `margin`, the
 * picture is continued by so many pixels as bright as `outside`, and so is all beyond; else what is outside does not count.
 */
static double mnist_v3_skewness(mnist_v3_view gray, int reach, int margin, float outside) {
    double columns[MNIST_V3_MAX_POLARITY_SIDE], sum = 0.0, size = 0.0;
    double window = (double)(2 * reach + 1) * (double)(2 * reach + 1);
    int x, y, i;
    for (x = 0; x < gray.width; x++) {
        columns[x] = 0.0;
        for (y = 0; y < mnist_v3_min(reach - margin, gray.height); y++) columns[x] += (double)mnist_v3_at(gray, x, y);
    }
    for (y = -margin; y < gray.height + margin; y++) {
        int rows = mnist_v3_reached(y, reach, gray.height);
        double inside = 0.0;
        for (x = 0; x < gray.width; x++) {
            if (mnist_v3_within(y + reach, gray.height)) columns[x] += (double)mnist_v3_at(gray, x, y + reach);
            if (mnist_v3_within(y - reach - 1, gray.height)) columns[x] -= (double)mnist_v3_at(gray, x, y - reach - 1);
        }
        for (i = 0; i < mnist_v3_min(reach - margin, gray.width); i++) inside += columns[i];
        for (x = -margin; x < gray.width + margin; x++) {
            double covered = (double)rows * mnist_v3_reached(x, reach, gray.width), mean, deviation, cube;
            float here = outside;
            if (mnist_v3_within(x, gray.width) && mnist_v3_within(y, gray.height)) here = mnist_v3_at(gray, x, y);
            if (mnist_v3_within(x + reach, gray.width)) inside += columns[x + reach];
            if (mnist_v3_within(x - reach - 1, gray.width)) inside -= columns[x - reach - 1];
            mean = margin ? (inside + (double)outside * (window - covered)) / window : inside / covered;
            deviation = (double)here - mean;
            cube = deviation * deviation * deviation;
            sum += cube;
            size += mnist_v3_abs(cube);
        }
    }
    return sum / (size > 1e-12 ? size : 1e-12);
}

static double mnist_v3_share_above(const mnist_v3_view *views, int count, float level) {
    size_t above = 0;
    int part, x, y;
    for (part = 0; part < count; part++)
        for (y = 0; y < views[part].height; y++)
            for (x = 0; x < views[part].width; x++) above += mnist_v3_at(views[part], x, y) > level;
    return (double)above / (double)mnist_v3_size(views, count);
}

/* Whether the ink is lighter than the background: four votes, of which the skewness of the brightness has two. */
static int mnist_v3_is_light_on_dark(mnist_v3_view gray, mnist_v3_arena arena) {
    int factor = mnist_v3_ceil_div(mnist_v3_max(gray.width, gray.height), MNIST_V3_MAX_POLARITY_SIDE);
    int width = mnist_v3_ceil_div(gray.width, factor), height = mnist_v3_ceil_div(gray.height, factor);
    int side = mnist_v3_max(width, height), corner, x, y;
    float *values = mnist_v3_take_floats(&arena, (size_t)width * (size_t)height);
    float outside, least, greatest, middle;
    mnist_v3_view coarse = mnist_v3_plain(values, width, height), sides[4], corners[4];
    mnist_v3_reduce(gray, factor, values, width);
    mnist_v3_border(coarse, sides);
    outside = mnist_v3_median_of(sides, 4, mnist_v3_size(sides, 4), MNIST_V3_LEAST);
    least = greatest = values[0];
    for (y = 0; y < height; y++)
        for (x = 0; x < width; x++) {
            float value = mnist_v3_at(coarse, x, y);
            if (value < least) least = value;
            if (value > greatest) greatest = value;
        }
    middle = (float)(((double)least + (double)greatest) / 2.0);
    corner = mnist_v3_max(1, (int)(MNIST_V3_CORNER_SHARE * mnist_v3_min(width, height)));
    for (x = 0; x < 4; x++)
        corners[x] = mnist_v3_columns(mnist_v3_rows(coarse, x < 2 ? 0 : height - corner, corner),
                                      x & 1 ? width - corner : 0, corner);
    return mnist_v3_skewness(coarse, mnist_v3_max(1, side / 8), 0, 0.0f) +
               mnist_v3_skewness(coarse, mnist_v3_max(1, side / 4), mnist_v3_max(1, side / 4), outside) +
               (0.5 - mnist_v3_share_above(sides, 4, middle)) + (1.0 - 2.0 * mnist_v3_share_above(corners, 4, middle)) >
           0.0;
}

/* How many of the first rows, at most `limit`, are the side of a border of one brightness; 0 where there is none. */
static int mnist_v3_border_rows(mnist_v3_view gray, int limit) {
    int rows = mnist_v3_min(limit + 2, gray.height), found, x, behind;
    float level = mnist_v3_median(mnist_v3_rows(gray, 0, 1));
    for (found = 0; found < rows; found++) {
        int flat = 0;
        for (x = 0; x < gray.width; x++) {
            float away = mnist_v3_at(gray, x, found) - level;
            flat += (away < 0 ? -away : away) < (float)MNIST_V3_MAX_BORDER_VARIATION;
        }
        if ((double)flat / gray.width < MNIST_V3_MIN_FLAT_SHARE) break;
    }
    if (found < 1 || found > limit) return 0;
    /* The row after the border may be blurred: it is cropped too, and the one behind it is what must be different. */
    behind = mnist_v3_min(found + 1, rows - 1);
    level = mnist_v3_median(mnist_v3_rows(gray, behind, 1)) - level;
    return (double)(level < 0 ? -level : level) > 2 * MNIST_V3_MAX_BORDER_VARIATION ? found + 1 : 0;
}

/* The part inside a border of one brightness: left, top, right, bottom. */
static void mnist_v3_crop_border(const float *gray, int width, int height, int box[4]) {
    int limit = mnist_v3_min(width, height) / 4, bands[4], side;
    const float *last = gray + (size_t)width * (size_t)height - 1;
    mnist_v3_view sides[4];
    sides[0] = mnist_v3_plain(gray, width, height);
    sides[1] = mnist_v3_view_of(gray + (size_t)width * (size_t)(height - 1), width, height, 1, -(ptrdiff_t)width);
    sides[2] = mnist_v3_view_of(gray, height, width, width, 1);
    sides[3] = mnist_v3_view_of(last - (size_t)width * (size_t)(height - 1), height, width, width, -1);
    box[0] = box[1] = 0;
    box[2] = width;
    box[3] = height;
    for (side = 0; side < 4; side++) {
        bands[side] = mnist_v3_border_rows(sides[side], limit);
        if (!bands[side]) return;
    }
    if (bands[0] + bands[1] >= height || bands[2] + bands[3] >= width) return;
    box[0] = bands[2];
    box[1] = bands[0];
    box[2] = width - bands[3];
    box[3] = height - bands[1];
}

/* The mean distance of the values from their median. */
static double mnist_v3_deviation(mnist_v3_view view) {
    float middle = mnist_v3_median(view);
    double sum = 0.0;
    int x, y;
    for (y = 0; y < view.height; y++)
        for (x = 0; x < view.width; x++) sum += mnist_v3_abs((double)(mnist_v3_at(view, x, y) - middle));
    return sum / (double)mnist_v3_size(&view, 1);
}

/* The i-th of `count` numbers from -0.5 to 0.5. */
static float mnist_v3_ramp(int i, int count) {
    return count == 1 ? -0.5f : i == count - 1 ? 0.5f : (float)(i * (1.0 / (count - 1)) - 0.5);
}

/* Remove a slope of the light, in place, where it explains most of what the brightness differs by. */
static void mnist_v3_flatten_illumination(float *gray, int width, int height, mnist_v3_arena arena) {
    int deep = mnist_v3_max(1, height / 16), wide = mnist_v3_max(1, width / 16), x, y;
    mnist_v3_view view = mnist_v3_plain(gray, width, height);
    double down = (double)(mnist_v3_median(mnist_v3_rows(view, height - deep, deep)) -
                           mnist_v3_median(mnist_v3_rows(view, 0, deep)));
    double right = (double)(mnist_v3_median(mnist_v3_columns(view, width - wide, wide)) -
                            mnist_v3_median(mnist_v3_columns(view, 0, wide)));
    float *flat;
    if (mnist_v3_abs(down) < MNIST_V3_MIN_CONTRAST && mnist_v3_abs(right) < MNIST_V3_MIN_CONTRAST) return;
    flat = mnist_v3_take_floats(&arena, (size_t)width * (size_t)height);
    for (y = 0; y < height; y++) {
        float row = (float)down * mnist_v3_ramp(y, height);
        for (x = 0; x < width; x++)
            flat[(size_t)y * (size_t)width + (size_t)x] =
                mnist_v3_at(view, x, y) - row - (float)right * mnist_v3_ramp(x, width);
    }
    if (!(mnist_v3_deviation(mnist_v3_plain(flat, width, height)) <
          MNIST_V3_MAX_UNEXPLAINED_SHARE * mnist_v3_deviation(view)))
        return;
    for (y = 0; y < height; y++)
        for (x = 0; x < width; x++)
            gray[(size_t)y * (size_t)width + (size_t)x] = flat[(size_t)y * (size_t)width + (size_t)x];
}

/*
 * Replace a line of values, `step` floats apart, by the greatest (or the least) within `reach` of each. The window is
 * trebled at each turn. `spare` holds two lines.
 */
static void mnist_v3_line_extremes(float *first, ptrdiff_t step, int length, int reach, int greatest, float *spare) {
    float *line = spare, *wider = spare + length, *swap;
    int i, done = 0;
    for (i = 0; i < length; i++) line[i] = first[(ptrdiff_t)i * step];
    while (done < reach) {
        int shift = mnist_v3_min(2 * done + 1, reach - done);
        for (i = 0; i < length; i++) {
            float before = i >= shift ? line[i - shift] : line[i], after = i + shift < length ? line[i + shift] : line[i];
            float value = line[i];
            if (greatest ? before > value : before < value) value = before;
            if (greatest ? after > value : after < value) value = after;
            wider[i] = value;
        }
        swap = line;
        line = wider;
        wider = swap;
        done += shift;
    }
    for (i = 0; i < length; i++) first[(ptrdiff_t)i * step] = line[i];
}

/* A dilation (greatest) or an erosion with a square of `2 * reach + 1` pixels, in place. */
static void mnist_v3_window_extremes(float *gray, int width, int height, int reach, int greatest, float *spare) {
    int x, y;
    for (x = 0; x < width; x++) mnist_v3_line_extremes(gray + x, width, height, reach, greatest, spare);
    for (y = 0; y < height; y++)
        mnist_v3_line_extremes(gray + (size_t)y * (size_t)width, 1, width, reach, greatest, spare);
}

/* Whether the border shows the paper, and with it the brightness to continue outside the picture. */
static int mnist_v3_level_outside(mnist_v3_view gray, float *outside) {
    mnist_v3_view sides[4];
    double level, contrast, between;
    float least = mnist_v3_at(gray, 0, 0), less, more;
    int x, y;
    size_t found = 0;
    mnist_v3_border(gray, sides);
    *outside = mnist_v3_quantile(sides, 4, MNIST_V3_BORDER_QUANTILE);
    level = (double)*outside;
    for (y = 0; y < gray.height; y++)
        for (x = 0; x < gray.width; x++)
            if (mnist_v3_at(gray, x, y) < least) least = mnist_v3_at(gray, x, y);
    contrast = level - (double)least;
    less = (float)(level - MNIST_V3_BETWEEN_LESS * contrast);
    more = (float)(level - MNIST_V3_BETWEEN_MORE * contrast);
    for (x = 0; x < 4; x++)
        for (y = 0; y < sides[x].width * sides[x].height; y++) {
            float value = sides[x].height == 1 ? mnist_v3_at(sides[x], y, 0) : mnist_v3_at(sides[x], 0, y);
            found += value < less && value > more;
        }
    between = (double)found / (double)mnist_v3_size(sides, 4);
    return between < MNIST_V3_MAX_BETWEEN_SHARE;
}

/*
 * Weights of Pillow's resize() for one value of the output (Resample.c), with antialiasing: from which value of the
 * input on, and how many. `cubic` is BICUBIC with a = -0.5 (Keys 1981), else BILINEAR.
 */
static int mnist_v3_weights(int size, int out_size, int out, int cubic, double weights[MNIST_V3_MAX_TAPS], int *first) {
    double scale = (double)size / out_size, spread = scale < 1.0 ? 1.0 : scale;
    double support = (cubic ? 2.0 : 1.0) * spread, center = (out + 0.5) * scale, sum = 0.0;
    int from = mnist_v3_max(0, (int)(center - support + 0.5)), to = mnist_v3_min(size, (int)(center + support + 0.5)), i;
    for (i = from; i < to; i++) {
        double x = mnist_v3_abs((i - center + 0.5) * (1.0 / spread)), weight = 0.0;
        if (cubic && x < 1.0) {
            weight = (1.5 * x - 2.5) * x * x + 1.0;
        } else if (cubic && x < 2.0) {
            weight = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5;
        } else if (x < 1.0) {
            weight = 1.0 - x;
        }
        weights[i - from] = weight;
        sum += weight;
    }
    for (i = 0; i < to - from; i++) weights[i] = sum != 0.0 ? weights[i] / sum : weights[i];
    *first = from;
    return to - from;
}

/* Every row of a view resampled to another width. */
static void mnist_v3_resample_rows(mnist_v3_view view, int out_width, int cubic, float *out) {
    int x, y, i, first, count;
    double weights[MNIST_V3_MAX_TAPS];
    for (x = 0; x < out_width; x++) {
        count = mnist_v3_weights(view.width, out_width, x, cubic, weights, &first);
        for (y = 0; y < view.height; y++) {
            double sum = 0.0;
            for (i = 0; i < count; i++) sum += (double)mnist_v3_at(view, first + i, y) * weights[i];
            out[(size_t)y * (size_t)out_width + (size_t)x] =
                view.width == out_width ? mnist_v3_at(view, x, y) : (float)sum;
        }
    }
}

/* Replace brightness by what it is darker than the background, which is estimated on a coarser picture. */
static void mnist_v3_subtract_from_background(float *gray, int width, int height, mnist_v3_arena arena) {
    int factor = mnist_v3_ceil_div(mnist_v3_max(width, height), MNIST_V3_MAX_BACKGROUND_SIDE);
    int coarse_width = mnist_v3_ceil_div(width, factor), coarse_height = mnist_v3_ceil_div(height, factor);
    int reach = mnist_v3_max(1, mnist_v3_round(mnist_v3_max(coarse_width, coarse_height) * MNIST_V3_WINDOW_SHARE / 2));
    int padded_width = coarse_width + 2 * reach, padded_height = coarse_height + 2 * reach, x, y, i;
    float *padded = mnist_v3_take_floats(&arena, (size_t)padded_width * (size_t)padded_height);
    float *spare = mnist_v3_take_floats(&arena, 2 * (size_t)mnist_v3_max(padded_width, padded_height));
    float *inside = padded + (size_t)reach * (size_t)padded_width + (size_t)reach, *wide, outside;
    mnist_v3_view coarse = mnist_v3_view_of(inside, coarse_width, coarse_height, 1, padded_width);
    mnist_v3_reduce(mnist_v3_plain(gray, width, height), factor, inside, padded_width);
    if (mnist_v3_level_outside(coarse, &outside)) {
        for (y = 0; y < padded_height; y++)
            for (x = 0; x < padded_width; x++)
                if (y < reach || y >= reach + coarse_height || x < reach || x >= reach + coarse_width)
                    padded[(size_t)y * (size_t)padded_width + (size_t)x] = outside;
    } else { /* nothing is known of what is outside: only the picture itself is in the window */
        for (y = 0; y < coarse_height; y++)
            for (x = 0; x < coarse_width; x++)
                padded[(size_t)y * (size_t)coarse_width + (size_t)x] = mnist_v3_at(coarse, x, y);
        padded_width = coarse_width;
        padded_height = coarse_height;
        coarse = mnist_v3_plain(padded, coarse_width, coarse_height);
    }
    mnist_v3_window_extremes(padded, padded_width, padded_height, reach, 1, spare);
    mnist_v3_window_extremes(padded, padded_width, padded_height, reach, 0, spare);
    if (factor == 1) {
        for (y = 0; y < height; y++)
            for (x = 0; x < width; x++) {
                float *value = gray + (size_t)y * (size_t)width + (size_t)x;
                *value = mnist_v3_at(coarse, x, y) - *value;
            }
        return;
    }
    wide = mnist_v3_take_floats(&arena, (size_t)coarse_height * (size_t)width);
    mnist_v3_resample_rows(coarse, width, 0, wide);
    for (y = 0; y < height; y++) {
        double weights[MNIST_V3_MAX_TAPS];
        int first, count = mnist_v3_weights(coarse_height, height, y, 0, weights, &first);
        for (x = 0; x < width; x++) {
            float *value = gray + (size_t)y * (size_t)width + (size_t)x, background;
            double sum = 0.0;
            for (i = 0; i < count; i++)
                sum += (double)wide[(size_t)(first + i) * (size_t)width + (size_t)x] * weights[i];
            background = coarse_height == height ? wide[(size_t)y * (size_t)width + (size_t)x] : (float)sum;
            *value = background - *value;
        }
    }
}

/* Otsu's threshold (1979) between two classes of the values above `floor`, from a histogram. */
static float mnist_v3_otsu_threshold(const float *values, size_t count, float floor) {
    size_t counts[MNIST_V3_BINS], i, total = 0, below = 0;
    float edges[MNIST_V3_BINS + 1], low = 0.0f, high = 0.0f;
    double step, all = 0.0, sum = 0.0, best = -1.0;
    int bin, best_bin = 0;
    for (i = 0; i < count; i++)
        if (values[i] > floor) {
            if (!total || values[i] < low) low = values[i];
            if (!total || values[i] > high) high = values[i];
            total++;
        }
    if ((double)high - (double)low < MNIST_V3_MIN_HISTOGRAM_RANGE) return low;
    step = ((double)high - (double)low) / MNIST_V3_BINS;
    for (bin = 0; bin < MNIST_V3_BINS; bin++) {
        edges[bin] = (float)(bin * step + (double)low);
        counts[bin] = 0;
    }
    edges[MNIST_V3_BINS] = high;
    for (i = 0; i < count; i++)
        if (values[i] > floor) {
            bin = mnist_v3_min((int)(((double)values[i] - (double)low) / step), MNIST_V3_BINS - 1);
            while (bin > 0 && values[i] < edges[bin]) bin--;
            while (bin < MNIST_V3_BINS - 1 && values[i] >= edges[bin + 1]) bin++;
            counts[bin]++;
        }
    for (bin = 0; bin < MNIST_V3_BINS; bin++)
        all += (double)counts[bin] * (double)((edges[bin] + edges[bin + 1]) / 2.0f);
    for (bin = 0; bin < MNIST_V3_BINS - 1; bin++) {
        double apart, between;
        below += counts[bin];
        sum += (double)counts[bin] * (double)((edges[bin] + edges[bin + 1]) / 2.0f);
        apart = sum / (double)below - (all - sum) / (double)(total - below);
        between = (double)below * (double)(total - below) * apart * apart;
        if (between > best) {
            best = between;
            best_bin = bin;
        }
    }
    return edges[best_bin + 1];
}

/* Replace the brightness of dark ink by its strength, 0 to 1; whether anything stands out from the background. */
static int mnist_v3_extract_ink(float *gray, int width, int height, mnist_v3_arena arena) {
    size_t count = (size_t)width * (size_t)height, i, strong = 0;
    mnist_v3_view view = mnist_v3_plain(gray, width, height);
    float low, usual, floor, level;
    double grain, noise;
    mnist_v3_subtract_from_background(gray, width, height, arena);
    low = mnist_v3_quantile(&view, 1, 0.05);
    usual = mnist_v3_quantile(&view, 1, 0.25);
    grain = ((double)usual - (double)low) / 0.9704;
    noise = MNIST_V3_NOISE_DEVIATIONS * grain;
    floor = (float)(noise > MNIST_V3_MIN_CONTRAST ? noise : MNIST_V3_MIN_CONTRAST);
    for (i = 0; i < count; i++) gray[i] -= usual;
    level = mnist_v3_otsu_threshold(gray, count, floor);
    for (i = 0; i < count; i++) strong += gray[i] > floor && gray[i] >= level;
    if (!strong) return 0;
    level = mnist_v3_median_of(&view, 1, strong, level);
    for (i = 0; i < count; i++) {
        float ink = gray[i] / level;
        gray[i] = ink < 0.0f ? 0.0f : ink > 1.0f ? 1.0f : ink;
    }
    return 1;
}

/* ---- Connected components (connected_components.py) -------------------------------------------------------------- */

/* What is known of a pixel, a bit each. */
enum {
    MNIST_V3_INK = 1,
    MNIST_V3_ACROSS = 2,       /* of a ruled line from left to right, without what crosses it */
    MNIST_V3_WHOLE_ACROSS = 4, /* the same with it */
    MNIST_V3_DOWN = 8,
    MNIST_V3_WHOLE_DOWN = 16,
    MNIST_V3_WIDE = 32,        /* within a pixel of ink */
    MNIST_V3_LONG = 64,        /* of a long run of those */
    MNIST_V3_CROSSING = 128    /* of a long run of ink across a line */
};

/* The bits of all pixels, perhaps turned, and which component each pixel belongs to. */
typedef struct {
    uint8_t *bits;
    int width, height;
    ptrdiff_t column, row;
    int32_t *labels; /* row by row of this view; negative, ~number, where there is a component */
    mnist_v3_component *components;
    int count;
} mnist_v3_mask;

static uint8_t *mnist_v3_pixel(const mnist_v3_mask *mask, int x, int y) {
    return mask->bits + (ptrdiff_t)x * mask->column + (ptrdiff_t)y * mask->row;
}

static int32_t *mnist_v3_label(const mnist_v3_mask *mask, int x, int y) {
    return mask->labels + (size_t)y * (size_t)mask->width + (size_t)x;
}

static int32_t mnist_v3_root(int32_t *parents, int32_t index) {
    while (parents[index] != index) {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    return index;
}

/* Make one tree of two, under the root that comes first. */
static int32_t mnist_v3_joined(int32_t *parents, int32_t one, int32_t other) {
    one = mnist_v3_root(parents, one);
    other = mnist_v3_root(parents, other);
    if (one < other) {
        parents[other] = one;
        return one;
    }
    parents[one] = other;
    return other;
}

static void mnist_v3_add_pixel(const mnist_v3_mask *mask, mnist_v3_component *component, int x, int y) {
    if (!component->area) {
        component->left = (uint16_t)x;
        component->top = (uint16_t)y;
        component->right = component->bottom = component->border = 0;
    }
    component->area++;
    component->left = (uint16_t)mnist_v3_min(component->left, x);
    component->right = (uint16_t)mnist_v3_max(component->right, x + 1);
    component->bottom = (uint16_t)(y + 1);
    component->border = (uint16_t)(component->border + (x == 0) + (x == mask->width - 1) + (y == 0) +
                                   (y == mask->height - 1));
}

/*
 * Find the components of the pixels that have all of the bits `with` and none of `without`, in the order of their first
 * pixels; pixels that share a corner are connected. First each pixel points to one before it (union-find), then it takes
 * the number of that one.
 */
static void mnist_v3_label_components(mnist_v3_mask *mask, int with, int without) {
    int x, y, i;
    mask->count = 0;
    for (y = 0; y < mask->height; y++)
        for (x = 0; x < mask->width; x++) {
            static const int beside[4][2] = {{-1, 0}, {-1, -1}, {0, -1}, {1, -1}};
            int32_t index = (int32_t)((size_t)y * (size_t)mask->width + (size_t)x), root = index;
            if ((*mnist_v3_pixel(mask, x, y) & (with | without)) != with) {
                mask->labels[index] = INT32_MAX;
                continue;
            }
            mask->labels[index] = index;
            for (i = 0; i < 4; i++) {
                int left = x + beside[i][0], top = y + beside[i][1];
                if (left < 0 || left >= mask->width || top < 0 || *mnist_v3_label(mask, left, top) == INT32_MAX) continue;
                root = mnist_v3_joined(mask->labels, root, (int32_t)(mnist_v3_label(mask, left, top) - mask->labels));
            }
        }
    for (y = 0; y < mask->height; y++)
        for (x = 0; x < mask->width; x++) {
            int32_t *label = mnist_v3_label(mask, x, y), index = (int32_t)(label - mask->labels);
            if (*label == INT32_MAX) continue;
            if (*label == index) {
                mask->components[mask->count].area = 0;
                *label = ~(int32_t)mask->count++;
            } else {
                *label = mask->labels[*label]; /* whose number is known, since it comes first */
            }
            mnist_v3_add_pixel(mask, mask->components + ~*label, x, y);
        }
}

static int mnist_v3_height(const mnist_v3_component *component) { return component->bottom - component->top; }
static int mnist_v3_width(const mnist_v3_component *component) { return component->right - component->left; }

/* Mark the pixels of those runs along the rows of pixels with the bit `of` that are at least `length` long. */
static void mnist_v3_mark_long_runs(const mnist_v3_mask *mask, int of, int length, int mark) {
    int x, y, i;
    for (y = 0; y < mask->height; y++) {
        int start = 0;
        for (x = 0; x <= mask->width; x++) {
            if (x < mask->width && *mnist_v3_pixel(mask, x, y) & of) continue;
            for (i = start; x - start >= length && i < x; i++)
                *mnist_v3_pixel(mask, i, y) = (uint8_t)(*mnist_v3_pixel(mask, i, y) | mark);
            start = x + 1;
        }
    }
}

static void mnist_v3_clear(const mnist_v3_mask *mask, int bits) {
    int x, y;
    for (y = 0; y < mask->height; y++)
        for (x = 0; x < mask->width; x++)
            *mnist_v3_pixel(mask, x, y) = (uint8_t)(*mnist_v3_pixel(mask, x, y) & ~bits);
}

/* Mark all that is within a pixel of pixels with the bit `of`, the eight neighbors. */
static void mnist_v3_mark_dilated(const mnist_v3_mask *mask, int of, int mark) {
    int x, y, i, j;
    mnist_v3_clear(mask, mark);
    for (y = 0; y < mask->height; y++)
        for (x = 0; x < mask->width; x++) {
            if (!(*mnist_v3_pixel(mask, x, y) & of)) continue;
            for (j = mnist_v3_max(0, y - 1); j <= mnist_v3_min(mask->height - 1, y + 1); j++)
                for (i = mnist_v3_max(0, x - 1); i <= mnist_v3_min(mask->width - 1, x + 1); i++)
                    *mnist_v3_pixel(mask, i, j) = (uint8_t)(*mnist_v3_pixel(mask, i, j) | mark);
        }
}

static mnist_v3_mask mnist_v3_turned(mnist_v3_mask mask) {
    mnist_v3_mask turned = mask;
    turned.width = mask.height;
    turned.height = mask.width;
    turned.column = mask.row;
    turned.row = mask.column;
    return turned;
}

/* ---- Ink -> the digit (segmentation.py) -------------------------------------------------------------------------- */

static int mnist_v3_any_in_columns(const mnist_v3_mask *mask, int from, int to) {
    int x, y;
    for (y = 0; y < mask->height; y++)
        for (x = from; x < to; x++)
            if (*mnist_v3_pixel(mask, x, y) & MNIST_V3_INK) return 1;
    return 0;
}

/* How thick a component is for the most part: the lower quartile over the columns, less what the dilation added. */
static int mnist_v3_thickness(const mnist_v3_mask *mask, int number) {
    int columns[MNIST_V3_MAX_WORKING_SIDE + 1], rank, thick, x, y;
    for (thick = 0; thick <= mask->height; thick++) columns[thick] = 0; /* how many are so thick */
    for (x = 0; x < mask->width; x++) {
        for (thick = 0, y = 0; y < mask->height; y++) thick += *mnist_v3_label(mask, x, y) == ~(int32_t)number;
        columns[thick]++;
    }
    rank = mnist_v3_round(0.25 * (mask->width - 1));
    for (thick = 0; rank >= columns[thick]; thick++) rank -= columns[thick];
    return thick - 2;
}

/* Mark thin lines that run from the left edge to the right one, level or a few degrees off it. */
static void mnist_v3_mark_ruled_lines(mnist_v3_mask *mask, int mark, int mark_whole) {
    mnist_v3_mask turned = mnist_v3_turned(*mask);
    int edge = mnist_v3_max(1, (int)(MNIST_V3_MAX_LINE_INDENT_SHARE * mask->width)), number, x, y;
    if (mnist_v3_max(mask->width, mask->height) <= MNIST_V3_MAX_SMALL_SIDE) return;
    if (!mnist_v3_any_in_columns(mask, 0, edge) || !mnist_v3_any_in_columns(mask, mask->width - edge, mask->width))
        return;
    mnist_v3_mark_dilated(mask, MNIST_V3_INK, MNIST_V3_WIDE);
    mnist_v3_clear(mask, MNIST_V3_LONG);
    mnist_v3_mark_long_runs(mask, MNIST_V3_WIDE, mnist_v3_max(8, mask->width / 12), MNIST_V3_LONG);
    mnist_v3_label_components(mask, MNIST_V3_LONG, 0);
    for (number = 0; number < mask->count; number++) {
        int thickness;
        if (mask->components[number].left >= edge || mask->components[number].right <= mask->width - edge) continue;
        thickness = mnist_v3_thickness(mask, number);
        if (thickness > MNIST_V3_MAX_LINE_THICKNESS_SHARE * mask->height) continue;
        mnist_v3_clear(mask, MNIST_V3_CROSSING);
        mnist_v3_mark_long_runs(&turned, MNIST_V3_INK, 2 * thickness + 3, MNIST_V3_CROSSING);
        for (y = 0; y < mask->height; y++)
            for (x = 0; x < mask->width; x++) {
                uint8_t *pixel = mnist_v3_pixel(mask, x, y);
                if (*mnist_v3_label(mask, x, y) != ~(int32_t)number || !(*pixel & MNIST_V3_INK)) continue;
                *pixel = (uint8_t)(*pixel | mark_whole | (*pixel & MNIST_V3_CROSSING ? 0 : mark));
            }
    }
}

static int mnist_v3_largest(const mnist_v3_mask *mask) {
    int number, found = 0;
    for (number = 1; number < mask->count; number++)
        if (mask->components[number].area > mask->components[found].area) found = number;
    return found;
}

static int mnist_v3_well_inside(int start, int stop, int length) {
    double indent = MNIST_V3_MIN_DIGIT_INDENT_SHARE * length;
    return start >= indent && length - stop >= indent;
}

/* Remove ruled lines from the ink, across and down, unless they may be strokes: the digit must lie well inside them. */
static void mnist_v3_remove_ruled_lines(mnist_v3_mask *mask) {
    mnist_v3_mask turned = mnist_v3_turned(*mask);
    const int whole = MNIST_V3_WHOLE_ACROSS | MNIST_V3_WHOLE_DOWN;
    int x, y, lines = 0, across, down;
    const mnist_v3_component *digit;
    mnist_v3_mark_ruled_lines(mask, MNIST_V3_ACROSS, MNIST_V3_WHOLE_ACROSS);
    mnist_v3_mark_ruled_lines(&turned, MNIST_V3_DOWN, MNIST_V3_WHOLE_DOWN);
    mnist_v3_clear(mask, MNIST_V3_LONG); /* which from here on are all pixels of lines */
    for (y = 0; y < mask->height; y++)
        for (x = 0; x < mask->width; x++) {
            uint8_t *pixel = mnist_v3_pixel(mask, x, y);
            if (!(*pixel & (MNIST_V3_ACROSS | MNIST_V3_DOWN)) && (*pixel & whole) != whole) continue;
            *pixel = (uint8_t)(*pixel | MNIST_V3_LONG);
            lines = 1;
        }
    if (!lines) return;
    mnist_v3_label_components(mask, MNIST_V3_INK, MNIST_V3_LONG);
    if (!mask->count) return;
    digit = mask->components + mnist_v3_largest(mask);
    across = mnist_v3_well_inside(digit->left, digit->right, mask->width);
    down = mnist_v3_well_inside(digit->top, digit->bottom, mask->height);
    for (y = 0; y < mask->height; y++)
        for (x = 0; x < mask->width; x++) {
            uint8_t *pixel = mnist_v3_pixel(mask, x, y);
            if ((across && *pixel & MNIST_V3_ACROSS) || (down && *pixel & MNIST_V3_DOWN) ||
                (across && down && (*pixel & whole) == whole))
                *pixel = (uint8_t)(*pixel & ~MNIST_V3_INK);
        }
}

static int mnist_v3_in_square(const mnist_v3_mask *mask, int number, int left, int top, int side) {
    int x, y;
    for (y = top; y < top + side; y++)
        for (x = left; x < left + side; x++)
            if (*mnist_v3_label(mask, x, y) == ~(int32_t)number) return 1;
    return 0;
}

/* The component that is a frame, -1 where there is none: the largest box, if it has corners and something in it. */
static int mnist_v3_enclosing_frame(const mnist_v3_mask *mask) {
    const mnist_v3_component *frame = mask->components, *each;
    int number, found = 0, side;
    for (each = mask->components; each < mask->components + mask->count; each++)
        if (mnist_v3_height(each) * mnist_v3_width(each) > mnist_v3_height(frame) * mnist_v3_width(frame)) frame = each;
    for (each = mask->components; each < mask->components + mask->count; each++)
        found |= each->left > frame->left && each->right < frame->right && each->top > frame->top &&
                 each->bottom < frame->bottom &&
                 MNIST_V3_MAX_FRAME_HEIGHT_RATIO * mnist_v3_height(each) >= mnist_v3_height(frame);
    if (!found) return -1;
    number = (int)(frame - mask->components);
    side = mnist_v3_max(1, mnist_v3_min(mnist_v3_height(frame), mnist_v3_width(frame)) / 8);
    return mnist_v3_in_square(mask, number, frame->left, frame->top, side) &&
                   mnist_v3_in_square(mask, number, frame->right - side, frame->top, side) &&
                   mnist_v3_in_square(mask, number, frame->left, frame->bottom - side, side) &&
                   mnist_v3_in_square(mask, number, frame->right - side, frame->bottom - side, side)
               ? number
               : -1;
}

/* Mark the components that may be the digit: not what reaches in from the edge, unless that fills the picture. */
static void mnist_v3_mark_eligible(mnist_v3_mask *mask) {
    int frame = mnist_v3_enclosing_frame(mask), number, filling = 0, any = 0;
    uint32_t greatest = 0, along_edge = 0;
    for (number = 0; number < mask->count; number++) {
        mnist_v3_component *each = mask->components + number;
        int longer = mnist_v3_max(mnist_v3_height(each), mnist_v3_width(each));
        each->kept = 0;
        each->eligible = (uint8_t)(!(each->border > 0.5 * longer) && number != frame);
        if (each->eligible && each->area > greatest) greatest = each->area;
        if (!each->eligible && number != frame && each->area > along_edge &&
            mnist_v3_height(each) >= MNIST_V3_MIN_FILLING_HEIGHT_SHARE * mask->height) {
            along_edge = each->area;
            filling = number;
        }
    }
    if (greatest < MNIST_V3_MAX_SPECKS_AREA_SHARE * along_edge) mask->components[filling].eligible = 1;
    for (number = 0; number < mask->count; number++) any |= mask->components[number].eligible;
    for (number = 0; !any && number < mask->count; number++) mask->components[number].eligible = 1;
}

/* What was kept so far: one box, one area. */
static mnist_v3_component mnist_v3_kept(const mnist_v3_mask *mask) {
    mnist_v3_component all;
    const mnist_v3_component *each;
    all.area = 0;
    all.left = all.top = UINT16_MAX;
    all.right = all.bottom = all.border = 0;
    all.eligible = all.kept = 1;
    for (each = mask->components; each < mask->components + mask->count; each++) {
        if (!each->kept) continue;
        all.area += each->area;
        all.left = (uint16_t)mnist_v3_min(all.left, each->left);
        all.top = (uint16_t)mnist_v3_min(all.top, each->top);
        all.right = (uint16_t)mnist_v3_max(all.right, each->right);
        all.bottom = (uint16_t)mnist_v3_max(all.bottom, each->bottom);
    }
    return all;
}

/* Whether a component belongs to the digit that was kept so far. */
static int mnist_v3_is_fragment(const mnist_v3_component *each, const mnist_v3_component *digit) {
    double reach = MNIST_V3_MAX_FRAGMENT_DISTANCE_SHARE * mnist_v3_max(mnist_v3_height(digit), mnist_v3_width(digit));
    int across = mnist_v3_max(each->left - digit->right, digit->left - each->right);
    int down = mnist_v3_max(each->top - digit->bottom, digit->top - each->bottom);
    int close = across < reach && down < reach && each->area >= MNIST_V3_MIN_FRAGMENT_AREA_SHARE * digit->area;
    int large = each->area >= MNIST_V3_STACKED_FACTOR * MNIST_V3_MIN_FRAGMENT_AREA_SHARE * digit->area;
    int stacked = across < 0 && down < MNIST_V3_STACKED_FACTOR * reach && large;
    int another = across >= 0 && mnist_v3_height(each) >= MNIST_V3_MIN_OTHER_HEIGHT_SHARE * mnist_v3_height(digit);
    return each->eligible && !each->kept && (close || stacked) && !another;
}

/* Keep the largest component that may be the digit, and fragments near to what is kept already. */
static mnist_v3_component mnist_v3_keep_digit(mnist_v3_mask *mask) {
    mnist_v3_component digit, *each, *end = mask->components + mask->count, *main = 0;
    int more = 1;
    for (each = mask->components; each < end; each++)
        if (each->eligible && (!main || each->area > main->area)) main = each;
    main->kept = 1;
    digit = mnist_v3_kept(mask);
    while (more) {
        more = 0;
        for (each = mask->components; each < end; each++)
            if (mnist_v3_is_fragment(each, &digit)) {
                each->kept = 1;
                more = 1;
            }
        digit = mnist_v3_kept(mask);
    }
    return digit;
}

/* Leave the digit alone in the ink; return its box, and in `others` how many more there seem to be. */
static mnist_v3_component mnist_v3_segment_digit(float *ink, int width, int height, mnist_v3_arena arena, int *others) {
    size_t count = (size_t)width * (size_t)height, i;
    mnist_v3_mask mask;
    mnist_v3_component digit, *each;
    mask.width = width;
    mask.height = height;
    mask.column = 1;
    mask.row = width;
    mask.labels = (int32_t *)mnist_v3_take(&arena, count * sizeof(int32_t));
    mask.components = (mnist_v3_component *)mnist_v3_take(
        &arena, mnist_v3_most_components(width, height) * sizeof(mnist_v3_component));
    mask.bits = (uint8_t *)mnist_v3_take(&arena, count);
    mask.count = 0;
    for (i = 0; i < count; i++) mask.bits[i] = ink[i] >= (float)MNIST_V3_MIN_STROKE_INK ? MNIST_V3_INK : 0;
    mnist_v3_remove_ruled_lines(&mask);
    mnist_v3_label_components(&mask, MNIST_V3_INK, 0);
    mnist_v3_mark_eligible(&mask);
    digit = mnist_v3_keep_digit(&mask);
    *others = 0;
    for (each = mask.components; each < mask.components + mask.count; each++)
        *others += each->eligible && !each->kept &&
                   mnist_v3_height(each) >= MNIST_V3_MIN_OTHER_HEIGHT_SHARE * mnist_v3_height(&digit) &&
                   each->area >= MNIST_V3_MIN_OTHER_AREA_SHARE * digit.area;
    for (i = 0; i < count; i++) {
        int kept = mask.labels[i] != INT32_MAX && mask.components[~mask.labels[i]].kept;
        mask.bits[i] = (uint8_t)(kept ? MNIST_V3_LONG : 0);
    }
    mnist_v3_mark_dilated(&mask, MNIST_V3_LONG, MNIST_V3_WIDE);
    for (i = 0; i < count; i++)
        if (!(mask.bits[i] & MNIST_V3_WIDE)) ink[i] = 0.0f;
    return digit;
}

/* ---- The digit -> the model's input (size_normalization.py) ------------------------------------------------------ */

/* The smallest rectangle that holds all ink; one without width where there is none. */
static mnist_v3_view mnist_v3_crop_to_ink(mnist_v3_view view) {
    int left = view.width, right = 0, top = view.height, bottom = 0, x, y;
    for (y = 0; y < view.height; y++)
        for (x = 0; x < view.width; x++)
            if (mnist_v3_at(view, x, y) != 0.0f) {
                left = mnist_v3_min(left, x);
                right = mnist_v3_max(right, x + 1);
                top = mnist_v3_min(top, y);
                bottom = mnist_v3_max(bottom, y + 1);
            }
    if (right <= left) return mnist_v3_view_of(view.first, 0, 0, view.column, view.row);
    return mnist_v3_columns(mnist_v3_rows(view, top, bottom - top), left, right - left);
}

/* Resize to a longer side of `side` pixels with antialiasing; `between` has room for the height of the view times it. */
static mnist_v3_view mnist_v3_resize_to_side(mnist_v3_view view, int side, float *between, float *out) {
    double by = (double)side / mnist_v3_max(view.width, view.height);
    int width = mnist_v3_max(1, mnist_v3_round(view.width * by)), height = mnist_v3_max(1, mnist_v3_round(view.height * by));
    int same = width == view.width && height == view.height, x, y, i;
    mnist_v3_resample_rows(view, width, 1, between);
    for (y = 0; y < height; y++) {
        double weights[MNIST_V3_MAX_TAPS];
        int first, count = mnist_v3_weights(view.height, height, y, 1, weights, &first);
        for (x = 0; x < width; x++) {
            float value = between[(size_t)mnist_v3_min(y, view.height - 1) * (size_t)width + (size_t)x];
            if (height != view.height) {
                double sum = 0.0;
                for (i = 0; i < count; i++)
                    sum += (double)between[(size_t)(first + i) * (size_t)width + (size_t)x] * weights[i];
                value = (float)sum;
            }
            if (!same) value = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value; /* it overshoots at sharp edges */
            out[(size_t)y * (size_t)width + (size_t)x] = value;
        }
    }
    return mnist_v3_plain(out, width, height);
}

static float mnist_v3_padded(mnist_v3_view view, int x, int y, float outside) {
    return x < 0 || y < 0 || x >= view.width || y >= view.height ? outside : mnist_v3_at(view, x, y);
}

/* The mean width of the strokes in pixels: twice their area over their outline, the total variation. */
static double mnist_v3_stroke_width(mnist_v3_view ink) {
    double area = 0.0, outline = 0.0;
    int x, y;
    for (y = -1; y < ink.height; y++)
        for (x = -1; x < ink.width; x++) {
            float here = mnist_v3_padded(ink, x, y, 0.0f);
            double down = (double)(mnist_v3_padded(ink, x, y + 1, 0.0f) - here);
            double right = (double)(mnist_v3_padded(ink, x + 1, y, 0.0f) - here);
            area += (double)here;
            outline += mnist_v3_sqrt(down * down + right * right);
        }
    return 2.0 * area / (outline > 1e-6 ? outline : 1e-6);
}

static int mnist_v3_disk_reach(double radius) {
    double edge = radius + 0.5;
    int whole = (int)edge;
    return (double)whole < edge ? whole : whole - 1;
}

/*
 * The greatest ink within a disk with a soft edge, in pixels that reach `margin` further than the ink on each side. With
 * `inverted` that of what is not ink, as all is outside.
 */
static void mnist_v3_dilate_disk(mnist_v3_view ink, double radius, int inverted, int margin, float *out) {
    int reach = mnist_v3_disk_reach(radius), width = ink.width + 2 * margin, height = ink.height + 2 * margin, x, y, i, j;
    for (y = 0; y < height; y++)
        for (x = 0; x < width; x++) {
            float value = mnist_v3_padded(ink, x - margin, y - margin, 0.0f);
            out[(size_t)y * (size_t)width + (size_t)x] = inverted ? 1.0f - value : value;
        }
    for (j = -reach; j <= reach; j++)
        for (i = -reach; i <= reach; i++) {
            double soft = radius + 0.5 - mnist_v3_sqrt((double)(i * i + j * j));
            float weight = (float)(soft < 1.0 ? soft : 1.0);
            if (soft <= 0.0 || (!i && !j)) continue;
            for (y = 0; y < height; y++)
                for (x = 0; x < width; x++) {
                    float value = mnist_v3_padded(ink, x - margin - i, y - margin - j, 0.0f);
                    float *target = out + (size_t)y * (size_t)width + (size_t)x;
                    value = (inverted ? 1.0f - value : value) * weight;
                    if (value > *target) *target = value;
                }
        }
}

/* Thicken strokes narrower than MNIST's, and thin wider ones. */
static mnist_v3_view mnist_v3_normalize_stroke_width(mnist_v3_view ink, float *out) {
    double width = mnist_v3_stroke_width(ink), low = MNIST_V3_MIN_STROKE_WIDTH * MNIST_V3_SUPERSAMPLING;
    double high = MNIST_V3_MAX_STROKE_WIDTH * MNIST_V3_SUPERSAMPLING;
    size_t i, count = (size_t)ink.width * (size_t)ink.height;
    if (width < low) {
        int margin = mnist_v3_disk_reach((low - width) / 2.0);
        mnist_v3_dilate_disk(ink, (low - width) / 2.0, 0, margin, out);
        return mnist_v3_plain(out, ink.width + 2 * margin, ink.height + 2 * margin);
    }
    if (width > high) {
        mnist_v3_dilate_disk(ink, (width - high) / 2.0, 1, 0, out);
        for (i = 0; i < count; i++) out[i] = 1.0f - out[i];
        return mnist_v3_plain(out, ink.width, ink.height);
    }
    return ink;
}

/* Put a digit of at most 20x20 into a black field, its center of mass as near to the middle as it fits. */
static void mnist_v3_center_in_input(mnist_v3_view ink, uint8_t image[MNIST_V3_PIXELS]) {
    double mass = 0.0, row = 0.0, column = 0.0;
    int x, y, left, top;
    for (y = 0; y < ink.height; y++)
        for (x = 0; x < ink.width; x++) {
            double value = (double)mnist_v3_at(ink, x, y);
            mass += value;
            row += value * (y + 0.5);
            column += value * (x + 0.5);
        }
    top = mnist_v3_round(MNIST_V3_CENTER - row / mass);
    left = mnist_v3_round(MNIST_V3_CENTER - column / mass);
    top = mnist_v3_max(0, mnist_v3_min(top, MNIST_V3_SIDE - ink.height));
    left = mnist_v3_max(0, mnist_v3_min(left, MNIST_V3_SIDE - ink.width));
    for (x = 0; x < MNIST_V3_PIXELS; x++) image[x] = 0;
    for (y = 0; y < ink.height; y++)
        for (x = 0; x < ink.width; x++)
            image[(top + y) * MNIST_V3_SIDE + left + x] = (uint8_t)(mnist_v3_at(ink, x, y) * 255.0f + 0.5f);
}

/* The digit in ink -> the image; whether anything is left of it at that size. */
static int mnist_v3_normalize_size(const float *ink, int width, int height, mnist_v3_arena arena,
                                   uint8_t image[MNIST_V3_PIXELS]) {
    const size_t large_side = MNIST_V3_LARGE_SIDE, wide_side = MNIST_V3_LARGE_SIDE + 2 * MNIST_V3_MAX_REACH;
    mnist_v3_view digit = mnist_v3_crop_to_ink(mnist_v3_plain(ink, width, height));
    size_t rows = (size_t)mnist_v3_max(digit.height, (int)wide_side), i;
    float *between = mnist_v3_take_floats(&arena, large_side * rows);
    float *large = mnist_v3_take_floats(&arena, large_side * large_side);
    float *stroked = mnist_v3_take_floats(&arena, wide_side * wide_side), *values;
    float *small = mnist_v3_take_floats(&arena, (size_t)MNIST_V3_DIGIT_SIDE * MNIST_V3_DIGIT_SIDE);
    digit = mnist_v3_normalize_stroke_width(mnist_v3_resize_to_side(digit, MNIST_V3_LARGE_SIDE, between, large), stroked);
    values = digit.first == large ? large : stroked;
    for (i = 0; i < (size_t)digit.width * (size_t)digit.height; i++)
        if (values[i] < (float)MNIST_V3_MIN_INK) values[i] = 0.0f;
    digit = mnist_v3_crop_to_ink(digit);
    if (digit.width < 1) return 0;
    digit = mnist_v3_resize_to_side(digit, MNIST_V3_DIGIT_SIDE, between, small);
    mnist_v3_center_in_input(digit, image);
    return 1;
}

/* ---- All of it (pipeline.py) ------------------------------------------------------------------------------------- */

/* The digit in luminance whose ink is light or dark, alone; whether there is one. */
static int mnist_v3_find_digit(float *gray, int width, int height, int light, mnist_v3_arena arena,
                               mnist_v3_component *digit, int *others) {
    size_t i;
    for (i = 0; light && i < (size_t)width * (size_t)height; i++) gray[i] = 1.0f - gray[i];
    if (!mnist_v3_extract_ink(gray, width, height, arena)) return 0;
    *digit = mnist_v3_segment_digit(gray, width, height, arena, others);
    return 1;
}

/* The box of a digit, with some background around it, in the coordinates of the original picture. */
static void mnist_v3_box_with_margin(const mnist_v3_picture *picture, const int box[4], int out[4]) {
    int margin = mnist_v3_round(MNIST_V3_MARGIN_SHARE * mnist_v3_max(box[2] - box[0], box[3] - box[1]));
    out[0] = mnist_v3_max(0, box[0] - margin);
    out[1] = mnist_v3_max(0, box[1] - margin);
    out[2] = mnist_v3_min(picture->width, box[2] + margin);
    out[3] = mnist_v3_min(picture->height, box[3] + margin);
}

/* Give an image that already is as MNIST's, or its negative, as it is. */
static int mnist_v3_as_it_is(const float *gray, int width, int height, uint8_t image[MNIST_V3_PIXELS],
                             mnist_v3_info *info) {
    int negative = !mnist_v3_is_layout(gray, width, height, 0), i;
    if (negative && !mnist_v3_is_layout(gray, width, height, 1)) return 0;
    for (i = 0; i < MNIST_V3_PIXELS; i++) image[i] = (uint8_t)((negative ? 1.0f - gray[i] : gray[i]) * 255.0f + 0.5f);
    info->other_digits = 0;
    info->light_on_dark = !negative;
    info->box[0] = info->box[1] = 0;
    info->box[2] = info->box[3] = MNIST_V3_SIDE;
    return 1;
}

int mnist_v3_prepare(const uint8_t *pixels, int width, int height, int channels, void *workspace,
                     size_t workspace_bytes, uint8_t image[MNIST_V3_PIXELS], mnist_v3_info *info) {
    size_t needed = mnist_v3_workspace_bytes(width, height), i;
    mnist_v3_picture picture;
    mnist_v3_arena arena;
    mnist_v3_component digit;
    mnist_v3_info unused;
    int whole[4], inside[4], box[4], factor, others, nearer, x, y;
    float *gray = (float *)workspace;
    if (!needed || !pixels || !workspace || !image || workspace_bytes < needed ||
        (channels != 1 && channels != 3 && channels != 4))
        return MNIST_V3_BAD_ARGUMENT;
    if (!info) info = &unused;
    picture.pixels = pixels;
    picture.width = width;
    picture.height = height;
    picture.channels = channels;
    picture.layered = mnist_v3_is_layered(pixels, (size_t)width * (size_t)height, channels);
    factor = mnist_v3_ceil_div(mnist_v3_max(width, height), MNIST_V3_MAX_WORKING_SIDE);
    whole[0] = whole[1] = 0;
    whole[2] = width;
    whole[3] = height;
    mnist_v3_luminance(&picture, whole, factor, gray);
    width = mnist_v3_ceil_div(width, factor);
    height = mnist_v3_ceil_div(height, factor);
    if (mnist_v3_as_it_is(gray, width, height, image, info)) return MNIST_V3_OK;
    mnist_v3_crop_border(gray, width, height, inside);
    for (i = 0, y = inside[1]; y < inside[3]; y++)
        for (x = inside[0]; x < inside[2]; x++) gray[i++] = gray[(size_t)y * (size_t)width + (size_t)x];
    width = inside[2] - inside[0];
    height = inside[3] - inside[1];
    arena.free = (unsigned char *)(gray + i);
    mnist_v3_flatten_illumination(gray, width, height, arena);
    info->light_on_dark = mnist_v3_is_light_on_dark(mnist_v3_plain(gray, width, height), arena);
    if (!mnist_v3_find_digit(gray, width, height, info->light_on_dark, arena, &digit, &others)) return MNIST_V3_NO_DIGIT;
    box[0] = (digit.left + inside[0]) * factor;
    box[1] = (digit.top + inside[1]) * factor;
    box[2] = (digit.right + inside[0]) * factor;
    box[3] = (digit.bottom + inside[1]) * factor;
    info->other_digits = others;
    if (factor > 1 && mnist_v3_max(mnist_v3_width(&digit), mnist_v3_height(&digit)) < MNIST_V3_MIN_DIGIT_SIDE) {
        /* A small digit in a large picture is read again from nearer. */
        mnist_v3_box_with_margin(&picture, box, whole);
        nearer = mnist_v3_ceil_div(mnist_v3_max(whole[2] - whole[0], whole[3] - whole[1]), 2 * MNIST_V3_MIN_DIGIT_SIDE);
        width = mnist_v3_ceil_div(whole[2] - whole[0], nearer);
        height = mnist_v3_ceil_div(whole[3] - whole[1], nearer);
        mnist_v3_luminance(&picture, whole, nearer, gray);
        arena.free = (unsigned char *)(gray + (size_t)width * (size_t)height);
        mnist_v3_flatten_illumination(gray, width, height, arena);
        if (!mnist_v3_find_digit(gray, width, height, info->light_on_dark, arena, &digit, &others))
            return MNIST_V3_NO_DIGIT;
        info->other_digits = mnist_v3_max(info->other_digits, others);
    }
    info->box[0] = box[0];
    info->box[1] = box[1];
    info->box[2] = mnist_v3_min(picture.width, box[2]);
    info->box[3] = mnist_v3_min(picture.height, box[3]);
    return mnist_v3_normalize_size(gray, width, height, arena, image) ? MNIST_V3_OK : MNIST_V3_NO_DIGIT;
}

#endif /* MNIST_V3_IMPLEMENTATION */
