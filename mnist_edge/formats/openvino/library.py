"""OpenVINO without its telemetry, which would write into the user's home and report who runs what."""

import sys
from typing import Any


def load_openvino() -> Any:  # noqa: ANN401
    """Return the module `openvino`, imported so that it finds no `openvino_telemetry` and takes its own stub instead.

    Importing it otherwise makes `~/intel` with an identifier of the machine (`openvino.tools.ovc.telemetry_utils`).
    """
    if "openvino" in sys.modules or "openvino_telemetry" in sys.modules:
        import openvino

        return openvino
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # importing it is an ImportError now
    try:
        import openvino
    finally:
        del sys.modules["openvino_telemetry"]
    return openvino
