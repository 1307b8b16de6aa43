"""`torch.export` programs, run by PyTorch: the format that follows TorchScript."""
