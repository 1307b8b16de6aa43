"""ExecuTorch: PyTorch's own runtime for phones and boards, with XNNPACK kernels."""
