"""A WebAssembly module in wasmtime, which gives it its memory and nothing else of this machine."""

import threading
from collections.abc import Mapping
from typing import cast

import numpy as np
import wasmtime

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import Runner, check_shape
from mnist_edge.types import AnyArray, Images, Logits

MODULE = "model.wasm"
"""The module's file in the folder."""

MAX_MEMORY = 256 << 20
"""Most bytes of memory that a module may take."""

MAX_TABLE = 1_000
"""Most functions in a module's table, for calls by number."""

_FEATURES = ("multi_memory", "memory64", "threads", "gc", "exceptions")
"""What wasmtime offers that takes memory which `Store.set_limits` counts for each by itself, or not at all."""

FUEL = 20_000_000_000
"""Most instructions for one image (`wasmtime::Config::consume_fuel`); the built-in CNN takes 16 million."""


def open_runner(bundle: Bundle) -> Runner:
    """Open a folder.

    Raises:
        ArtifactError: it has no module, that can't be loaded or asks for more than memory, or it carries no contract
            that is understood here.
    """
    metadata = bundle.sidecar_metadata()
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    data = bundle.files.get(MODULE)
    if data is None:
        raise ArtifactError(f"it holds no {MODULE}")
    return Runner(contract, metadata, Module(data, contract).predict)


class Module:
    """A module with a memory of its own; one thread at a time computes in it."""

    def __init__(self, data: bytes, contract: Contract) -> None:
        """Load a module; raises `ArtifactError` where that can't be done."""
        config = wasmtime.Config()
        config.consume_fuel = True
        for name in _FEATURES:
            setattr(config, f"wasm_{name}", False)
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        self._store.set_limits(memory_size=MAX_MEMORY, table_elements=MAX_TABLE, instances=1, tables=1, memories=1)
        self._store.set_fuel(FUEL)
        self._lock = threading.Lock()
        self._shape, self._labels = contract.task.input.shape, len(contract.task.labels)
        try:
            instance = wasmtime.Instance(self._store, wasmtime.Module(engine, data), [])
            exports = cast("Mapping[str, object]", instance.exports(self._store))
            memory = exports["memory"]
            if not isinstance(memory, wasmtime.Memory):
                raise TypeError("its export memory is not a memory")
            self._memory, self._run = memory, self._function(exports["run"], [])
            integer = [wasmtime.ValType.i32()]
            self._values, self._logits = (
                int(self._function(exports[name], integer)(self._store)) for name in ("values", "logits")
            )
        except (wasmtime.WasmtimeError, wasmtime.Trap, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"wasmtime cannot load it ({one_line(error)})") from error

    def _function(self, export: object, results: list[wasmtime.ValType]) -> wasmtime.Func:
        """Return an export that is a function which takes nothing; raises `TypeError` where it is something else."""
        if not isinstance(export, wasmtime.Func):
            raise TypeError("an export of it is not a function")
        kind = export.type(self._store)
        if kind.params or kind.results != results:
            raise TypeError("a function of it takes or gives other numbers than expected")
        return export

    def predict(self, images: Images) -> Logits:
        """Return the logits, float32 `[N, classes]`; raises `ArtifactError` where images do not fit or it stops."""
        check_shape(images, self._shape)
        rows = np.ascontiguousarray(images.transpose(0, 2, 3, 1), np.float32).reshape(len(images), -1)
        logits = np.zeros((len(images), self._labels), np.float32)
        try:
            with self._lock:
                for index, values in enumerate(rows):
                    logits[index] = self._logits_of(values)
        except (wasmtime.WasmtimeError, wasmtime.Trap, IndexError, TypeError, ValueError) as error:
            raise ArtifactError(f"the WebAssembly module stopped ({one_line(error)})") from error
        return logits

    def _logits_of(self, values: AnyArray) -> Logits:
        """Return the logits, float32 `[classes]`, of the values of an image, float32."""
        self._store.set_fuel(FUEL)
        self._memory.write(self._store, values.tobytes(), self._values)
        self._run(self._store)
        found = self._memory.read(self._store, self._logits, self._logits + 4 * self._labels)
        return np.frombuffer(bytes(found), np.float32)
