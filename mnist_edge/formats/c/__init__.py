"""C headers for microcontrollers: the whole network in one file, with the same logits on every processor."""
