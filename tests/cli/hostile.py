"""Text that steers a terminal, forges lines, or is markup, where a stranger can put it."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from mnist_edge.runtime.builtin_models import DEFAULT_MODEL
from mnist_edge.training.checkpoint import Checkpoint, save_checkpoint
from mnist_edge.types import GrayImage
from tests.damage import edits

UNSAFE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What must not reach a terminal, an HTML page or an XML file, but for the newlines of their own."""

TEXT = "\x1b]0;title\x07\x9b31m\r\nforged\u202e\u2066[/b]<script>alert(1)</script>$x_{$\u2028\x85" + "A" * 110
"""Renames the window, colors, forges a line, reverses, closes markup, opens a script, and is not quite a formula."""

NAME = "]" + TEXT.replace("/", "") + "\udcff"
"""Of files in a folder named `[`, so that their path closes markup."""


@dataclass(frozen=True)
class Files:
    """Files with hostile names and, but for the picture, hostile text in them.

    Attributes:
        folder: that holds them all.
        model: an ONNX file that runs; each text of its contract but the labels is hostile, each name in its graph too.
        labels: an ONNX file whose labels are hostile.
        unknown: an ONNX file with an operator and a field of the contract that do not exist.
        broken: neither a model nor a picture, with the suffix of an ONNX file.
        checkpoint: can be exported; its labels and its producer are hostile.
        stranger: a checkpoint of an architecture and a recipe that do not exist.
        picture: of a digit.
        unreadable: not a picture, with the suffix of one.
        missing: does not exist.
    """

    folder: Path
    model: Path
    labels: Path
    unknown: Path
    broken: Path
    checkpoint: Path
    stranger: Path
    picture: Path
    unreadable: Path
    missing: Path


def write_files(folder: Path, checkpoint: Checkpoint, image: GrayImage) -> Files:
    """Write the files into a folder.

    Args:
        folder: that is there.
        checkpoint: of the built-in model's architecture.
        image: of a digit, as MNIST has it.
    """
    suffixes = {
        "model": ".onnx", "labels": ".onnx", "unknown": ".onnx", "broken": ".onnx",
        "checkpoint": ".safetensors", "stranger": ".safetensors",
        "picture": ".png", "unreadable": ".png", "missing": ".onnx",
    }  # fmt: skip
    files = Files(folder, **{name: folder / f"{NAME}{name}{suffix}" for name, suffix in suffixes.items()})
    good = DEFAULT_MODEL.read_bytes()
    files.model.write_bytes(edits.tampered(good, hostile_words))
    files.labels.write_bytes(edits.tampered(good, edits.set_contract("task.labels", labels())))
    files.unknown.write_bytes(edits.tampered(good, unknown_words))
    files.broken.write_bytes(TEXT.encode())
    files.unreadable.write_bytes(TEXT.encode())
    Image.fromarray((255 * (1 - image)).astype(np.uint8)).resize((112, 112)).save(files.picture)
    task = dataclasses.replace(checkpoint.task, labels=tuple(labels()))
    hostile = dataclasses.replace(checkpoint, task=task, producer={TEXT: TEXT}, file_digest=None)
    save_checkpoint(files.checkpoint, hostile)
    assert checkpoint.recipe is not None
    recipe = dataclasses.replace(checkpoint.recipe, name=TEXT)
    save_checkpoint(files.stranger, dataclasses.replace(hostile, architecture=TEXT, recipe=recipe))
    return files


def labels() -> list[str]:
    return [f"{number}{TEXT}\udcff" for number in range(10)]


def hostile_words(model: onnx.ModelProto) -> None:
    for field in ("architecture", "license", "precision", "scheme"):
        edits.set_contract(field, TEXT + "\udcff")(model)
    edits.set_contract("producer", {TEXT: TEXT})(model)
    model.producer_name = model.doc_string = model.graph.name = TEXT
    between = {name for node in model.graph.node for name in node.output} - {model.graph.output[0].name}
    for node in model.graph.node:
        node.name = node.doc_string = TEXT + node.name
        for names in (node.input, node.output):
            names[:] = [TEXT + name if name in between else name for name in names]


def unknown_words(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = TEXT
    edits.set_contract(TEXT, TEXT)(model)
