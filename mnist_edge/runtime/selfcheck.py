"""Does this processor, with this onnxruntime, give the numbers that a file must give? Its golden vectors tell."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import UserError
from mnist_edge.atomic import read_bytes
from mnist_edge.artifact.contract import Contract, ContractError
from mnist_edge.artifact.test_vectors import Golden, GoldenError
from mnist_edge.formats.onnx.runner import Predict, SessionError, open_checked, predictor, session_golden


@dataclass(frozen=True)
class SelfCheck:
    """The verdict of a file's golden vectors on the machine it runs on: truthy when it passed.

    Attributes:
        path: the file.
        contract: what it carries.
        images: how many golden vectors it carries.
        bound: the largest |Δlogit| allowed, from what the file must give.
        max_error: the largest that was found; infinite where a logit is not a finite number.
        same: images with the answer that the file must give.
        trained_error: the largest |Δlogit| from the trained model: how far quantisation itself has moved the logits.
        trained_same: images with the trained model's answer.
    """

    path: Path
    contract: Contract
    images: int
    bound: float
    max_error: float
    same: int
    trained_error: float
    trained_same: int

    def __bool__(self) -> bool:
        """Say whether it passed."""
        return self.max_error <= self.bound and self.same == self.images

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON types; an infinite error is null."""
        return {
            "file": str(self.path),
            "passed": bool(self),
            "precision": self.contract.precision,
            "scheme": self.contract.scheme,
            "checkpoint": self.contract.checkpoint,
            "images": self.images,
            "bound": self.bound,
            "max_error": _finite(self.max_error),
            "same_answers": self.same,
            "max_error_from_trained_model": _finite(self.trained_error),
            "same_answers_as_trained_model": self.trained_same,
        }


def selfcheck(path: Path) -> SelfCheck:
    """Run the golden vectors of an exported ONNX file here, one image at a time, as the runner does.

    Raises:
        UserError: the file can't be used, or carries no golden vectors.
    """
    data = read_bytes(path)
    if data.startswith(b"PK"):
        raise UserError(
            f"cannot check {path}: it is a TorchScript archive, which the runner does not run; `verify` does"
        )
    session, contract = open_checked(path, data)
    try:
        golden = session_golden(session)
        return check_golden(path, predictor(session), contract, golden)
    except (GoldenError, ContractError, SessionError) as error:
        raise UserError(f"cannot check {path}: {error}; expected an ONNX file made by `mnist-edge export`") from error


def check_golden(path: Path, predict: Predict, contract: Contract, golden: Golden) -> SelfCheck:
    """Return the verdict on `predict`, which runs the file, by its golden vectors.

    Raises:
        SessionError: the golden vectors can't be run.
    """
    inputs = golden.inputs
    logits = np.concatenate([predict(inputs[index : index + 1]) for index in range(len(inputs))])
    if logits.shape != golden.expected.shape:
        raise SessionError(
            f"it gives logits {list(logits.shape)}, its golden vectors have {list(golden.expected.shape)}"
        )
    return SelfCheck(
        path=path,
        contract=contract,
        images=len(inputs),
        bound=golden.bound,
        max_error=_largest(logits, golden.expected),
        same=_same(logits, golden.expected),
        trained_error=_largest(logits, golden.logits),
        trained_same=_same(logits, golden.logits),
    )


def _largest(logits: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    errors = np.abs(logits.astype(np.float64) - others)
    return float(np.where(np.isfinite(errors), errors, np.inf).max())


def _same(logits: NDArray[np.float32], others: NDArray[np.float32]) -> int:
    return int((logits.argmax(axis=1) == others.argmax(axis=1)).sum())


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
