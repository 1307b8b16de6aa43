"""NumPy alone: the network of the C format with its numbers in one .npz, for processors without onnxruntime."""
