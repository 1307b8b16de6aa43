"""Draw `proof.png`, the README's picture: what the exports of the released checkpoint come to, and what they read."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec
from matplotlib.transforms import Bbox
from PIL import ImageOps

from mnist_edge.exporting.pipeline import Artefact, export
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import load_reference
from mnist_edge.preprocessing import decode
from mnist_edge.preprocessing.mnist_v2 import pipeline as image
from mnist_edge.runtime.recognizer import Prediction, Recognizer

ROOT = Path(__file__).parent.parent
EXAMPLES = ["seven.png", "five.png", "two.png", "three.jpg"]


def draw() -> None:
    """Export the released checkpoint to a temporary folder, read the examples with its int8 file, and draw both."""
    reference = load_reference(ROOT / "release" / "mnist-mlp.safetensors", ROOT / "data")
    with tempfile.TemporaryDirectory() as folder:
        artefacts = export(reference, list(FORMATS.values()), ["fp32", "int8"], Path(folder))
        paths = [ROOT / "examples" / name for name in EXAMPLES]
        answers = Recognizer(Path(folder) / "mnist-mlp-int8.onnx").predict(paths)

    figure = plt.figure(figsize=(9, 6.6), dpi=130)
    grid = GridSpec(3, 4, figure=figure, height_ratios=(1.25, 1, 1.15), hspace=0.3, top=0.9, bottom=0.02)
    for column, (path, answer) in enumerate(zip(paths, answers, strict=True)):
        draw_example(figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column]), path, answer)
    draw_proof(figure.add_subplot(grid[2, :]), artefacts, len(reference.images))
    figure.suptitle("Four pictures, what the model saw of each, and the proof that came with the model", y=0.97)
    figure.savefig(Path(__file__).parent / "proof.png")


def draw_example(given: Axes, seen: Axes, path: Path, answer: Prediction) -> None:
    """Draw a picture as it was given, and below it the 28×28 pixels the model saw, with its answer."""
    picture = decode.load(path)
    given.imshow(ImageOps.exif_transpose(picture))
    given.set_title(path.name, fontsize=10)
    seen.imshow(image.prepare(picture)[0, 0], cmap="gray", vmin=0, vmax=1)
    seen.set_title(f"{answer.digit}  ({answer.confidence:.1%})", fontsize=12, fontweight="bold")
    for axes in (given, seen):
        axes.set_xticks([])
        axes.set_yticks([])


def draw_proof(axes: Axes, artefacts: list[Artefact], images: int) -> None:
    """Draw the figures of each artefact's proof as a table."""
    axes.axis("off")
    columns = ["exported file", "bytes", "largest |Δlogit|", "same answers", "accuracy", "trained model", "parity"]
    rows = [
        [
            artefact.path.name,
            f"{artefact.size:,}",
            f"{artefact.report.max_error:.2g}",
            f"{artefact.report.agreement:.2%}",
            f"{artefact.report.accuracy:.2%}",
            f"{artefact.report.reference_accuracy:.2%}",
            "passed" if artefact.report else "FAILED",
        ]
        for artefact in artefacts
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
