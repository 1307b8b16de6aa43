"""Training with PyTorch: data sets, architectures, recipes, the loop, checkpoints, metrics and figures."""
