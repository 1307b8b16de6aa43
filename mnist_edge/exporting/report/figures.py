"""The statistics of a report as people read them."""

import math

from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.statistics import Proportion
from mnist_edge.percent import percent_down, percent_up


def readable_verdict(report: ParityReport) -> dict[str, str]:
    """Return the figures that the verdict rests on, over all batch sizes, `–` for what was not compared."""
    return {
        "largest |Δlogit|": "–" if report.max_abs_diff is None else f"{report.max_abs_diff:.3g}",
        "top-1 agreement": "–" if report.agreement is None else f"{percent_down(report.agreement)}%",
        "accuracy": "–" if report.accuracy is None else f"{report.accuracy:.2%}",
        "trained model": f"{report.reference_accuracy:.2%}",
    }


def readable_figures(report: ParityReport) -> dict[str, str]:
    """Return the statistics of a report by name, empty where the artifact could not be run."""
    found, required, verdict = report.statistics, report.required, readable_verdict(report)
    if found is None or required is None:
        return {}
    return {
        "largest |Δlogit|": verdict["largest |Δlogit|"],
        "99.9th percentile of |Δlogit|": f"{found.p99_9_abs_diff:.3g}",
        "mean |Δlogit|": f"{found.mean_abs_diff:.3g}",
        "SQNR": "∞" if found.sqnr == math.inf else f"{found.sqnr:.1f} dB",
        "KL divergence, mean": f"{found.mean_divergence:.2g} nats",
        "KL divergence, largest": f"{found.max_divergence:.2g} nats",
        "top-1 agreement": verdict["top-1 agreement"],
        "accuracy": verdict["accuracy"],
        "accuracy, 95 % interval": _interval(found.accuracy),
        "trained model": verdict["trained model"],
        "trained model, 95 % interval": _interval(found.reference_accuracy),
        "correct answers lost, gained": f"{found.mcnemar.lost:,}, {found.mcnemar.gained:,}",
        "McNemar's exact test": f"p = {found.mcnemar.p_value:.2g}" if found.mcnemar.p_value else "p < 1e-300",
        "would pass: |Δlogit| up to": f"{required.max_abs_diff:.3g}",
        "would pass: top-1 agreement from": f"{percent_down(required.min_agreement)}%",
        "would pass: accuracy lower by": f"{percent_up(required.max_accuracy_drop)} points",
    }


def _interval(proportion: Proportion) -> str:
    return f"{proportion.interval[0]:.2%} – {proportion.interval[1]:.2%}"
