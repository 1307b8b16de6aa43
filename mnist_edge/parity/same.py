"""One assertion for a test: an exported file gives what a module gives."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.build import Outline
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.formats.scheme import FLOAT32, Tolerance
from mnist_edge.parity.given import Array, as_array
from mnist_edge.parity.logits import absolute_differences, largest_logit
from mnist_edge.parity.tolerance import round_up
from mnist_edge.percent import percent_down, percent_of_bound, share_of
from mnist_edge.training.architectures.normalization import Normalization
from mnist_edge.types import Images, Logits, Predict

LARGEST_BATCH = 1_000
"""Images that module and file are given at once, where the file takes any number."""

MAX_NAMED = 5
"""Images with another answer that a message names."""

ALIKE = 0.95
"""Share of answers that no conversion goes below by rounding, while other images than expected do."""

Model = nn.Module | Callable[[Tensor], Tensor]
"""What gives logits, float32 `[N, classes]`, for images as the file takes them."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported file gives what a module gives, at the batch size at which it differs most.

    Attributes:
        images: on how many images.
        max_abs_diff: largest |Δlogit|.
        agreement: share of images with the same top-1 answer, in [0, 1].
        image: index of the image with that largest difference.
    """

    images: int
    max_abs_diff: float
    agreement: float
    image: int


def assert_same(
    model: Model,
    artifact: str | os.PathLike[str],
    images: Array,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    max_abs_diff: float | None = None,
    min_agreement: float | None = None,
) -> Agreement:
    """Fail unless an exported file gives what the model gives for these images.

        def test_the_exported_model_is_ours() -> None:
            parity.assert_same(net, "model.onnx", images)

    Each image is given to the file alone, and where it takes any number, up to 1,000 of them at once; a file of ours at
    the batch sizes of its scheme. An ONNX file may come from any exporter, and is taken for your own: it is run with
    whatever operators onnxruntime has. A file of `mnist_edge.export` is checked as `Recognizer` does first.

    Args:
        model: a module, which is run in `eval()` and left as it was, or another function.
        artifact: an ONNX file, or any artifact that `mnist_edge.export` wrote.
        images: float `[N, …]`, N > 0, as the file takes them, and the model too unless `mean` and `std` are given; a
            file of ours takes [0, 1].
        mean: with `std`, for a file that normalizes the images itself, as one that was exported with the same `mean`
            and `std` does, and a model that takes normalized ones; a number, or one for each channel.
        std: see `mean`.
        max_abs_diff: the largest |Δlogit| that passes. None is the tolerance of the file's scheme, or 1e-4 for a file
            of another exporter, and more where logits are beyond 50; `math.inf` leaves it to the answers.
        min_agreement: the least share of images whose greatest logit must be the same one, in [0, 1]; None likewise, or
            1.0 for a file of another exporter.

    Returns:
        The figures, where they pass.

    Raises:
        AssertionError: the file gives something else; the message says which image differs most, by how much, and what
            would have passed.
        UserError: the file can't be read or run, the images have more or fewer sides than it takes, they or the model's
            answers are not finite numbers, or a bound is one that everything or nothing keeps.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    _check_bounds(max_abs_diff, min_agreement)
    given, name = _as_images(images), _name_of(model)
    normalization = Normalization.given(mean, std, given.shape[1])
    with _opened(Path(artifact)) as opened:
        opened.check_sides(given)
        expected = _logits_of(model, name, normalization.applied(given) if normalization else given)
        found = {batch: opened.answers(given, batch) for batch in opened.batches}
    usual = opened.tolerance.for_logits(largest_logit(expected))
    tolerance = replace(
        opened.tolerance,
        max_abs_diff=usual.max_abs_diff if max_abs_diff is None else max_abs_diff,
        min_agreement=opened.tolerance.min_agreement if min_agreement is None else min_agreement,
    )
    for batch, logits in found.items():
        if problems := list(_problems(logits, expected, tolerance)):
            problems += opened.hints(given, logits, expected, normalized=normalization is not None)
            title = f"{artifact} does not give what {name} gives at batch {batch}:"
            raise AssertionError("\n  ".join((title, *problems)))
    return min((_agreement(logits, expected) for logits in found.values()), key=lambda each: -each.max_abs_diff)


