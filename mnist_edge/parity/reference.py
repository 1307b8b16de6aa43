"""The trained model's answers: what an artifact is judged by."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.errors import UserError
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.build import ExportRequest, TrainedAnswers
from mnist_edge.formats.logs import silent
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.formats.scheme import Scheme
from mnist_edge.parity.logits import largest_logit, top2_margin
from mnist_edge.parity.test_vectors import choose_test_vectors, exact_logits
from mnist_edge.training.architectures.own import OwnArchitecture, load_architecture
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from mnist_edge.training.datasets.of_checkpoint import pictures_of
from mnist_edge.training.datasets.registry import load_test_data, load_training_data
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.importing import doubt_of
from mnist_edge.types import Images, Labels, Logits, Predict

EAGER_BATCH = 1_000
"""Images that the trained model is given at once."""

MAX_SAMPLE = 500
"""Images of a sample, unless another number is asked for: half of them with the smallest margin, half evenly spread."""


@dataclass(frozen=True)
class Reference:
    """The trained model's answers to the test images.

    Attributes:
        checkpoint: the trained model.
        images: float32 `[N, channels, height, width]`.
        labels: int64 `[N]`.
        logits: float32 `[N, classes]`, by eager PyTorch in batches of `EAGER_BATCH`.
        validation: images that were neither trained nor tested on: schemes are compared on them.
        test_vectors: chosen from the validation images.
        programs: what `program` has found, by format, scheme and options, which does not depend on the images.
    """

    checkpoint: Checkpoint
    images: Images = field(repr=False)
    labels: Labels = field(repr=False)
    logits: Logits = field(repr=False)
    validation: Split = field(repr=False)
    test_vectors: TestVectors
    programs: dict[tuple[object, ...], Mapping[str, bytes]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """The trained model's accuracy on the images, in [0, 1]."""
        return float(np.mean(self.logits.argmax(axis=1) == self.labels))

    @property
    def doubt(self) -> str:
        """A line where that accuracy is hardly better than guessing, "" where it is better."""
        return doubt_of(self.checkpoint, self.accuracy)

    @cached_property
    def test_set(self) -> str:
        """SHA-256 of the images and their labels, as 64 hexadecimal digits."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()

    def part(self, chosen: NDArray[np.intp]) -> "Reference":
        """Return the reference on the images with these indices only."""
        return replace(self, images=self.images[chosen], labels=self.labels[chosen], logits=self.logits[chosen])

    def sample(self, count: int = MAX_SAMPLE) -> "Reference":
        """Return the reference on at most `count` images, which `sample_indices` chooses."""
        return self.part(self.sample_indices(count))

    def sample_indices(self, count: int) -> NDArray[np.intp]:
        """Return which `count` images at most: half of them those with the smallest margin, the rest evenly spread."""
        total = len(self.images)
        hardest = np.argsort(top2_margin(self.logits), kind="stable")[: count // 2]
        even = np.linspace(0, total - 1, min(count - len(hardest), total)).astype(np.intp)
        return np.union1d(hardest, even)

    def contract(self, spec: FormatSpec, scheme: Scheme, options: Mapping[str, int]) -> Contract:
        """Return the contract that an artifact of the checkpoint carries, without its producer.

        None of its options is less than the scheme needs.
        """
        checkpoint = self.checkpoint
        return Contract(
            task=checkpoint.task,
            architecture=checkpoint.architecture,
            checkpoint=checkpoint.digest,
            precision=scheme.precision.value,
            scheme=scheme.name,
            options=scheme.with_least_options(options),
            batch=spec.batch,
            temperature=checkpoint.temperature,
            energy_threshold=checkpoint.thresholds.energy,
            margin_threshold=checkpoint.thresholds.margin,
            license=checkpoint.license,
        )

    def request(self, spec: FormatSpec, scheme: Scheme, options: Mapping[str, int]) -> ExportRequest:
        """Return the request for an artifact of the checkpoint, without its producer."""
        contract = self.contract(spec, scheme, options)
        images = self.validation.images.numpy()
        trained = TrainedAnswers(self.images, self.labels, self.logits)
        return ExportRequest(contract, self.test_vectors_for(scheme), scheme, calibration=images, trained=trained)

    def program(self, spec: FormatSpec, scheme: Scheme, options: Mapping[str, int]) -> Mapping[str, bytes]:
        """Return what an artifact of the checkpoint computes, as `FormatSpec.program` does, by exporting it again.

        Raises:
            UserError: the format can't give what was asked.
        """
        key = _program_key(spec, scheme, scheme.with_least_options(options))
        if key not in self.programs:
            model, request = self.checkpoint.build(), self.request(spec, scheme, options)
            with silent() if self.checkpoint.own else nullcontext():
                bundle = spec.exporter().export(model, [request])[0]
            self.remember_program(spec, request, bundle)
        return self.programs[key]

    def remember_program(self, spec: FormatSpec, request: ExportRequest, bundle: Bundle) -> None:
        """Keep what an exporter has just given for a request of this checkpoint, which saves exporting it again."""
        self.programs[_program_key(spec, request.scheme, request.contract.options)] = spec.program(bundle)

    def test_vectors_for(self, scheme: Scheme) -> TestVectors:
        """Return the test vectors with the bound of a scheme."""
        largest = largest_logit(self.test_vectors.trained_logits)
        return replace(self.test_vectors, bound=scheme.bound_for(largest))


def _program_key(spec: FormatSpec, scheme: Scheme, options: Mapping[str, int]) -> tuple[object, ...]:
    return (spec.name, scheme.name, *sorted(options.items()))


def load_reference(
    checkpoint: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] = "data",
    architecture: str | OwnArchitecture | None = None,
    pictures: str | os.PathLike[str] | None = None,
) -> Reference:
    """Read a checkpoint and the data that it was trained on, and answer the images.

    Args:
        checkpoint: what `mnist-edge train` wrote.
        data_dir: the folder that holds the data set.
        architecture: for a network of your own, its code: `path/to/net.py:Net` or `package.module:Net`. It is run.
        pictures: where the folder of pictures is, if it is not where it was when the checkpoint was trained.

    Raises:
        UserError: a file is missing or damaged, is not a checkpoint, the architecture does not fit, or the data are not
            those that the checkpoint was trained on.
    """
    own = load_architecture(architecture) if isinstance(architecture, str) else architecture
    loaded, folder = load_checkpoint(Path(checkpoint)).with_own(own), Path(data_dir)
    if found := pictures_of(loaded, pictures):
        return make_reference(loaded, found.load_test_data(), found.load_training_data())
    name = loaded.data.dataset
    data = load_training_data(name, folder)
    if data.digest != loaded.data_digest:
        raise UserError(
            f"the images of {name} in {folder} are not those that {checkpoint} was trained on: train it again"
        )
    return make_reference(loaded, load_test_data(name, folder), data)


def make_reference(checkpoint: Checkpoint, test: Split, data: TrainingData) -> Reference:
    """Answer the test images with the trained model; from the validation images, take what travels in artifacts.

    Raises:
        UserError: the trained model gives numbers that are not finite, with which nothing could be compared.
    """
    exact = exact_logits(checkpoint.build(), data.validation.images)
    logits = predict_in_batches(eager_predictor(checkpoint), test.images.numpy(), EAGER_BATCH)
    for answers in (logits, exact):
        if bad := int((~np.isfinite(answers)).any(axis=1).sum()):
            raise UserError(
                f"the trained model ({checkpoint.architecture}) gives logits that are not finite numbers for {bad:,} "
                f"of {len(answers):,} images: an export can't be compared with it"
            )
    return Reference(
        checkpoint=checkpoint,
        images=test.images.numpy(),
        labels=test.labels.numpy(),
        logits=logits,
        validation=data.validation,
        test_vectors=choose_test_vectors(data.validation, exact, first=len(data.train)),
    )


def eager_predictor(checkpoint: Checkpoint) -> Predict:
    """Return the function that runs the checkpoint in eager PyTorch."""
    model = checkpoint.build()

    def predict(images: Images) -> Logits:
        with torch.inference_mode():
            logits: Logits = model(torch.from_numpy(images)).numpy()
        return logits

    return predict
