"""Accuracy against bytes and against latency, in one figure. Needs matplotlib."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from mnist_edge.benchmark.costs import Costs

_MARKERS = {"fp32": "o", "fp16": "s", "int8": "^", "int4": "D"}
_COLORS = [colormaps["tab20"](number) for number in (*range(0, 20, 2), *range(1, 20, 2))]


def pareto_figure(costs: Sequence[Costs]) -> Figure:
    """Return a point for each artifact whose accuracy is known, colored by format; a line joins those that none beats.

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
    front = Line2D([], [], color="gray", linewidth=0.8, label="none is better")
    figure.legend(handles=[*formats, *precisions, front], loc="outside right upper", fontsize=8)
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
    best = _front([(x, y) for x, y, _ in points])
    if best:
        axes.step(*zip(*best, strict=True), where="post", color="gray", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(alpha=0.3, which="both")


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other one beats in both, from the cheapest to the best."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best
