"""Data → model → checkpoint → metrics, with PyTorch and torchvision. Knows neither export nor runtime."""
