"""The build side in Python: `export` and `verify`, as small as `Recognizer`."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from numpy.typing import ArrayLike
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact, export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.registry import FORMATS, format_of
from mnist_edge.formats.scheme import Precision
from mnist_edge.formats.targets import check_target_images, chosen_targets
from mnist_edge.parity.devices import read_on_devices
from mnist_edge.parity.module_reference import module_reference
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, load_reference
from mnist_edge.parity.tolerance import NO_GOALS, Goals
from mnist_edge.parity.verify import verify_path

PathLike = str | os.PathLike[str]


def export(
    model: PathLike | Reference | nn.Module,
    images: ArrayLike | Tensor | None = None,
    labels: ArrayLike | Tensor | None = None,
    *,
    formats: Sequence[str] = ("onnx",),
    precisions: Sequence[str] | None = None,
    output: PathLike = "exports",
    data_dir: PathLike = "data",
    options: Mapping[str, int] | None = None,
    goals: Goals = NO_GOALS,
    scheme: str | None = None,
    architecture: str | None = None,
    targets: Sequence[str] = (),
    target_images: int | None = None,
    test_data: bool = False,
    force: bool = False,
) -> list[Artifact]:
    """Export a trained model in each format and precision, all or nothing, each with its proof.

        for artifact in mnist_edge.export("checkpoints/mnist-mlp.safetensors", precisions=["fp32", "int8"]):
            print(artifact.path, artifact.report.max_abs_diff)

    Args:
        model: a checkpoint that `mnist-edge train` or `import` wrote; or a module of your own, with images and labels;
            or a `Reference` that `load_reference` or `module_reference` made of either, which saves answering the
            images again.
        images: for a module, and for nothing else, what it is judged on, as `module_reference` takes them, which has
            further settings.
        labels: the same, the class index of each image.
        formats: names that `mnist-edge formats` lists.
        precisions: `fp32`, `fp16`, `int8`, `int4`; a format that does not have one is passed over for it. None is the
            first one that each format has: fp32, where it has that.
        output: the folder to write to; made where it is missing.
        data_dir: for the path of a checkpoint, the folder that holds the data set.
        options: of the formats, such as `{"opset": 17}`.
        goals: what each artifact must keep beyond the tolerance of its scheme.
        scheme: how quantized artifacts are stored, where some are asked for; None compares all and takes the best.
        architecture: for a checkpoint of your own network, its code, `path/to/net.py:Net`, which is run.
        targets: emulated devices that a C header must give the same logits on, such as `cortex-m4`, or `all`.
        target_images: with targets, on how many of the images, at least 1; None for all.
        test_data: whether the test vectors are also written to `test-data/`, for the test harnesses of other runtimes.
        force: whether files of these names that are not artifacts of mnist-edge are replaced.

    Returns:
        The artifacts that were written; each has its `ParityReport`.

    Raises:
        UserError: a file can't be read or written, an artifact does not match the trained model (`ParityError`), or
            a format can't give what was asked, or arguments do not go together. The folder is as it was.
    """
    _check_arguments(model, images, labels, architecture)
    chosen = [FORMATS[name] for name in _all_known("format", formats, FORMATS)]
    settings = ExportSettings(
        formats=chosen,
        precisions=None if precisions is None else _precisions(precisions),
        options=options or {},
        goals=goals,
        scheme=scheme,
        targets=chosen_targets(targets, chosen),
        target_images=target_images,
        test_data=test_data,
        force=force,
    )
    if (scheme is not None or goals.max_bytes is not None) and not settings.quantizes:
        raise UserError("scheme and max_bytes go with a precision below fp32: name one, such as precisions=['int8']")
    if isinstance(model, nn.Module):
        return export_artifacts(_reference_of_module(model, images, labels), settings, Path(output))
    return export_artifacts(_reference(model, data_dir, architecture), settings, Path(output))


def verify(
    artifact: PathLike,
    checkpoint: PathLike | Reference,
    *,
    data_dir: PathLike = "data",
    layers: bool = False,
    architecture: str | None = None,
    targets: Sequence[str] = (),
    target_images: int | None = None,
) -> ParityReport:
    """Judge an exported artifact against the checkpoint that it came from.

        report = mnist_edge.verify("exports/mnist-mlp.onnx", "checkpoints/mnist-mlp.safetensors")
        assert report, report.problems

    Args:
        artifact: what `export` wrote.
        checkpoint: what `mnist-edge train` or `import` wrote, or a `Reference` that `load_reference` or
            `module_reference` made.
        data_dir: for the path of a checkpoint, the folder that holds the data set.
        layers: whether to compare layer by layer too.
        architecture: for a checkpoint of your own network, its code, `path/to/net.py:Net`, which is run.
        targets: emulated devices that a C header must give the same logits on, such as `cortex-m4`, or `all`.
        target_images: with targets, on how many of the images, at least 1; None for all.

    Returns:
        The verdict, truthy when it passed, with every check and figure. A file that can't be read fails, and so does
        one whose format needs a package that is not installed.

    Raises:
        UserError: the checkpoint or the data can't be read, arguments do not go together, or a package that a target
            needs is not installed.
    """
    _check_arguments(checkpoint, None, None, architecture)
    path = Path(artifact)
    check_target_images(target_images, targets)
    devices = chosen_targets(targets, [format_of(path)]) if targets else ()
    reference = _reference(checkpoint, data_dir, architecture)
    report = verify_path(path, reference, layers=layers)
    return read_on_devices(report, reference, devices, images=target_images) if devices else report


def _check_arguments(
    model: PathLike | Reference | nn.Module,
    images: ArrayLike | Tensor | None,
    labels: ArrayLike | Tensor | None,
    architecture: str | None,
) -> None:
    """Refuse what would be ignored; raises `UserError`."""
    if not isinstance(model, nn.Module) and not (images is None and labels is None):
        raise UserError(
            "images and labels go with a module: leave them out, a checkpoint is judged on its own test images"
        )
    if isinstance(model, nn.Module | Reference) and architecture is not None:
        raise UserError("architecture goes with the path of a checkpoint: leave it out")


def _reference(checkpoint: PathLike | Reference, data_dir: PathLike, architecture: str | None) -> Reference:
    return checkpoint if isinstance(checkpoint, Reference) else load_reference(checkpoint, data_dir, architecture)


def _reference_of_module(
    module: nn.Module, images: ArrayLike | Tensor | None, labels: ArrayLike | Tensor | None
) -> Reference:
    if images is None or labels is None:
        raise UserError("a module is judged on labeled images: give export() images and labels too")
    return module_reference(module, images, labels)


def _precisions(names: Iterable[str]) -> list[Precision]:
    return [Precision(name) for name in _all_known("precision", names, Precision)]


def _all_known(kind: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return names that are known, each once; raises `UserError` where one is not, or where a single one was given."""
    if isinstance(names, str):
        raise UserError(f"the {kind}s are {names!r}, expected a list of names: [{names!r}]")
    allowed, names = list(known), list(names)
    if unknown := [name for name in names if name not in allowed]:
        raise UserError(f"unknown {kind} {unknown[0]!r}: expected one of {', '.join(allowed)}")
    return list(dict.fromkeys(names))
