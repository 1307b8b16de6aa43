// Takes an image over the serial port, 784 bytes from black (0) to white (255), and answers with the digit.

#include <MnistEdge.h>

static mnist_mlp_int8_workspace workspace;
static uint8_t pixels[MNIST_MLP_INT8_PIXELS];
static int32_t received = 0;

void setup() {
  Serial.begin(115200);
  if (mnist_mlp_int8_self_test(&workspace) != 0) {
    Serial.println("self-test failed");
    for (;;) {
    }
  }
  Serial.println("ready");
}

void loop() {
  while (Serial.available() > 0 && received < MNIST_MLP_INT8_PIXELS) {
    pixels[received++] = (uint8_t)Serial.read();
  }
  if (received < MNIST_MLP_INT8_PIXELS) {
    return;
  }
  received = 0;
  mnist_mlp_int8_answer answer = mnist_mlp_int8_classify(&workspace, pixels);
  Serial.print(mnist_mlp_int8_names[answer.label]);
  Serial.println(answer.certain ? "" : " uncertain");
}
