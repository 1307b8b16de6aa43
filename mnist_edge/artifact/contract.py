"""What an exported file expects and gives. The contract travels inside the file, and the runner obeys it."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

VERSION = 2
"""Version of the contract's layout."""

PREPROCESSING = 2
"""Version of `mnist_edge.runtime.image`: how a picture becomes the input."""

CONTRACT_KEY = "mnist_edge.contract"
"""Under this name a file carries its contract (ONNX `metadata_props`, TorchScript extra files)."""


UNQUANTIZED = "none"
"""The scheme of a file whose weights are floats."""


class ContractError(ValueError):
    """A contract is missing, damaged, or of a version that is not known here."""


@dataclass(frozen=True)
class Contract:
    """The promises of one exported file.

    Attributes:
        checkpoint: SHA-256 of the checkpoint that it was exported from.
        architecture: of that checkpoint.
        precision: `fp32` or `int8`, the type in which the weights are stored.
        scheme: how they were quantised, a name of the format's, or `none`.
        opset: ONNX opset of the graph, or None in a format that has none.
        producer: versions of the packages that wrote the file.
        input_name: name of the input tensor.
        input_layout: what its dimensions are: batch, channel, row, column.
        input_shape: its shape; a string is a symbolic dimension.
        input_dtype: its element type.
        input_range: least and greatest value.
        polarity: which is bright, the ink or the ground.
        output_name: name of the output tensor.
        output_shape: its shape.
        labels: what each output stands for.
        temperature: logits are divided by it before the softmax.
        certainty: an answer with less evidence (`mnist_edge.runtime.doubt`) is uncertain; 0 where none is.
        preprocessing: version of the picture preprocessing that the model was made for.
        licence: SPDX name of the weights' licence.
    """

    checkpoint: str
    architecture: str
    precision: str
    opset: int | None
    producer: dict[str, str]
    scheme: str = UNQUANTIZED
    input_name: str = "image"
    input_layout: str = "NCHW"
    input_shape: tuple[int | str, ...] = ("batch", 1, 28, 28)
    input_dtype: str = "float32"
    input_range: tuple[float, float] = (0.0, 1.0)
    polarity: str = "white-on-black"
    output_name: str = "logits"
    output_shape: tuple[int | str, ...] = ("batch", 10)
    labels: tuple[str, ...] = tuple("0123456789")
    temperature: float = 1.0
    certainty: float = 0.0
    preprocessing: int = PREPROCESSING
    licence: str = "Apache-2.0"

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
            fields: dict[str, Any] = json.loads(text)
            version = fields.pop("version")
            if version != VERSION:
                raise ContractError(f"its contract is of version {version}, expected {VERSION}")
            lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
            return cls(**{**fields, **lists})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise error if isinstance(error, ContractError) else ContractError("its contract is damaged") from error

    def differences(self, other: "Contract") -> list[str]:
        """Return a line for each promise that differs between this contract and `other`, with both values."""
        return [
            f"{field.name} is {getattr(other, field.name)!r}, expected {getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]
