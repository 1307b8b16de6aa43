"""Figures of data, trainings and models. Each function returns a matplotlib figure; `save_figure` writes one.

`labels` are always the task's labels, in the order of the model's outputs.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from scipy.special import softmax
from torch import Tensor

from mnist_edge.artifact.contract import Task
from mnist_edge.atomic import atomic_write
from mnist_edge.errors import UserError
from mnist_edge.training.augment import Augmentation, augment
from mnist_edge.training.calibration import BINS, Reliability
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mnist_edge.training.datasets.splits import Split
from mnist_edge.training.figure_text import drawable
from mnist_edge.training.metrics import Evaluation
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.train_state import Epoch
from mnist_edge.types import Logits

LINE_STYLES = ("-", "--", ":", "-.")
"""Lines of models with the same answers cover each other; their styles differ so that both are seen."""

CORRECT_COLOR, WRONG_COLOR = "tab:green", "tab:red"

SAMPLES_PER_LABEL = 8

MAX_SAMPLED = 25
"""Labels that a figure of samples has room for."""

MAX_CAPTION = 14
"""Characters of a label over a sample."""

MAX_COUNTED = 25
"""Labels up to which a confusion matrix has room for its counts and all its labels."""

SHOWN_SEVERITY = 3
"""Severity of the corruptions that are shown with a model's answers."""

MAX_MISTAKES = 24
"""Most mistakes that one figure shows."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, by the suffix, atomically; the same figure gives the same bytes.

    Raises:
        UserError: another suffix, or the file can't be written.
    """
    if path.suffix not in (".png", ".svg"):
        raise UserError(f"cannot draw to {path}: expected a name that ends in .png or .svg")
    buffer = io.BytesIO()
    by_suffix: dict[str, dict[str, str | None]] = {
        ".png": {"Software": "mnist-edge"},
        ".svg": {"Creator": "mnist-edge", "Date": None},
    }
    with rc_context({"svg.hashsalt": "mnist-edge"}):
        figure.savefig(buffer, format=path.suffix[1:], dpi=130, metadata=by_suffix[path.suffix])
    atomic_write(path, buffer.getvalue())


