"""WebAssembly in this process: wasmtime runs a module and counts what it executes."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import wasmtime

from mnist_edge.errors import ArtifactError
from mnist_edge.types import AnyArray

_PATTERN = 0xA5
_FUEL = 10**15
"""More than any image takes; one unit is one instruction (`wasmtime::Config::consume_fuel`)."""
_CODE, _DATA = 10, 11


class WasmProgram:
    """A module with a memory of its own."""

    def __init__(self, data: bytes) -> None:
        """Load a module that was linked here."""
        config = wasmtime.Config()
        config.consume_fuel = True
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        self._store.set_fuel(_FUEL)
        instance = wasmtime.Instance(self._store, wasmtime.Module(engine, data), [])
        self._exports = cast("Mapping[str, Any]", instance.exports(self._store))
        self._memory = self._exports["memory"]
        self._image, self._logits = (self._call(f"{name}_address") for name in ("image", "logits"))
        # wasm-ld puts the stack first: it grows down to address 0, and data begin above it.
        self._top: int = self._exports["__stack_pointer"].value(self._store)
        self._memory.write(self._store, bytes([_PATTERN]) * self._top, 0)

    def _call(self, name: str) -> int:
        return int(self._exports[name](self._store) or 0)

    def run(self, pixels: AnyArray, labels: int) -> AnyArray:
        """Return the logits, float32 `[classes]`, of an image, uint8; raises `ArtifactError` where it fails."""
        self._memory.write(self._store, pixels.tobytes(), self._image)
        self._store.set_fuel(_FUEL)
        try:
            self._call("_start")
        except wasmtime.WasmtimeError as error:
            raise ArtifactError(f"the WebAssembly module stopped: {error}") from error
        found = self._memory.read(self._store, self._logits, self._logits + 4 * labels)
        return np.frombuffer(bytes(found), np.float32).copy()

    def stack_bytes(self) -> int:
        """Return how many bytes of the stack were used so far."""
        memory = np.frombuffer(bytes(self._memory.read(self._store, 0, self._top)), np.uint8)
        changed = np.flatnonzero(memory != _PATTERN)
        return int(len(memory) - changed[0]) if len(changed) else 0

    def counting(self) -> Callable[[], int]:
        """Return what tells how many instructions the last image took."""
        return lambda: _FUEL - self._store.get_fuel()

    def variable_bytes(self, constants: int) -> int:
        """Return the bytes of memory that it writes to, without the stack, given those of its constants."""
        return int(self._exports["__data_end"].value(self._store)) - self._top - constants


def section_sizes(data: bytes) -> tuple[int, int]:
    """Return the bytes of a module's code and of its data (WebAssembly Core Specification, 5.5)."""
    sizes, place = {}, 8
    while place < len(data):
        kind, place = data[place], place + 1
        size, shift = 0, 0
        while True:
            byte, place = data[place], place + 1
            size, shift = size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        sizes[kind], place = size, place + size
    return sizes.get(_CODE, 0), sizes.get(_DATA, 0)
