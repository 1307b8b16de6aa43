"""Statistics of how far two sets of logits for the same images differ. docs/parity.md defines each, with its source."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, log_softmax

from mnist_edge.artifact.fields import json_numbers
from mnist_edge.intervals import wilson_interval
from mnist_edge.parity.logits import absolute_differences, top2_margin
from mnist_edge.types import Labels, Logits


@dataclass(frozen=True)
class Proportion:
    """A part of the images, with its 95 % Wilson interval.

    Attributes:
        hits: how many images.
        images: of how many, more than 0.
        interval: lower and upper end, in [0, 1].
    """

    hits: int
    images: int
    interval: tuple[float, float]

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.hits / self.images

    def to_json(self) -> dict[str, Any]:
        """Return the share as JSON types."""
        return {"value": self.value, "hits": self.hits, "images": self.images, "interval_95": list(self.interval)}


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test, whether correct answers are lost as often as they are gained.

    Attributes:
        lost: images that only the trained model answers correctly.
        gained: images that only the exported file answers correctly.
        p_value: probability of a split at least as uneven if both were equally likely, in [0, 1]: a double
            holds none below 1e-308.
    """

    lost: int
    gained: int
    p_value: float


@dataclass(frozen=True)
class ChangedAnswer:
    """An image that the exported file answers differently from the trained model.

    Attributes:
        image: its index among the images compared; in a report, among all that it could have been judged on.
        label: what it shows.
        trained: the trained model's answer.
        exported: the exported file's answer.
        margin: by how much the trained model's greatest logit exceeds its second.
        exported_margin: the same of the exported file.
    """

    image: int
    label: int
    trained: int
    exported: int
    margin: float
    exported_margin: float


@dataclass(frozen=True)
class Statistics:
    """What is left of the trained model's logits in those of an exported file.

    Attributes:
        max_abs_diff: largest |Δlogit|; infinite, as are the next two, where a logit is not finite.
        p99_9_abs_diff: 99.9th percentile of |Δlogit|: the least value that 99.9 % of them do not exceed.
        mean_abs_diff: mean |Δlogit|.
        sqnr: signal-to-quantization-noise ratio of the logits in dB; infinite where they are identical.
        mean_divergence: mean over the images of KL(trained ‖ exported) in nats; infinite where a logit is not finite.
        max_divergence: the largest of them.
        agreement: images with the same answer.
        reference_accuracy: images that the trained model answers correctly.
        accuracy: images that the exported file answers correctly.
        mcnemar: the test on the answers that became right or wrong.
        changed: each answer that changed, the trained model's most confident first.
    """

    max_abs_diff: float
    p99_9_abs_diff: float
    mean_abs_diff: float
    sqnr: float
    mean_divergence: float
    max_divergence: float
    agreement: Proportion
    reference_accuracy: Proportion
    accuracy: Proportion
    mcnemar: McNemar
    changed: tuple[ChangedAnswer, ...]

    def of_part(self, chosen: NDArray[np.intp]) -> "Statistics":
        """Return the statistics of the images with these indices, where they were numbered from 0."""
        changed = tuple(dataclasses.replace(answer, image=int(chosen[answer.image])) for answer in self.changed)
        return dataclasses.replace(self, changed=changed)

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as JSON types; what is infinite is null."""
        errors = {
            "max_abs_diff": self.max_abs_diff,
            "p99_9_abs_diff": self.p99_9_abs_diff,
            "mean_abs_diff": self.mean_abs_diff,
            "sqnr_db": self.sqnr,
            "mean_divergence_nats": self.mean_divergence,
            "max_divergence_nats": self.max_divergence,
        }
        return {
            **json_numbers(errors),
            "agreement": self.agreement.to_json(),
            "reference_accuracy": self.reference_accuracy.to_json(),
            "accuracy": self.accuracy.to_json(),
            "mcnemar": dataclasses.asdict(self.mcnemar),
            "changed": [json_numbers(dataclasses.asdict(answer)) for answer in self.changed],
        }


def statistics(trained: Logits, exported: Logits, labels: Labels, temperature: float) -> Statistics:
    """Compare an exported file's logits with the trained model's.

    Args:
        trained: float32 `[N, classes]`, N > 0, finite.
        exported: float32 `[N, classes]`.
        labels: int64 `[N]`.
        temperature: logits are divided by it before the softmax.
    """
    errors = absolute_differences(trained, exported)
    answers, reference_answers = exported.argmax(axis=1), trained.argmax(axis=1)
    right, reference_right = answers == labels, reference_answers == labels
    divergences = divergence(trained, exported, temperature)
    agreement, accuracy, reference_accuracy = (
        _proportion(hits) for hits in (answers == reference_answers, right, reference_right)
    )
    return Statistics(
        max_abs_diff=float(errors.max()),
        p99_9_abs_diff=float(np.quantile(errors, 0.999, method="inverted_cdf")),
        mean_abs_diff=float(errors.mean()),
        sqnr=sqnr(trained, errors),
        mean_divergence=float(divergences.mean()),
        max_divergence=float(divergences.max()),
        agreement=agreement,
        reference_accuracy=reference_accuracy,
        accuracy=accuracy,
        mcnemar=mcnemar(reference_right, right),
        changed=changed_answers(trained, exported, labels),
    )


def sqnr(trained: NDArray[np.float32], errors: NDArray[np.float64]) -> float:
    """Return 10 · log10(Σ trained² / Σ error²) in dB: infinite without errors, minus infinity with an infinite one."""
    noise = float(np.square(errors).sum())
    signal = float(np.square(trained, dtype=np.float64).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and noise < math.inf else -math.inf


def divergence(trained: Logits, exported: Logits, temperature: float) -> NDArray[np.float64]:
    """Return KL(trained ‖ exported) of each image's probabilities, in nats, `[N]`; infinite without finite logits."""
    finite = np.isfinite(exported).all(axis=1)
    result = np.full(len(trained), np.inf)
    p = log_softmax(trained[finite].astype(np.float64) / temperature, axis=1)
    q = log_softmax(exported[finite].astype(np.float64) / temperature, axis=1)
    result[finite] = np.maximum((np.exp(p) * (p - q)).sum(axis=1), 0)  # rounding may leave -1e-17
    return result


def mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> McNemar:
    """Test two sets of answers to the same images; each array, `[N]`, says which are right.

    Splits are as likely on both sides, so the probability is twice that of the smaller tail.
    """
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    p_value = min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))
    return McNemar(lost, gained, p_value)


def changed_answers(trained: Logits, exported: Logits, labels: Labels) -> tuple[ChangedAnswer, ...]:
    """Return the answers that differ, the trained model's most confident first."""
    before, after = trained.argmax(axis=1), exported.argmax(axis=1)
    indices = np.flatnonzero(before != after)
    margins, exported_margins = top2_margin(trained[indices]), top2_margin(exported[indices])
    return tuple(
        ChangedAnswer(
            image=int(indices[i]),
            label=int(labels[indices[i]]),
            trained=int(before[indices[i]]),
            exported=int(after[indices[i]]),
            margin=float(margins[i]),
            exported_margin=float(exported_margins[i]),
        )
        for i in np.argsort(-margins, kind="stable")
    )


def _proportion(hits: NDArray[np.bool_]) -> Proportion:
    count = int(hits.sum())
    return Proportion(count, len(hits), wilson_interval(count, len(hits)))
