"""Accuracy against bytes and against latency, in one figure. Needs matplotlib."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter
from matplotlib.typing import LineStyleType

from mnist_edge.benchmark.costs import Costs
from mnist_edge.training.figure_text import drawable

_MARKERS = {"fp32": "o", "fp16": "s", "int8": "^", "int4": "D"}
_LINE_STYLES: tuple[LineStyleType, ...] = ("-", "--", ":", "-.")
_COLORS = [colormaps["tab20"](number) for number in (*range(0, 20, 2), *range(1, 20, 2))]


def pareto_figure(costs: Sequence[Costs]) -> Figure:
    """Return a point for each artifact whose accuracy is known, colored by format.

    A line for each task joins those that none of the same task beats: accuracies of different tasks can't be compared.
    Left, accuracy against the artifact's bytes; right, against the latency of one image, both logarithmic. The pale
    bars are the 95 % intervals of the accuracy (Wilson).
    """
    known = [cost for cost in costs if cost.answers is not None]
    figure = Figure(figsize=(11, 5), layout="constrained")
    figure.suptitle("Accuracy on the test images, against what it costs", fontsize=11)
    left, right = figure.subplots(1, 2, sharey=True)
    colors = {name: _COLORS[number % 20] for number, name in enumerate(dict.fromkeys(cost.format for cost in known))}
    _draw(left, known, colors, lambda cost: cost.size / 1000, "size of the artifact [kB]")
    _draw(right, known, colors, lambda cost: cost.latency.median * 1e6, "one image, median [µs]")
    left.set_ylabel("accuracy")
    formats = [Line2D([], [], linestyle="", marker="o", color=color, label=name) for name, color in colors.items()]
    precisions = [
        Line2D([], [], linestyle="", marker=_MARKERS.get(name, "x"), color="black", label=name)
        for name in dict.fromkeys(cost.precision for cost in known)
    ]
    tasks = _tasks(known)
    fronts = [
        Line2D([], [], color="gray", linewidth=0.8, linestyle=_line_style(number), label=_front_label(task, tasks))
        for number, task in enumerate(tasks)
    ]
    figure.legend(handles=[*formats, *precisions, *fronts], loc="outside right upper", fontsize=8)
    return figure


def _draw(
    axes: Axes,
    costs: Sequence[Costs],
    colors: Mapping[str, tuple[float, ...]],
    value: Callable[[Costs], float],
    label: str,
) -> None:
    points = [(value(cost), cost.answers.accuracy, cost) for cost in costs if cost.answers is not None]
    for x, y, cost in points:
        low, high = cost.answers.interval if cost.answers else (y, y)
        color = colors[cost.format]
        axes.plot([x, x], [low, high], color=color, alpha=0.2, linewidth=2, zorder=1)
        axes.plot(x, y, marker=_MARKERS.get(cost.precision, "x"), color=color, markeredgecolor="black", zorder=2)
    for number, task in enumerate(_tasks(costs)):
        best = _front([(x, y) for x, y, cost in points if cost.task == task])
        style = _line_style(number)
        axes.step(*zip(*best, strict=True), where="post", color="gray", linewidth=0.8, linestyle=style, zorder=0)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(alpha=0.3, which="both")


def _tasks(costs: Sequence[Costs]) -> list[str]:
    return list(dict.fromkeys(cost.task for cost in costs))


def _line_style(number: int) -> LineStyleType:
    return _LINE_STYLES[number % len(_LINE_STYLES)]


def _front_label(task: str, tasks: Sequence[str]) -> str:
    return "none is better" if len(tasks) == 1 else f"none is better for {drawable(task, 24)}"


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other one beats in both, from the cheapest to the best."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best
