"""Draw `figures/parity.png`: how much the logits of four files differ, and the answers that int8 changes."""

from pathlib import Path

from broken_export import ONNX, changed, drop_relu, round_weights, unjudged
from matplotlib.figure import Figure

from mnist_edge.exporting.report.html import draw_differences
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, load_reference
from mnist_edge.parity.verify import verify
from mnist_edge.training.figures import save_figure

ROOT = Path(__file__).parent.parent


def reports(reference: Reference) -> dict[str, ParityReport]:
    """Export the reference's checkpoint as it should be, in int8, and broken in two ways; report on each."""
    faithful = unjudged(reference)
    bundles = {
        "faithful": faithful,
        "int8": unjudged(reference, "dynamic-u8-channel"),
        "weights of fc2 rounded to bfloat16": changed(faithful, round_weights),
        "second ReLU dropped": changed(faithful, drop_relu),
    }
    return {
        name: verify(ArtifactFile(Path("a.onnx"), ONNX, bundle.with_checksum()), reference)
        for name, bundle in bundles.items()
    }


def draw() -> None:
    """Draw a histogram for each file, and below them the digits that the int8 file answers differently."""
    reference = load_reference(ROOT / "release" / "mnist-mlp.safetensors", ROOT / "data")
    found = reports(reference)
    figure = Figure(figsize=(9, 7), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(2.4, 1)).flat
    for axes, (name, report) in zip(above.subplots(2, 2, sharex=True).flat, found.items(), strict=True):
        assert report.differences is not None, "all four can be run"
        draw_differences(axes, report.differences, report.tolerance.max_abs_diff if report.tolerance else None)
        axes.set_title(f"{name}\n{axes.get_title()}", fontsize=9)
    statistics = found["int8"].statistics
    changed = statistics.changed[:6] if statistics else ()
    below.suptitle("answers that int8 changes: label, trained model (margin) → int8 (margin)", fontsize=9)
    for axes, answer in zip(below.subplots(1, len(changed), squeeze=False).flat, changed, strict=True):
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
