"""Trained model → a folder with a WebAssembly module, an ES module and its TypeScript types."""

import json
import tempfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.c.compiler import compile_c, named, template, zig
from mnist_edge.formats.c.exporter import check_network, headers
from mnist_edge.formats.c.header import Header
from mnist_edge.formats.c.writer import write
from mnist_edge.formats.wasm.runner import MODULE
from mnist_edge.preprocessing.registry import C_HEADERS, c_header

__all__ = ["check_network", "export"]

FLAGS = ("-target", "wasm32-freestanding", "-std=c99", "-O2", "-g0", "-ffreestanding", "-fno-sanitize=undefined")

_LINKED = ("-Wl,--no-entry", "-Wl,--gc-sections", "-Wl,--strip-all", "-Wl,--export=__heap_base")


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a folder for each request; see `mnist_edge.formats.build.Exporter`."""
    return [_export_one(header) for header in headers(model, requests)]


def _export_one(header: Header) -> Bundle:
    module = compile_module(header)
    files = {
        MODULE: module,
        "index.mjs": es_module(header, module).encode(),
        "index.d.mts": _template("index.d.mts").encode(),
    }
    return Bundle(files, folder=True).with_sidecar(metadata_of(header.contract, header.vectors))


def compile_module(header: Header) -> bytes:
    """Return a network and its preprocessing as a WebAssembly module; raises `UserError` where that can't be done."""
    try:
        task = header.contract.task
        return _compiled(write(header), header.prefix, task.preprocessing, task.input.shape)
    except ArtifactError as error:
        raise UserError(f"cannot make WebAssembly: {error}") from error


@lru_cache(maxsize=16)
def _compiled(header: str, prefix: str, key: str, shape: tuple[int, int, int]) -> bytes:
    """Return the C of a network and of its preprocessing as a WebAssembly module; raises `ArtifactError`."""
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as name:
        folder = Path(name)
        (folder / "net.h").write_text(header, encoding="utf-8")
        (folder / "builtins.h").write_text(template("builtins.h"), encoding="utf-8")
        (folder / "module.c").write_text(named(_template("module.c"), prefix), encoding="utf-8")
        prepared: tuple[str, ...] = ()
        if key in C_HEADERS:
            (folder / Path(C_HEADERS[key]).name).write_text(c_header(key), encoding="utf-8")
            _, height, width = shape
            prepared = (f"-DWITH_{key.upper().replace('/', '_V')}", f"-DWIDTH={width}", f"-DHEIGHT={height}")
        compile_c([*zig(), *FLAGS, *prepared, *_LINKED, "-o", MODULE, "module.c"], folder)
        return (folder / MODULE).read_bytes()


def es_module(header: Header, module: bytes) -> str:
    """Return the ES module of a network, with its contract and its WebAssembly's checksum, by which it knows it.

    Versions of packages are in the metadata alone.
    """
    fields = json.loads(header.contract.to_json())
    del fields["producer"]
    text = json.dumps(fields, indent=2, sort_keys=True)  # ASCII, with all quotes escaped: no way out of the code
    no_tags = text.replace("<", "\\u003c")  # nor out of a page that it stands in
    known = _template("index.mjs").replace("@title@", header.title).replace("@adler32@", str(zlib.adler32(module)))
    return known.replace("@contract@", no_tags)  # last: a label may hold any text


def _template(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
