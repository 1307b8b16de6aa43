"""Draw `figures/parity.png`: how far the logits of four files differ, and the answers that int8 changes."""

import tempfile
from pathlib import Path

from broken_export import drop_relu, round_weights, unjudged, with_a_tool
from matplotlib.figure import Figure

from mnist_edge.exporting.report.html import draw_errors
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.parity.comparison import Reference
from mnist_edge.parity.reference import load_reference
from mnist_edge.exporting.report.report import Report, full_report
from mnist_edge.training.figures import save_figure

ROOT = Path(__file__).parent.parent


def reports(reference: Reference, folder: Path) -> dict[str, Report]:
    """Export the reference's checkpoint as it should be, in int8, and broken in two ways; report on each."""
    files = {
        "faithful": unjudged(ONNX, reference),
        "int8": unjudged(ONNX, reference, "dynamic-u8-channel"),
        "weights of fc2 rounded to bfloat16": unjudged(with_a_tool(round_weights), reference),
        "second ReLU dropped": unjudged(with_a_tool(drop_relu), reference),
    }
    found = {}
    for number, (name, data) in enumerate(files.items()):
        path = folder / f"{number}.onnx"
        path.write_bytes(data)
        found[name] = full_report(path, reference)
    return found


def draw() -> None:
    """Draw a histogram for each file, and below them the digits that the int8 file answers otherwise."""
    reference = load_reference(ROOT / "release" / "mnist-mlp.safetensors", ROOT / "data")
    with tempfile.TemporaryDirectory() as folder:
        found = reports(reference, Path(folder))
    figure = Figure(figsize=(9, 7), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(2.4, 1)).flat
    for axes, (name, report) in zip(above.subplots(2, 2, sharex=True).flat, found.items(), strict=True):
        assert report.errors is not None, "all four can be run"
        tolerance = report.parity.tolerance
        draw_errors(axes, report.errors, tolerance.max_error if tolerance else None)
        axes.set_title(f"{name}\n{axes.get_title()}", fontsize=9)
    statistics = found["int8"].statistics
    changed = statistics.changed[:6] if statistics else ()
    below.suptitle("answers that int8 changes: label, trained model (margin) → int8 (margin)", fontsize=9)
    for axes, answer in zip(below.subplots(1, len(changed)).flat, changed, strict=True):
        axes.imshow(reference.images[answer.image, 0], cmap="gray", vmin=0, vmax=1)
        axes.set_title(
            f"a {answer.label}\n{answer.trained} ({answer.margin:.3f}) → "
            f"{answer.exported} ({answer.exported_margin:.3f})",
            fontsize=7,
        )
        axes.set_xticks([])
        axes.set_yticks([])
    save_figure(figure, ROOT / "docs" / "figures" / "parity.png")


if __name__ == "__main__":
    draw()
