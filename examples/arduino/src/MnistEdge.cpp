/* The one source file that holds the network. */
#define MNIST_MLP_INT8_IMPLEMENTATION
#include "MnistEdge.h"
