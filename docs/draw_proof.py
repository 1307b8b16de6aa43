"""Draw `proof.png`, the README's picture: what the exports of the released checkpoint come to, and what they read."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec
from matplotlib.transforms import Bbox

import mnist_edge
from mnist_edge import Artifact, Recognizer
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.reference import load_reference
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.runtime.recognizer import Inspection

ROOT = Path(__file__).parent.parent
EXAMPLES = ["seven.png", "five.png", "two.png", "three.jpg"]


def draw() -> None:
    """Export the released checkpoint to a temporary folder, read the examples with its int8 file, and draw both."""
    reference = load_reference(ROOT / "release" / "mnist-mlp.safetensors", ROOT / "data")
    with tempfile.TemporaryDirectory() as folder:
        artifacts = mnist_edge.export(reference, formats=list(FORMATS), precisions=list(Precision), output=folder)
        recognizer = Recognizer(Path(folder) / "mnist-mlp-int8.onnx")
        seen = [recognizer.inspect(ROOT / "examples" / name) for name in EXAMPLES]

    figure = plt.figure(figsize=(9, 6.6), dpi=130)
    grid = GridSpec(3, 4, figure=figure, height_ratios=(1.25, 1, 1.15), hspace=0.3, top=0.9, bottom=0.02)
    for column, (name, inspection) in enumerate(zip(EXAMPLES, seen, strict=True)):
        draw_example(figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column]), name, inspection)
    draw_proof(figure.add_subplot(grid[2, :]), artifacts, len(reference.images))
    figure.suptitle("Four pictures, what the model saw of each, and the proof that came with the model", y=0.97)
    figure.savefig(Path(__file__).parent / "proof.png")


def draw_example(given: Axes, seen: Axes, name: str, inspection: Inspection) -> None:
    """Draw a picture as it was given, and below it the 28×28 pixels the model saw, with its answer."""
    answer = inspection.prediction
    assert inspection.picture is not None and inspection.preprocessing is not None, "the examples hold digits"  # noqa: PT018
    given.imshow(apply_exif_orientation(inspection.picture))
    given.set_title(name, fontsize=10)
    seen.imshow(inspection.preprocessing.tensor[0, 0], cmap="gray", vmin=0, vmax=1)
    seen.set_title(f"{answer.digit}  ({answer.confidence:.1%})", fontsize=12, fontweight="bold")
    for axes in (given, seen):
        axes.set_xticks([])
        axes.set_yticks([])


def draw_proof(axes: Axes, artifacts: list[Artifact], images: int) -> None:
    """Draw the figures of each artifact's proof as a table."""
    axes.axis("off")
    columns = ["exported file", "bytes", "largest |Δlogit|", "agreement", "accuracy", "trained model", "parity"]
    rows = [
        [
            artifact.path.name,
            f"{artifact.size:,}",
            f"{artifact.report.max_abs_diff:.2g}",
            f"{artifact.report.agreement:.2%}",
            f"{artifact.report.accuracy:.2%}",
            f"{artifact.report.reference_accuracy:.2%}",
            "passed" if artifact.report else "FAILED",
        ]
        for artifact in artifacts
    ]
    widths = [0.24, 0.11, 0.16, 0.14, 0.11, 0.14, 0.1]
    table = axes.table(
        cellText=rows, colLabels=columns, colWidths=widths, cellLoc="right", bbox=Bbox.from_bounds(0, 0, 1, 0.9)
    )
    table.auto_set_font_size(value=False)
    table.set_fontsize(9)
    for (row, _), cell in table.get_celld().items():
        cell.set_edgecolor("0.85")
        cell.set_facecolor("0.93" if row == 0 else "white")
    axes.set_title(f"Every export, compared with the trained model on {images:,} test images", fontsize=10)


if __name__ == "__main__":
    draw()
