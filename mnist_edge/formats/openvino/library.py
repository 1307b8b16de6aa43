"""OpenVINO without its telemetry, which would write into the user's home and report who runs what."""

import sys
from functools import lru_cache
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


@lru_cache(maxsize=1)
def core() -> Any:  # noqa: ANN401
    """Return the `Core` of this process, which lives as long as that does.

    Its CPU plugin gives the thread an alternate signal stack, and puts back at its end what was there before: of two of
    them, memory that the first has let go of. A later signal, such as a trap in WebAssembly, then ends the process.
    """
    return load_openvino().Core()
