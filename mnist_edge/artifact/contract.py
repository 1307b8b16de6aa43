"""What an exported artifact expects and gives. The contract travels inside it, or beside it, and the runner obeys."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mnist_edge.artifact.fields import (
    check_integer,
    check_number,
    expect_fields,
    expect_version,
    one_line,
    parse_object,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_sha256,
    take_text,
    take_texts,
    take_versions,
)
from mnist_edge.errors import ContractError
from mnist_edge.types import TensorSpec

VERSION = 3
"""Version of the contract's layout."""

CONTRACT_KEY = "mnist_edge.contract"
"""Under this name an artifact carries its contract (ONNX `metadata_props`, TorchScript extra files, a sidecar)."""

BATCH = "batch"
"""Name of the symbolic first dimension of an artifact that takes any number of images."""

NO_LICENSE = "NOASSERTION"
"""What SPDX writes where nothing is said of the license (SPDX specification 2.3, section 7.13)."""

MAX_PIXELS = 1 << 24
"""Most values of one input image."""


@dataclass(frozen=True)
class Task:
    """What is to be told apart, and in what form it comes.

    Attributes:
        name: of the data set or the problem; file names begin with it.
        labels: what each output stands for, in the order of the outputs.
        input: one image as the model takes it.
        preprocessing: key in `mnist_edge.preprocessing.registry` of what turns a picture into that input.
    """

    name: str
    labels: tuple[str, ...]
    input: TensorSpec
    preprocessing: str

    def to_fields(self) -> dict[str, Any]:
        """Return the task as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Task":
        """Read what `to_fields` wrote.

        Raises:
            ValueError: something is missing, of another type, or out of range.
        """
        expect_fields(cls.__dataclass_fields__, fields)
        labels = take_texts(fields, "labels")
        if len(labels) < 2 or len(set(labels)) != len(labels):
            raise ValueError("labels are not at least two different ones")
        name = take_text(fields, "name")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ValueError(f"name {name!r} does not fit into a file name")
        return cls(name, labels, _tensor(take_object(fields, "input")), take_text(fields, "preprocessing"))


@dataclass(frozen=True)
class Contract:
    """The promises of one exported artifact.

    Attributes:
        task: what it tells apart, and its input.
        architecture: of the checkpoint.
        checkpoint: SHA-256 of the checkpoint that it was exported from.
        precision: the type in which the weights are stored.
        scheme: how they are stored and computed with, a name of the format's.
        producer: versions of the packages that wrote the artifact.
        options: of the format, such as the ONNX opset.
        batch: the only number of images that it takes at once, or None where it takes any.
        output: name of the output tensor.
        temperature: logits are divided by it before the softmax.
        energy_threshold: an answer with a lower energy score (`mnist_edge.training.ood`) is uncertain; 0 where none is.
        margin_threshold: the same of the margin between the two best labels.
        license: of the weights, an SPDX expression.
    """

    task: Task
    architecture: str
    checkpoint: str
    precision: str
    scheme: str
    producer: dict[str, str] = field(default_factory=dict)
    options: dict[str, int] = field(default_factory=dict)
    batch: int | None = None
    output: str = "logits"
    temperature: float = 1.0
    energy_threshold: float = 0.0
    margin_threshold: float = 0.0
    license: str = NO_LICENSE

    @property
    def input_shape(self) -> tuple[int | str, ...]:
        """Shape of the input tensor; a string is a symbolic dimension."""
        return (self.batch or BATCH, *self.task.input.shape)

    @property
    def output_shape(self) -> tuple[int | str, ...]:
        """Shape of the output tensor; a string is a symbolic dimension."""
        return (self.batch or BATCH, len(self.task.labels))

    def to_json(self) -> str:
        """Return the contract as one line of JSON; equal contracts give equal text."""
        return json.dumps({"version": VERSION, **dataclasses.asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "Contract":
        """Read what `to_json` wrote.

        Raises:
            ContractError: there is none (`text` is None), or it is not understood here.
        """
        if text is None:
            raise ContractError("it carries no mnist-edge contract")
        try:
            fields = parse_object(text)
            expect_version(fields, VERSION)
            del fields["version"]
            return cls._from_fields(fields)
        except ValueError as error:
            raise ContractError(f"its contract is not understood here ({one_line(error)})") from error

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> "Contract":
        expect_fields(cls.__dataclass_fields__, fields)
        batch, options = fields["batch"], take_object(fields, "options")
        return cls(
            task=Task.from_fields(take_object(fields, "task")),
            architecture=take_text(fields, "architecture"),
            checkpoint=take_sha256(fields, "checkpoint"),
            precision=take_text(fields, "precision"),
            scheme=take_text(fields, "scheme"),
            producer=take_versions(fields, "producer"),
            options={name: take_integer(options, name, 0, 2**31) for name in options},
            batch=None if batch is None else check_integer(batch, "batch", 1, 2**16),
            output=take_text(fields, "output"),
            temperature=take_number(fields, "temperature", 1e-6, 1e6),
            energy_threshold=take_number(fields, "energy_threshold", 0, 1e6),
            margin_threshold=take_number(fields, "margin_threshold", 0, 1e6),
            license=take_text(fields, "license"),
        )

    def differences(self, other: "Contract") -> list[str]:
        """Return a line for each promise that differs between this contract and `other`, with both values."""
        mine, theirs = (dict(_flat("", dataclasses.asdict(contract))) for contract in (self, other))
        return [
            f"{name} is {theirs.get(name)!r}, expected {mine.get(name)!r}"
            for name in dict.fromkeys([*mine, *theirs])
            if mine.get(name) != theirs.get(name)
        ]


def _tensor(fields: Mapping[str, Any]) -> TensorSpec:
    expect_fields(TensorSpec.__dataclass_fields__, fields)
    shape = tuple(check_integer(side, "shape", 1, 2**20) for side in take_list(fields, "shape"))
    pixels = 1
    for side in shape:
        pixels *= side
    limits = [check_number(value, "range") for value in take_list(fields, "range")]
    if len(shape) != 3 or pixels > MAX_PIXELS:
        raise ValueError("shape is not channels, height and width of an image")
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise ValueError("range is not a least and a greatest value")
    texts = {name: take_text(fields, name) for name in ("name", "layout", "dtype", "polarity")}
    return TensorSpec(**texts, shape=shape, range=(limits[0], limits[1]))


def _flat(prefix: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the values of nested fields under dotted names."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
