"""TorchScript, run by libtorch.

It is deprecated (`torch.jit` and `torch.ao.quantization` warn) but still what many devices run.
"""
