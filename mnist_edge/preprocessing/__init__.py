"""Picture → model input, with Pillow and numpy alone. A folder for each version, so that two can live side by side."""
