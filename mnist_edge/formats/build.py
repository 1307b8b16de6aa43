"""What the build side of a format gives: exporter and inspector, and what they exchange."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import Scheme
from mnist_edge.types import AnyArray, BoolMask, Images, Labels, Logits, Predict, TensorSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class TrainedAnswers:
    """The test images, and what the trained model answers.

    Attributes:
        images: float32 `[N, channels, height, width]`.
        labels: int64 `[N]`.
        logits: float32 `[N, classes]`.
    """

    images: Images
    labels: Labels
    logits: Logits


@dataclass(frozen=True)
class ExportRequest:
    """One artifact that an exporter is asked for.

    Attributes:
        contract: what the artifact shall carry.
        test_vectors: the same, of the trained model, with the bound of the scheme.
        scheme: how it is to be stored and computed.
        calibration: images that were not trained on, float32 `[N, channels, height, width]`: a scheme whose steps are
            fixed takes them from what these give.
        trained: the test images and the trained model's answers, for an artifact that states its own figures.
    """

    contract: Contract
    test_vectors: TestVectors
    scheme: Scheme
    calibration: Images
    trained: TrainedAnswers


class Exporter(Protocol):
    """The module `exporter` of a format; it runs on the build machine."""

    def export(self, model: "nn.Module", requests: Sequence[ExportRequest]) -> list[Bundle]:
        """Return an artifact for each request, with its metadata and a place for its checksum.

        Args:
            model: the trained model, in `eval()`.
            requests: of one checkpoint, in every precision that is asked for; they differ in their scheme.

        Raises:
            UserError: the format can't give what was asked.
        """
        ...


class ChainExporter(Exporter, Protocol):
    """The same of a format that takes chains of layers only."""

    def check_network(self, model: "nn.Module", tensor: TensorSpec) -> None:
        """Refuse a network, given images of that kind, that it can't hold; raises `UserError`."""
        ...


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A weight as an artifact stores it.

    Attributes:
        dequantized: what it stands for, float32, in the checkpoint's layout.
        step: between two neighboring values that could be stored, of a shape that broadcasts; 0 for float32.
        saturated: where the stored number is the least or greatest there is, so that rounding may have been cut off.
    """

    dequantized: AnyArray
    step: AnyArray
    saturated: BoolMask

    def transposed(self) -> "StoredTensor":
        """Return it with its axes in the opposite order."""
        return StoredTensor(self.dequantized.T, self.step.T, self.saturated.T)


def float_tensor(values: AnyArray) -> StoredTensor:
    """Return a weight that is stored as float32."""
    return StoredTensor(values, np.zeros(1, np.float32), np.zeros(1, np.bool_))


def half_tensor(values: AnyArray) -> StoredTensor:
    """Return a weight that is stored as float16: neighboring values are 2⁻¹⁰ of their size apart (IEEE 754)."""
    below_greatest = np.minimum(np.abs(values), np.float16(2**15))  # as far apart as at 65,504, which has one neighbor
    return StoredTensor(values.astype(np.float32), np.spacing(below_greatest).astype(np.float32), np.zeros(1, np.bool_))


def int8_tensor(levels: AnyArray, scale: AnyArray, zero_point: AnyArray | None, axis: int) -> StoredTensor:
    """Return a weight that is stored in 8 bits and stands for (levels - zero point) · scale.

    Args:
        levels: int8 or uint8.
        scale: one number, or one for each index along `axis`.
        zero_point: the same, or None for 0.
        axis: of the output channels.
    """
    shape = [-1 if side == axis else 1 for side in range(levels.ndim)]
    step = scale.astype(np.float32).reshape(shape if scale.size > 1 else [1] * levels.ndim)
    zero = np.zeros(1, np.int32) if zero_point is None else zero_point.astype(np.int32).reshape(-1)
    shifted = levels.astype(np.int32) - (zero.reshape(shape) if zero.size > 1 else zero)
    limits = np.iinfo(levels.dtype)
    return StoredTensor(
        dequantized=(shifted * step).astype(np.float32),
        step=step,
        saturated=(levels == limits.min) | (levels == limits.max),
    )


def scaled_tensor(levels: AnyArray, scale: AnyArray, limits: tuple[int, int]) -> StoredTensor:
    """Return a weight that is stored in few bits and stands for levels · scale.

    Args:
        levels: whole numbers.
        scale: float32, of a shape that broadcasts.
        limits: least and greatest level that could be stored.
    """
    return StoredTensor((levels * scale).astype(np.float32), scale, (levels == limits[0]) | (levels == limits[1]))


@dataclass(frozen=True)
class ModelSummary:
    """What an artifact is made of.

    Attributes:
        operators: how often each occurs.
        parameters: how many numbers were learned.
        tensors: element type and shape of each tensor of them.
    """

    operators: dict[str, int]
    parameters: int
    tensors: dict[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Inspection:
    """What the build machine reads in an artifact.

    Attributes:
        summary: what it is made of.
        weights: what it stores, under the trained model's names.
        problems: a line for each way in which its structure is not as its contract and test vectors say.
    """

    summary: ModelSummary
    weights: Mapping[str, StoredTensor]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class LayerIO:
    """What an artifact computes at one layer with weights, for a batch of images.

    Attributes:
        input: before any quantization, float32 `[N, …]`.
        output: before the activation function, float32 `[N, …]`; batch normalization is part of the layer.
    """

    input: AnyArray
    output: AnyArray


@dataclass(frozen=True)
class Intermediates:
    """An artifact, open so that the values between its layers can be seen.

    Attributes:
        run: images → the values at each layer, by the name of the trained model's module, and the logits; raises
            `ArtifactError` where the artifact does not take a batch.
        weights: weight and bias of each layer as the trained model's module has them, float32, dequantized and with
            batch normalization folded in; layers whose weights can't be read are missing.
        close: lets go of sessions and child processes.
    """

    run: Callable[[Images], tuple[dict[str, LayerIO], Logits]]
    weights: Mapping[str, tuple[AnyArray, AnyArray]]
    close: Callable[[], None] = lambda: None


class Inspector(Protocol):
    """The module `inspector` of a format; it runs on the build machine.

    A format without `intermediates` has no `open_intermediates`.
    """

    def inspect(self, bundle: Bundle, runner: Runner) -> Inspection:
        """Return what can be read in an artifact that its runner has opened; raises `ArtifactError`."""
        ...

    def program(self, bundle: Bundle) -> Mapping[str, bytes]:
        """Return what an artifact computes, without its metadata and its checksum, as bytes by name.

        It is the same for the same model, scheme, options and versions. A format with a sidecar needs none.
        """
        ...

    def open_intermediates(self, bundle: Bundle, names: tuple[str, ...]) -> Intermediates:
        """Open an artifact so that the layers of these names, in the order of the computation, can be seen.

        Raises:
            ArtifactError: it can't be run, or its layers can't be told apart.
        """
        ...


class HarnessModule(Protocol):
    """The module `harness` of a format; it runs on the build machine."""

    def harness_files(self, bundle: Bundle, vectors: TestVectors) -> dict[str, bytes]:
        """Return an artifact's test vectors as the test harness of the format's own runtime takes them, by name."""
        ...


@dataclass(frozen=True)
class ForeignTensor:
    """An input or output of a file that somebody else made.

    Attributes:
        name: in the graph.
        dtype: element type.
        shape: sides; a text is a side of any size.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Outline:
    """What can be read in a file that somebody else made, without running it.

    Attributes:
        producer: what wrote it, as it says itself; empty where it says nothing.
        opsets: version of each set of operators that it needs.
        inputs: what it takes.
        outputs: what it gives.
        operators: how often each occurs.
        parameters: how many numbers are stored.
        refusal: why it is not run here; empty where it can be.
    """

    producer: str
    opsets: Mapping[str, int]
    inputs: tuple[ForeignTensor, ...]
    outputs: tuple[ForeignTensor, ...]
    operators: Mapping[str, int]
    parameters: int
    refusal: str


class ForeignReader(Protocol):
    """The module `foreign` of a format; it runs on the build machine."""

    def outline(self, bundle: Bundle, *, trusted: bool = False) -> Outline | None:
        """Return what a file is, or None where it carries a contract of ours; raises `ArtifactError`.

        One that is `trusted`, which the caller made, may have any size.
        """
        ...

    def open_foreign(self, bundle: Bundle, found: Outline) -> Predict:
        """Open a file with this outline to run it, on float32 of the shape of its input; raises `ArtifactError`."""
        ...

    def open_trusted(self, path: Path) -> Predict:
        """Open a file that the caller made, unchecked, with what lies beside it; raises `ArtifactError`."""
        ...
