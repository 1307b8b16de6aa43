"""Draw `proof.png`, the README's picture: what is read of five pictures by the trained model and by every export of it.

Nothing in it is typed: the released checkpoint is exported to every format and precision, each file reads the pictures
in its own runtime, and beside its answers stands what its comparison on the test images came to. The last row is the
export of `broken_export.py` that lost an activation. It is refused, so it is written without consent to be read with.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from broken_export import changed, drop_relu, followed_by, unjudged
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray
from PIL import Image, ImageOps

import mnist_edge
from mnist_edge import Recognizer
from mnist_edge.exporting.pipeline import ParityError
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, eager_predictor, load_reference
from mnist_edge.parity.verify import verify_path
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.training.figures import save_figure

ROOT = Path(__file__).parent.parent
EXAMPLES = ["seven.png", "five.png", "nine.jpg", "two.png", "three.jpg"]
FORMAT_NAMES = {"onnx": "ONNX", "torchscript": "TorchScript", "torch-export": "torch.export"}

WIDTH, HEIGHT = 1660, 964  # twice what a README shows it at
PAPER, CARD, INK, FAINT, SAME, OTHER = "#0f1720", "#18232f", "#eef3f7", "#8fa1b3", "#58d68d", "#ff6b6b"
LEFT, COLUMN, PICTURE, GAP, ROW = 56, 156, 140, 16, 58
PICTURES = 380
VERDICT = PICTURES + len(EXAMPLES) * COLUMN + 28
TOP = 112


@dataclass(frozen=True)
class Row:
    """A file's line: what it is, the label it reads in each picture, and the verdict; none on the trained model."""

    title: str
    detail: str
    labels: list[str]
    report: ParityReport | None = None


def draw() -> None:
    """Export, read and draw."""
    reference = load_reference(ROOT / "release" / "mnist-mlp.safetensors", ROOT / "data")
    builtin = Recognizer()
    pictures, inputs = [], []
    for name in EXAMPLES:
        inspection = builtin.inspect(ROOT / "examples" / name)
        assert inspection.picture is not None, "the examples hold digits"
        assert inspection.preprocessing is not None, "the examples hold digits"
        pictures.append(on_white(apply_exif_orientation(inspection.picture)))
        inputs.append(inspection.preprocessing.tensor[0, 0])
    with tempfile.TemporaryDirectory() as folder:
        rows = [trained(reference, inputs), *exported(reference, Path(folder)), refused(reference, Path(folder))]
    save_figure(sheet(pictures, inputs, rows, len(reference.images)), ROOT / "docs" / "proof.png")


def on_white(picture: Image.Image) -> Image.Image:
    """Return a picture without transparency, as viewers show it."""
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")


def trained(reference: Reference, inputs: Sequence[NDArray[np.float32]]) -> Row:
    """Return what the trained model reads, in eager PyTorch."""
    answers = eager_predictor(reference.checkpoint)(np.stack(inputs)[:, np.newaxis]).argmax(axis=1)
    return Row("trained model", "PyTorch", [reference.checkpoint.task.labels[answer] for answer in answers])


def exported(reference: Reference, folder: Path) -> list[Row]:
    """Return what each exported file reads."""
    precisions = [Precision.FP32, Precision.FP16, Precision.INT8]
    artifacts = mnist_edge.export(reference, formats=list(FORMAT_NAMES), precisions=precisions, output=folder)
    return [
        Row(FORMAT_NAMES[artifact.format], artifact.contract.precision, read_by(artifact.path), artifact.report)
        for artifact in artifacts
    ]


def refused(reference: Reference, folder: Path) -> Row:
    """Return what an export that lost an activation would read, after seeing that `export` leaves no file of it."""
    path = folder / "refused.onnx"
    with followed_by(drop_relu):
        try:
            mnist_edge.export(reference, output=folder / "refused")
        except ParityError:
            assert not list((folder / "refused").glob("*.onnx")), "what is refused leaves no file"
        else:
            raise AssertionError("an export without its activation was not refused")
    path.write_bytes(changed(unjudged(reference), drop_relu).with_checksum().data)
    return Row("ONNX", "a ReLU lost", read_by(path), verify_path(path, reference))


def read_by(model: Path) -> list[str]:
    """Return the label that a file reads in each example."""
    answers = Recognizer(model).predict([ROOT / "examples" / name for name in EXAMPLES])
    return [answer.label or "–" for answer in answers]


