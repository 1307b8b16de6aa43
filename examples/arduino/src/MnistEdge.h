/* The header that `mnist-edge export` writes into this folder, with its self-test. */
#pragma once
#define MNIST_MLP_INT8_SELF_TEST
#include "mnist-mlp-int8.h"
