"""One folder for each export format: `exporter.py` writes it, `runner.py` runs it, `inspector.py` looks inside."""