def samples_figure(split: Split, task: Task, seed: int = 0) -> Figure:
    """Return eight test images of each label, of the first `MAX_SAMPLED` labels, drawn from `split`."""
    generator = torch.Generator().manual_seed(seed)
    labels = task.labels[:MAX_SAMPLED]
    of = "each label" if len(labels) == len(task.labels) else f"the first {len(labels)} of {len(task.labels):,} labels"
    figure = _figure(f"Test images of {task.name}, up to eight of {of}", (7, 0.84 * len(labels) + 0.3))
    grid = figure.subplots(len(labels), SAMPLES_PER_LABEL, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for row, label in enumerate(labels):
        where = (split.labels == row).nonzero().flatten()
        chosen = where[torch.randperm(len(where), generator=generator)[:SAMPLES_PER_LABEL]]
        for column, index in enumerate(chosen.tolist()):
            grid[row, column].axis("on")
            _show(grid[row, column], split.images[index], drawable(label, MAX_CAPTION))
    return figure


def augmentation_figure(split: Split, labels: Sequence[str], recipe: Recipe, index: int, seed: int = 0) -> Figure:
    """Return one image and sixteen versions of it as the recipe changes it in training."""
    image, label = split.images[index : index + 1], split.labels[index : index + 1]
    versions = augment(
        image.repeat(16, 1, 1, 1), label.repeat(16), recipe.augmentation, torch.Generator().manual_seed(seed)
    )
    kind = "unchanged by" if recipe.augmentation == Augmentation() else "as changed by"
    figure = _figure(f"A {labels[int(label)]} and sixteen versions of it, {kind} the recipe “{recipe.name}”", (9, 2.6))
    grid = figure.subplots(2, 9)
    _show(grid[0, 0], image[0], "original")
    grid[1, 0].axis("off")
    for number in range(16):
        _show(grid[number // 8, 1 + number % 8], versions[number], "")
    return figure


def corruption_figure(
    split: Split, labels: Sequence[str], logits: Mapping[str, Logits], chosen: Sequence[int], temperature: float
) -> Figure:
    """Return images as they are and corrupted at `SHOWN_SEVERITY`, with a model's answers.

    `logits` holds float32 `[len(chosen), labels]` for "original" and each key of `CORRUPTIONS`.
    """
    severity = f"severity {SHOWN_SEVERITY} of {SEVERITIES[-1]}"
    figure = _figure(f"The same images corrupted ({severity}), with the model's answer and confidence", (9, 11))
    grid = figure.subplots(len(CORRUPTIONS) + 1, len(chosen))
    for row, kind in enumerate(("original", *CORRUPTIONS)):
        shown = split.images[list(chosen)]
        if kind != "original":
            shown = corrupt(shown, kind, SHOWN_SEVERITY)
        probabilities = softmax(logits[kind] / temperature, axis=1)
        for column, index in enumerate(chosen):
            answer = int(probabilities[column].argmax())
            correct = answer == int(split.labels[index])
            title = f"{labels[answer]}  {probabilities[column, answer]:.0%}"
            _show(grid[row, column], shown[column], title, CORRECT_COLOR if correct else WRONG_COLOR)
        grid[row, 0].set_ylabel(kind, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def curves_figure(history: Sequence[Epoch]) -> Figure:
    """Return the loss, and the error rate on the validation images (1 less the accuracy), over the epochs."""
    epochs = [epoch.epoch for epoch in history]
    figure = _figure("Training: loss on the training images, error rate on the validation images", (9, 3.8))
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [epoch.loss for epoch in history], color="tab:blue", marker="." if len(epochs) < 30 else None)
    left.set(xlabel="epoch", ylabel="mean cross-entropy [nats]", yscale="log")
    errors = [max(1 - epoch.accuracy, 1e-4) for epoch in history]
    right.plot(epochs, errors, color="tab:orange", marker="." if len(epochs) < 30 else None)
    best = max(history, key=lambda epoch: epoch.accuracy)
    right.set(xlabel="epoch", ylabel="error rate", yscale="log")
    right.set_title(f"lowest {1 - best.accuracy:.2%} after epoch {best.epoch}", fontsize=9)
    for axes, formatter in ((left, StrMethodFormatter("{x:g}")), (right, PercentFormatter(1, decimals=1))):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(formatter)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3, which="both")
    return figure


def confusion_figure(evaluation: Evaluation, labels: Sequence[str], name: str) -> Figure:
    """Return the confusion matrix; colors show the mistakes only, so that the correct answers do not drown them."""
    counts = np.array(evaluation.confusion)
    mistakes = counts - np.diag(np.diag(counts))
    figure = _figure(f"{name}: answers for each label, {evaluation.accuracy:.2%} correct", (6.2, 5.6))
    axes = figure.subplots()
    shown = axes.imshow(mistakes, cmap="Reds")
    every = -(-len(labels) // MAX_COUNTED)
    ticks = range(0, len(labels), every)
    for label in ticks if every == 1 else ():
        for answer in ticks:
            count = int(counts[label, answer])
            dark = mistakes[label, answer] > 0.6 * mistakes.max()
            weight = "bold" if label == answer else "normal"
            text = str(count) if count else "·"
            axes.text(answer, label, text, ha="center", va="center", color="white" if dark else "black", weight=weight)
    axes.set(xlabel="the model's answer", ylabel="label")
    longest = max(map(len, labels))
    axes.set_xticks(ticks, [labels[tick] for tick in ticks], rotation=0 if longest < 4 else 90)
    axes.set_yticks(ticks, [labels[tick] for tick in ticks])
    figure.colorbar(shown, label="images answered wrongly", shrink=0.8)
    return figure


def mistakes_figure(split: Split, labels: Sequence[str], logits: Logits, temperature: float, name: str) -> Figure:
    """Return the most confident wrong answers of a model, up to `MAX_MISTAKES`."""
    probabilities = softmax(logits / temperature, axis=1)
    answers, expected = probabilities.argmax(axis=1), split.labels.numpy()
    wrong = np.flatnonzero(answers != expected)
    shown = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:MAX_MISTAKES]
    figure = _figure(f"{name}: most confident of {len(wrong)} mistakes (label → answer, confidence)", (9, 4.6))
    for axes, index in zip(figure.subplots(3, 8).flat, [*shown, *[None] * (MAX_MISTAKES - len(shown))], strict=True):
        if index is None:
            axes.axis("off")
            continue
        title = f"{labels[expected[index]]} → {labels[answers[index]]}  {probabilities[index].max():.0%}"
        _show(axes, split.images[index], title, WRONG_COLOR)
    return figure


def reliability_figure(before: Reliability, after: Reliability, temperature: float, name: str) -> Figure:
    """Return accuracy against confidence, without and with the temperature."""
    figure = _figure(f"{name}: accuracy against confidence", (9, 4.4))
    titles = (
        f"without temperature, calibration error {before.error:.2%}",
        f"temperature {temperature:.3f}, calibration error {after.error:.2%}",
    )
    for axes, bins, title in zip(figure.subplots(1, 2), (before, after), titles, strict=True):
        filled = [index for index in range(BINS) if bins.counts[index]]
        axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfectly calibrated")
        axes.bar(
            [(index + 0.5) / BINS for index in filled],
            [bins.accuracy[index] for index in filled],
            width=0.9 / BINS,
            label="measured",
        )
        for index in filled:
            where = ((index + 0.5) / BINS, 0.02)
            axes.annotate(f"{bins.counts[index]:,}", where, ha="center", rotation=90, fontsize=7, color="white")
        axes.set(xlabel="confidence", ylabel="share of correct answers", xlim=(0, 1), ylim=(0, 1))
        axes.set_title(title, fontsize=10)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    return figure


def robustness_figure(robustness: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Return accuracy against severity, a panel for each corruption and a line for each model.

    `robustness` holds for each model's name what `evaluate_corrupted` measured.
    """
    figure = _figure("Accuracy on corrupted test images", (10, 7.6))
    grid = figure.subplots(3, 4, sharey=True).flat
    for axes, (kind, corruption) in zip(grid, CORRUPTIONS.items(), strict=False):
        for number, (name, measured) in enumerate(robustness.items()):
            axes.plot(
                SEVERITIES, measured[kind], marker=".", linestyle=LINE_STYLES[number % len(LINE_STYLES)], label=name
            )
        axes.set_title(f"{kind} [{corruption.unit}]", fontsize=9)
        axes.set_xticks(SEVERITIES, [f"{level:g}" for level in corruption.levels], fontsize=8)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.3)
    last = grid[len(CORRUPTIONS)]
    last.axis("off")
    last.legend(*grid[0].get_legend_handles_labels(), loc="center", fontsize=8)
    figure.supylabel("accuracy", fontsize=10)
    return figure


def importance_figure(importance: Mapping[str, float], study: str) -> Figure:
    """Return how much of the variance of the accuracy each hyper-parameter explains (fANOVA), in [0, 1]."""
    figure = _figure(f"What mattered in the study “{study}”", (7, 0.45 * len(importance) + 1.4))
    axes = figure.subplots()
    names = list(importance)[::-1]
    bars = axes.barh(names, [importance[name] for name in names])
    axes.bar_label(bars, [f"{importance[name]:.0%}" for name in names], padding=3, fontsize=8)
    axes.set(xlabel="share of the variance of the validation accuracy", xlim=(0, 1.1 * max(importance.values())))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _figure(title: str, size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def _show(axes: Axes, image: Tensor, title: str, color: str = "black") -> None:
    """Show an image, float32 `[channels, height, width]` in [0, 1], in gray or in color."""
    shown = image[0] if len(image) == 1 else image.permute(1, 2, 0)
    axes.imshow(shown.numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=8, color=color, pad=2)
    axes.set_xticks([])
    axes.set_yticks([])
