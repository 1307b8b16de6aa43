from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mnist_edge.errors import UserError
from mnist_edge.parity.reference import Reference
from mnist_edge.training import figures
from mnist_edge.training.calibration import reliability
from mnist_edge.training.corruptions import CORRUPTIONS
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.metrics import evaluate_logits
from mnist_edge.training.recipe import recipe_for
from mnist_edge.training.train_state import Epoch

TASK = DATASETS["mnist"].task


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_samples_are_labelled(test_data: Split) -> None:
    figure = figures.samples_figure(test_data, TASK)
    assert titles(figure) == [str(digit) for digit in range(10) for _ in range(8)]


def test_the_augmentation_is_shown_sixteen_times(training_data: TrainingData) -> None:
    figure = figures.augmentation_figure(training_data.train, TASK.labels, recipe_for("robust", "mlp"), index=7)
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    assert len(shown) == 17
    assert np.array_equal(shown[0], training_data.train.images[7, 0].numpy())
    assert len({image.tobytes() for image in shown}) == 17


def test_curves_show_every_epoch() -> None:
    history = [Epoch(number, 1 / number, 1 - 0.1 / number) for number in range(1, 6)]
    figure = figures.curves_figure(history)
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == [epoch.loss for epoch in history]  # type: ignore[union-attr]
    errors = right.lines[0].get_ydata().tolist()  # type: ignore[union-attr]
    assert errors == pytest.approx([1 - epoch.accuracy for epoch in history])
    assert right.get_title() == "lowest 2.00% after epoch 5"
    assert left.get_xlabel() == "epoch"
    assert left.get_ylabel() == "mean cross-entropy [nats]"
    assert right.get_ylabel() == "error rate"
    assert "error rate on the validation images" in figure.get_suptitle()


def test_confusion_and_mistakes_count_the_mistakes(reference: Reference, test_data: Split) -> None:
    evaluation = evaluate_logits(reference.logits, reference.labels)
    counts = [text.get_text() for text in figures.confusion_figure(evaluation, TASK.labels, "m").axes[0].texts]
    assert sum(int(count) for count in counts if count != "·") == 10_000
    figure = figures.mistakes_figure(test_data, TASK.labels, reference.logits, 1.0, "m")
    assert f"most confident of {10_000 - evaluation.correct} mistakes" in figure.get_suptitle()
    confidences = [int(title.split("  ")[1].rstrip("%")) for title in titles(figure)]
    assert confidences == sorted(confidences, reverse=True)


def test_a_model_without_mistakes_can_be_drawn(test_data: Split) -> None:
    perfect = 20 * np.eye(10, dtype=np.float32)[test_data.labels.numpy()]
    assert "0 mistakes" in figures.mistakes_figure(test_data, TASK.labels, perfect, 1.0, "m").get_suptitle()


def test_corruptions_show_answers(reference: Reference, test_data: Split) -> None:
    logits = dict.fromkeys(("original", *CORRUPTIONS), reference.logits[:3])
    figure = figures.corruption_figure(test_data, TASK.labels, logits, [0, 1, 2], 1.0)
    assert len(figure.axes) == 3 * (1 + len(CORRUPTIONS))
    assert all(title.startswith("7  ") for title in titles(figure)[::3])


def test_each_panel_of_robustness_has_its_own_levels() -> None:
    falling = {kind: [0.9, 0.8, 0.7, 0.6, 0.5] for kind in CORRUPTIONS}
    figure = figures.robustness_figure({"a": falling, "b": falling})
    for axes, (kind, corruption) in zip(figure.axes, CORRUPTIONS.items(), strict=False):
        assert axes.get_title() == f"{kind} [{corruption.unit}]"
        assert [tick.get_text() for tick in axes.get_xticklabels()] == [f"{level:g}" for level in corruption.levels]


def test_reliability_names_both_errors(reference: Reference) -> None:
    before, after = (reliability(reference.logits, reference.labels, t) for t in (3.0, 1.0))
    figure = figures.reliability_figure(before, after, 1.0, "m")
    left, right = titles(figure)
    assert left == f"without temperature, calibration error {before.error:.2%}"
    assert right == f"temperature 1.000, calibration error {after.error:.2%}"
    assert not any(axes.get_legend() for axes in figure.axes), "a legend in the axes covers bars"
    assert len(figure.legends) == 1


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_figures_are_complete_and_the_same_each_time(suffix: str, tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}{suffix}"
        figures.save_figure(figures.importance_figure({"learning_rate": 0.7, "momentum": 0.3}, "s"), path)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    if suffix == ".png":
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.width > 500


def test_another_suffix_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.png or \.svg"):
        figures.save_figure(figures.curves_figure([Epoch(1, 1.0, 0.5)]), tmp_path / "a.pdf")
