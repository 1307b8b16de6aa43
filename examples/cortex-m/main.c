/* The self-test, and then the digit in `pixels`. */

#define MNIST_MLP_INT8_IMPLEMENTATION
#define MNIST_MLP_INT8_SELF_TEST
#include "mnist-mlp-int8.h"

static mnist_mlp_int8_workspace workspace;
static uint8_t pixels[MNIST_MLP_INT8_PIXELS];

/* What a debugger shows: test vectors that failed, the digit, its confidence in percent, whether to rely on it. */
volatile int32_t outcome[4] = {-1, -1, -1, -1};

/* Draws a one, as a camera would see it: white ink on black. */
static void draw(void)
{
    int32_t row, column;
    for (row = 4; row < 24; ++row) {
        for (column = 13; column < 16; ++column) {
            pixels[row * 28 + column] = column == 14 ? 255 : 160;
        }
    }
}

int main(void)
{
    mnist_mlp_int8_answer answer;
    outcome[0] = mnist_mlp_int8_self_test(&workspace);
    draw();
    answer = mnist_mlp_int8_classify(&workspace, pixels);
    outcome[1] = answer.label;
    outcome[2] = (int32_t)(answer.confidence * 100.0f);
    outcome[3] = answer.certain;
    return 0;
}
