"""LiteRT, formerly TensorFlow Lite: Android, phones, and every board that runs `.tflite` files."""
