"""ONNX, run by onnxruntime."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or importing onnxruntime writes a file into TMPDIR
