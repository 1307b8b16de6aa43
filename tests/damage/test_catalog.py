"""Every kind of damage is found: by `verify` all, by `selfcheck` on the device all that moves a golden answer."""

from pathlib import Path

import numpy as np
import pytest

from mnist_edge.errors import UserError
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.parity.comparison import Reference
from mnist_edge.parity.verify import verify
from mnist_edge.artifact.test_vectors import Golden
from mnist_edge.runtime.selfcheck import selfcheck
from mnist_edge.formats.onnx.runner import SessionError, open_session, predictor
from tests.damage import catalog, edits

FLOATS, BYTES = "mnist-mlp.onnx", "mnist-mlp-int8.onnx"

CASES = [
    *((FLOATS, name) for name in mutations.ON_FLOATS),
    *((BYTES, name) for name in mutations.ON_BYTES),
    *((FLOATS, f"smallest step in {name}") for name in mutations.FLOAT_WEIGHTS),
    *((BYTES, f"smallest step in {name}") for name in mutations.BYTE_WEIGHTS),
    *((file, name) for file in (FLOATS, BYTES) for name in mutations.ON_ANYTHING),
]

NOT_ON_THE_DEVICE = {
    # The contract is the device's only word for it, and the runner needs none of these:
    "another checkpoint",
    "another licence",
    "another precision",
    "another scheme",
    "another temperature",
    "another certainty",
    # What the golden vectors themselves say can only be told with the checkpoint at hand:
    "stale golden vectors",
    "golden vectors with a wider bound",
    "a dropped ReLU that the golden vectors expect",
    # Another opset that means the same:
    "another opset",
}
"""Damage that moves no golden answer by more than the bound, or makes the golden vectors expect it."""


def mutated(file: str, name: str, data: bytes, reference: Reference) -> bytes:
    """Return the file's bytes after the damage, sealed anew where someone could."""
    if name in mutations.ON_ANYTHING:
        return mutations.ON_ANYTHING[name](data)
    weight = name.removeprefix("smallest step in ")
    if weight != name:
        step = mutations.step_weight if file == FLOATS else mutations.step_byte
        return damage.resealed(data, step(reference, weight))
    return damage.resealed(data, {**mutations.ON_FLOATS, **mutations.ON_BYTES}[name])


def moves_a_golden_answer(data: bytes, golden: Golden) -> bool:
    """Say whether the damaged file can't run, or gives a logit outside the bound of the golden vectors it had."""
    try:
        predict = predictor(open_session(data))
        logits = np.concatenate([predict(image[None]) for image in golden.inputs])
    except SessionError:
        return True
    return not float(np.abs(logits - golden.expected).max()) <= golden.bound


def test_there_are_many_kinds() -> None:
    assert len({name for _, name in CASES}) >= 50


@pytest.mark.parametrize(("file", "name"), CASES)
def test_damage_is_found(file: str, name: str, exports: Path, reference: Reference, tmp_path: Path) -> None:
    golden = ONNX.load(exports / file).golden
    data = mutated(file, name, (exports / file).read_bytes(), reference)
    assert data != (exports / file).read_bytes()
    path = tmp_path / file
    path.write_bytes(data)

    report = verify(path, reference)
    assert not report
    assert all("\n" not in problem for problem in report.problems)

    try:
        found_here = not selfcheck(path)
    except UserError:
        found_here = True
    smallest = name.startswith("smallest step")
    if not smallest:
        assert found_here == (name not in NOT_ON_THE_DEVICE)
    if moves_a_golden_answer(data, golden):
        assert found_here or name == "a dropped ReLU that the golden vectors expect"
