"""Train a small digit classifier, export it with proof, and read digits on a device.

Nothing heavy is imported here: `mnist_edge.training` needs PyTorch, `mnist_edge.export` also needs ONNX, and
`mnist_edge.runtime` needs only onnxruntime, Pillow and numpy.
"""

__version__ = "0.1.0"
