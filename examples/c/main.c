/* Reads a PGM or PPM picture of any size, as a camera gives it, and prints the digit in it. */

#define MNIST_V3_IMPLEMENTATION
#include "mnist_v3.h"
#define MNIST_MLP_INT8_IMPLEMENTATION
#define MNIST_MLP_INT8_SELF_TEST
#include "mnist-mlp-int8.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int width, height, channels;
    uint8_t *pixels; /* null where the file is not a picture of this kind */
} picture;

/* The next whole number in the head of a picture, behind blanks and lines of comment; -1 where there is none. */
static int next_number(FILE *file)
{
    int number = -1, byte = fgetc(file);
    while (byte == '#' || isspace(byte)) {
        if (byte == '#') {
            while (byte != '\n' && byte != EOF) {
                byte = fgetc(file);
            }
        }
        byte = fgetc(file);
    }
    return ungetc(byte, file) != EOF && fscanf(file, "%d", &number) == 1 ? number : -1;
}

static picture read_picture(const char *path)
{
    picture found = {0, 0, 0, NULL};
    int kind, most;
    size_t bytes;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return found;
    }
    kind = fgetc(file) == 'P' ? next_number(file) : 0;
    found.width = next_number(file);
    found.height = next_number(file);
    most = next_number(file);
    if ((kind == 5 || kind == 6) && most == 255 && fgetc(file) != EOF &&
        mnist_v3_workspace_bytes(found.width, found.height) != 0) {
        found.channels = kind == 5 ? 1 : 3;
        bytes = (size_t)found.width * (size_t)found.height * (size_t)found.channels;
        found.pixels = (uint8_t *)malloc(bytes);
        if (found.pixels != NULL && fread(found.pixels, 1, bytes, file) != bytes) {
            free(found.pixels);
            found.pixels = NULL;
        }
    }
    fclose(file);
    return found;
}

/* Brings a picture to the form of the test images; returns a code of mnist_v3.h. */
static int prepare(picture from, uint8_t image[MNIST_V3_PIXELS], mnist_v3_info *info)
{
    size_t bytes = mnist_v3_workspace_bytes(from.width, from.height);
    void *workspace = malloc(bytes);
    int code = mnist_v3_prepare(from.pixels, from.width, from.height, from.channels, workspace, bytes, image, info);
    free(workspace);
    return code;
}

int main(int count, char **arguments)
{
    static mnist_mlp_int8_workspace workspace;
    uint8_t image[MNIST_V3_PIXELS];
    mnist_v3_info info;
    mnist_mlp_int8_answer answer;
    picture from = {0, 0, 0, NULL};
    int code;
    if (mnist_mlp_int8_self_test(&workspace) != 0) {
        fputs("this program computes other numbers than the model that was exported\n", stderr);
        return 2;
    }
    if (count == 2) {
        from = read_picture(arguments[1]);
    }
    if (from.pixels == NULL) {
        fputs("usage: digit PICTURE, a binary PGM or PPM\n", stderr);
        return 1;
    }
    code = prepare(from, image, &info);
    free(from.pixels);
    if (code != MNIST_V3_OK) {
        fputs(code == MNIST_V3_NO_DIGIT ? "no digit in the picture\n" : "not enough memory\n", stderr);
        return 1;
    }
    answer = mnist_mlp_int8_classify(&workspace, image);
    printf("%s %.1f%%%s\n", mnist_mlp_int8_names[answer.label], 100.0 * (double)answer.confidence,
           answer.certain && info.other_digits == 0 ? "" : " (uncertain)");
    return 0;
}
