/* Reads a PGM picture of 28 x 28 pixels, white ink on black, and prints the digit in it. */

#define MNIST_MLP_INT8_IMPLEMENTATION
#define MNIST_MLP_INT8_SELF_TEST
#include "mnist-mlp-int8.h"

#include <stdio.h>

/* Reads a picture into `pixels`; returns 0 where it is not one of this kind. */
static int read_pgm(const char *path, uint8_t pixels[MNIST_MLP_INT8_PIXELS])
{
    int width = 0, height = 0, most = 0, read = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "P5 %d %d %d", &width, &height, &most) == 3 && width == 28 && height == 28 && most == 255) {
        read = fgetc(file) != EOF && fread(pixels, 1, MNIST_MLP_INT8_PIXELS, file) == MNIST_MLP_INT8_PIXELS;
    }
    fclose(file);
    return read;
}

int main(int count, char **arguments)
{
    static mnist_mlp_int8_workspace workspace;
    static uint8_t pixels[MNIST_MLP_INT8_PIXELS];
    mnist_mlp_int8_answer answer;
    if (mnist_mlp_int8_self_test(&workspace) != 0) {
        fputs("this program computes other numbers than the model that was exported\n", stderr);
        return 2;
    }
    if (count != 2 || !read_pgm(arguments[1], pixels)) {
        fputs("usage: digit PICTURE, a binary PGM of 28 x 28 pixels\n", stderr);
        return 1;
    }
    answer = mnist_mlp_int8_classify(&workspace, pixels);
    printf("%s %.1f%%%s\n", mnist_mlp_int8_names[answer.label], 100.0 * (double)answer.confidence,
           answer.certain ? "" : " (uncertain)");
    return 0;
}