def sheet(
    pictures: Sequence[Image.Image], inputs: Sequence[NDArray[np.float32]], rows: Sequence[Row], images: int
) -> Figure:
    """Return the drawing, with y downwards in pixels; `images` is the number of test images."""
    figure = Figure(figsize=(WIDTH / 130, HEIGHT / 130), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    _text(axes, LEFT, 60, "An exported file agrees with the trained model, or there is no file", 18, weight="bold")
    size = (2 * PICTURE, 2 * PICTURE)
    draw_pictures(axes, TOP, "picture", [np.asarray(ImageOps.fit(picture, size)) for picture in pictures])
    grays = [np.repeat(image[..., np.newaxis], 3, axis=2) for image in inputs]
    draw_pictures(axes, TOP + PICTURE + GAP, "what the\nmodel sees", grays)
    _text(axes, VERDICT, TOP + 2 * PICTURE - 44, f"{images:,} test images decide:", 13, weight="bold")
    _text(axes, VERDICT, TOP + 2 * PICTURE + 2, "the same answers, and how\nmany are needed", 11, FAINT)
    top = TOP + 2 * (PICTURE + GAP) + 8
    for number, row in enumerate(rows):
        apart = (number > 0) * 12 + (number == len(rows) - 1) * 16
        draw_row(axes, top + number * ROW + apart, row, rows[0].labels)
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    return figure


def draw_pictures(axes: Axes, top: float, title: str, pictures: Sequence[NDArray[np.generic]]) -> None:
    """Draw a row of pictures, `[height, width, 3]`."""
    _text(axes, LEFT, top + PICTURE / 2, title, 13, FAINT)
    for column, picture in enumerate(pictures):
        left = PICTURES + column * COLUMN
        box = FancyBboxPatch((left, top), PICTURE, PICTURE, "round,pad=0,rounding_size=10", fc="none", ec="none")
        axes.add_patch(box)
        image = axes.imshow(
            picture, extent=(left, left + PICTURE, top + PICTURE, top), interpolation="nearest", aspect="auto"
        )
        image.set_clip_path(box)


def draw_row(axes: Axes, top: float, row: Row, expected: Sequence[str]) -> None:
    """Draw a file's answers, those that are not the trained model's in another color, and its verdict."""
    middle, passed = top + (ROW - 8) / 2, row.report is None or bool(row.report)
    edge = "none" if passed else OTHER
    shape = "round,pad=0,rounding_size=10"
    axes.add_patch(FancyBboxPatch((LEFT - 20, top), WIDTH - 2 * LEFT + 40, ROW - 8, shape, fc=CARD, ec=edge, lw=1.5))
    _text(axes, LEFT, middle, row.title, 13, weight="bold")
    _text(axes, PICTURES - 28, middle, row.detail, 12, FAINT if passed else OTHER, ha="right")
    for column, (label, right) in enumerate(zip(row.labels, expected, strict=True)):
        color = INK if row.report is None else SAME if label == right else OTHER
        where = PICTURES + column * COLUMN + PICTURE / 2
        _text(axes, where, middle, label, 19, color, ha="center", weight="bold")
    if row.report is None:
        _text(axes, VERDICT, middle, "the reference", 12, FAINT)
        return
    assert row.report.statistics is not None, "all of them can be run"
    assert row.report.tolerance is not None, "all of them can be run"
    images = row.report.images
    same, needed = images - len(row.report.statistics.changed), math.ceil(row.report.tolerance.min_agreement * images)
    verdict, color = ("passed", SAME) if row.report else ("refused", OTHER)
    _text(axes, VERDICT + 80, middle, f"{same:,}", 13, ha="right")
    _text(axes, VERDICT + 100, middle, f"≥ {needed:,}", 12, FAINT)
    _text(axes, WIDTH - LEFT, middle, verdict, 13, color, ha="right", weight="bold")


def _text(
    axes: Axes, x: float, y: float, text: str, size: float, color: str = INK, ha: str = "left", weight: str = "normal"
) -> None:
    va = "center" if "\n" in text else "center_baseline"
    axes.text(x, y, text, fontsize=size, color=color, ha=ha, va=va, weight=weight)


if __name__ == "__main__":
    draw()
