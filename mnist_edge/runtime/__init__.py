"""Picture → answer, with onnxruntime, Pillow and numpy alone. Never imports PyTorch or ONNX, not even lazily."""