def _check_bounds(max_abs_diff: float | None, min_agreement: float | None) -> None:
    """Refuse what bounds nothing, as NaN does, and a share in percent."""
    if max_abs_diff is not None and not max_abs_diff >= 0:
        raise UserError(f"max_abs_diff is {max_abs_diff}, expected a number from 0; math.inf leaves it to the answers")
    if min_agreement is not None and not 0 <= min_agreement <= 1:
        raise UserError(f"min_agreement is {min_agreement}, expected a share in [0, 1]")


@dataclass(frozen=True)
class _Opened:
    """A file, open in its own runtime: how it is given images, what it may differ by, and the range of one of ours."""

    path: Path
    shape: tuple[int | str, ...]
    predict: Predict
    batches: tuple[int, ...]
    tolerance: Tolerance
    fixed: bool
    range: tuple[float, float] | None = None

    def check_sides(self, images: Images) -> None:
        """Refuse images with more or fewer sides than the file takes, as a single one has, before the model does."""
        if images.ndim != 1 + len(self.shape):
            alone = "; a single image is image[None]" if images.ndim == len(self.shape) else ""
            taken = ", ".join(map(str, ("N", *self.shape)))
            raise UserError(f"the images are {list(images.shape)}, {self.path} takes [{taken}]{alone}")

    def hints(self, images: Images, found: Logits, expected: Logits, *, normalized: bool) -> Iterator[str]:
        """Yield a line where a file of ours differs since it, or the model, likely takes other images than these."""
        if self.range is None or found.shape != expected.shape:
            return
        (least, most), low, high = self.range, float(images.min()), float(images.max())
        if not least <= low <= high <= most:
            yield (
                f"the images hold values from {low:.4g} to {high:.4g}, the file takes [{least:g}, {most:g}]: give them "
                "as they were before they were normalized, and mean and std"
            )
        elif not normalized and _agreement(found, expected).agreement < ALIKE:
            yield "a file that was exported with mean and std normalizes the images itself: give mean and std here too"

    def answers(self, images: Images, batch: int) -> Logits:
        try:
            return predict_in_batches(self.predict, images, batch, pad=self.fixed)
        except ArtifactError as error:
            raise UserError(f"cannot run {self.path} on images {list(images.shape)}: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    """Open a file of ours, checked as wherever it is run, or one of another exporter, as it is."""
    artifact = read_artifact(path)
    if foreign := _foreign(artifact):
        yield foreign
        return
    with open_artifact(artifact) as runner:
        contract, spec = runner.contract, artifact.spec
        scheme = spec.scheme(contract.scheme)
        if scheme is None:
            raise UserError(f"cannot use {path}: its scheme {contract.scheme!r} is not known here, export it again")
        taken, batches, fixed = contract.task.input, spec.batches(scheme), contract.batch is not None
        yield _Opened(path, taken.shape, runner.predict, batches, scheme.tolerance, fixed, taken.range)


def _foreign(artifact: ArtifactFile) -> _Opened | None:
    """Open a file of another exporter; None where it is not one, or its format reads none."""
    reader = artifact.spec.foreign_reader()
    if reader is None:
        return None
    try:
        outline = reader.outline(artifact.bundle, trusted=True)
        if outline is None:
            return None
        first, *shape = _input_shape(outline)
        predict = reader.open_trusted(artifact.path)
    except ArtifactError as error:
        raise UserError(f"cannot use {artifact.path}: {error}; expected an ONNX model of a classifier") from error
    batches = (max(first, 1),) if isinstance(first, int) else (1, LARGEST_BATCH)
    return _Opened(artifact.path, tuple(shape), predict, batches, FLOAT32.tolerance, len(batches) == 1)


def _input_shape(outline: Outline) -> tuple[int | str, ...]:
    """Return the shape of a file's one input, names for sides that it leaves open; raises `ArtifactError`."""
    if len(outline.inputs) != 1 or len(outline.outputs) != 1:
        raise ArtifactError(
            f"it has {len(outline.inputs)} inputs and {len(outline.outputs)} outputs, expected one of each"
        )
    (taken,) = outline.inputs
    if taken.dtype != "float32" or not taken.shape:
        raise ArtifactError(f"its input is {taken.dtype} [{', '.join(map(str, taken.shape))}], expected float32 [N, …]")
    return taken.shape


def _as_images(images: Array) -> Images:
    array = as_array(images, "images")
    if array.ndim < 2 or not len(array) or not np.issubdtype(array.dtype, np.floating):
        scaled = "; divide bytes by 255" if array.dtype == np.uint8 else ""
        raise UserError(
            f"the images are {array.dtype} {list(array.shape)}, expected floating-point numbers [N, …]{scaled}"
        )
    if not np.isfinite(array).all():
        raise UserError("the images hold NaN or infinity, expected finite numbers")
    return np.ascontiguousarray(array, np.float32)


def _name_of(model: Model) -> str:
    return type(model).__name__ if isinstance(model, nn.Module) else getattr(model, "__name__", type(model).__name__)


def _logits_of(model: Model, name: str, images: Images) -> Logits:
    """Return what the model gives, float32 `[N, classes]`; what it raises is left to whoever reads the test."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    device = next((parameter.device for parameter in parameters), torch.device("cpu"))
    with _evaluating(model), torch.no_grad():
        parts = [model(torch.from_numpy(part).to(device)) for part in _parts(images)]
    for part in parts:
        if not isinstance(part, Tensor) or part.ndim != 2:
            kind = list(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise UserError(f"{name} gives {kind}, expected one tensor of logits [N, classes]")
    logits: Logits = torch.cat(parts).float().cpu().numpy()
    if bad := int((~np.isfinite(logits)).any(axis=1).sum()):
        raise UserError(f"{name} gives logits that are not finite numbers for {bad:,} of {len(logits):,} images")
    return logits


def _parts(images: Images) -> list[Images]:
    return [images[start : start + LARGEST_BATCH] for start in range(0, len(images), LARGEST_BATCH)]


@contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """Put a module into `eval()`, and each part of it back as it was."""
    training = [each for each in model.modules() if each.training] if isinstance(model, nn.Module) else []
    for each in training:
        each.training = False
    try:
        yield
    finally:
        for each in training:
            each.training = True


def _agreement(found: Logits, expected: Logits) -> Agreement:
    largest = absolute_differences(expected, found).max(axis=1)
    same = float(np.mean(found.argmax(axis=1) == expected.argmax(axis=1)))
    return Agreement(len(expected), float(largest.max()), same, int(largest.argmax()))


def _problems(found: Logits, expected: Logits, tolerance: Tolerance) -> Iterator[str]:
    """Yield a line for each way in which logits are not as expected, with the tolerance that would have passed."""
    if found.shape != expected.shape:
        yield f"it gives {list(found.shape)}, expected {list(expected.shape)}"
        return
    figures = _agreement(found, expected)
    image = figures.image
    output = int(absolute_differences(expected[image : image + 1], found[image : image + 1]).argmax())
    values = (
        f"image {image} differs most: output {output} is {found[image, output]:.6g}, expected "
        f"{expected[image, output]:.6g}"
    )
    allowed = tolerance.max_abs_diff
    if not math.isfinite(figures.max_abs_diff):
        yield f"some logits are not finite numbers; {values}"
    elif allowed is not None and figures.max_abs_diff > allowed:
        passing = f"max_abs_diff={round_up(figures.max_abs_diff):.3g} would have passed"
        yield f"largest |Δlogit| is {figures.max_abs_diff:.3g}, allowed {allowed:.3g} ({passing}); {values}"
    if figures.agreement < tolerance.min_agreement:
        share = percent_down(figures.agreement)
        passing = f"min_agreement={share_of(float(share)):g} would have passed"
        yield (
            f"{share}% of the answers are the same, required "
            f"{percent_of_bound(tolerance.min_agreement)}% ({passing}); {_other_answers(found, expected)}"
        )


def _other_answers(found: Logits, expected: Logits) -> str:
    answers, right = found.argmax(axis=1), expected.argmax(axis=1)
    others = np.flatnonzero(answers != right)
    named = [f"image {image} gets {answers[image]}, expected {right[image]}" for image in others[:MAX_NAMED]]
    more = len(others) - len(named)
    return ", ".join(named) + (f", and {more:,} more" if more else "")
