"""The figures of `costs` as people read them. Needs the standard library alone."""

from collections.abc import Sequence

from mnist_edge.benchmark.costs import Costs, Figure
from mnist_edge.percent import percent_down

UNKNOWN = "–"


def readable_answers(cost: Costs) -> dict[str, str]:
    """Return how right an artifact is, and what it takes on the disk."""
    answers = cost.answers
    low, high = answers.interval if answers else (0.0, 0.0)
    return {
        "bytes": f"{cost.size:,}",
        "accuracy": f"{answers.accuracy:.2%}" if answers else UNKNOWN,
        "95 % interval": f"{low:.2%} – {high:.2%}" if answers else UNKNOWN,
        "agreement": UNKNOWN if answers is None or answers.agreement is None else f"{percent_down(answers.agreement)}%",
        "largest |Δlogit|": UNKNOWN
        if answers is None or answers.max_abs_diff is None
        else f"{answers.max_abs_diff:.3g}",
        "runtime [MB]": f"{cost.runtime_size / 1e6:,.0f}",
    }


def readable_costs(cost: Costs) -> dict[str, str]:
    """Return the time and the memory that an artifact takes, with the least and the most of the rounds."""
    return {
        "first answer [ms]": _with_spread(cost.cold_start, 1e3, 0),
        "memory [MB]": f"{cost.memory.median / 1e6:,.0f}" if cost.memory else UNKNOWN,
        "one image [µs]": _with_spread(cost.latency, 1e6, 1),
        "99 % within [µs]": f"{cost.latency_p99.median * 1e6:,.1f}",
        "images a second": f"{cost.throughput.median:,.0f}",
    }


def _with_spread(figure: Figure, unit: float, digits: int) -> str:
    median, least, most = (f"{value * unit:,.{digits}f}" for value in (figure.median, figure.least, figure.most))
    return f"{median} ({least}–{most})"


def beaten_by(cost: Costs, others: Sequence[Costs]) -> Costs | None:
    """Return an artifact for the same task that is in nothing worse, and in something better; None where none is.

    Compared are accuracy, bytes, time to the first answer, and the time of one image, medians: the one that takes an
    image the quickest is named.
    """
    if cost.answers is None:
        return None
    better = [
        other for other in others if other.task == cost.task and other.answers is not None and _beats(other, cost)
    ]
    return min(better, key=lambda other: other.latency.median, default=None)


def _beats(other: Costs, cost: Costs) -> bool:
    ours, theirs = _ranks(cost), _ranks(other)
    return ours != theirs and all(mine >= its for mine, its in zip(ours, theirs, strict=True))


def _ranks(cost: Costs) -> tuple[float, ...]:
    """Return figures of which the lower is the better."""
    accuracy = cost.answers.accuracy if cost.answers else 0.0
    return -accuracy, cost.size, cost.cold_start.median, cost.latency.median
