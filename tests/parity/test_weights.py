"""Stored weights against the checkpoint's, to half a step of what could be stored."""

import numpy as np
import pytest
import torch
from torch import nn

from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.build import StoredTensor, float_tensor, half_tensor, int8_tensor
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.weights import weight_problems
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.parity.networks import reference_of
from tests.parity.unjudged import unjudged_schemes


def linear() -> nn.Linear:
    """A layer of 2 × 3 weights in steps of 0.1, without bias."""
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(6).reshape(2, 3) / 10)
    return layer.eval()


def floats() -> dict[str, StoredTensor]:
    return {"weight": float_tensor(linear().weight.detach().numpy().copy())}


def test_the_same_weights_have_no_problems() -> None:
    assert weight_problems(floats(), linear()) == ()
    more = {**floats(), "scale": float_tensor(np.ones(1, np.float32))}
    assert weight_problems(more, linear()) == ()


def test_a_weight_that_is_missing_or_of_another_shape_is_named() -> None:
    assert weight_problems({}, linear()) == ("weight is not in the file",)
    other = {"weight": float_tensor(np.zeros((3, 2), np.float32))}
    assert weight_problems(other, linear()) == ("weight has shape [3, 2], the checkpoint's has [2, 3]",)


@pytest.mark.parametrize("change", [1e-4, -1e-4, np.nan, np.inf])
def test_one_wrong_value_is_named_with_its_place(change: float) -> None:
    stored = floats()
    stored["weight"].dequantized[1, 2] += np.float32(change)
    (problem,) = weight_problems(stored, linear()) or ()
    assert problem.startswith("1 of 6 values of weight are not the checkpoint's: [1, 2] is ")
    assert problem.endswith(", expected 0.5")


def test_rounding_may_move_a_value_by_half_a_step_and_cutting_off_by_a_whole_one() -> None:
    levels = np.array([[0, 25, 51], [76, 102, 127]], np.int8)
    assert weight_problems({"weight": int8_tensor(levels, np.array([0.5 / 127]), None, 0)}, linear()) == ()
    off = levels.copy()
    off[1, 0] += 1
    assert weight_problems({"weight": int8_tensor(off, np.array([0.5 / 127]), None, 0)}, linear())
    # The greatest level stands for 0.497, which is 0.77 of a step below 0.5; the level below it for that of 0.49.
    cut = int8_tensor(np.array([[0, 25, 51], [76, 102, 127]], np.int8), np.array([0.497 / 127]), None, 0)
    whole = StoredTensor(cut.dequantized, cut.step, np.zeros(1, np.bool_))
    (problem,) = weight_problems({"weight": whole}, linear()) or ()
    assert "[1, 2] is 0.497, expected 0.5" in problem
    assert "[1, 2]" not in "".join(weight_problems({"weight": cut}, linear()) or ())


def test_a_value_more_than_half_a_step_away_is_wrong() -> None:
    layer = nn.Linear(2, 1, bias=False).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, 0.1]]))
    for off, problems in (
        (0.05, ()),
        (0.06, ("1 of 2 values of weight are not the checkpoint's: [0, 1] is 0.16, expected 0.1",)),
    ):
        stored = StoredTensor(np.array([[0.5, 0.1 + off]], np.float32), np.full(1, 0.1), np.zeros(1, np.bool_))
        assert weight_problems({"weight": stored}, layer) == problems


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("stored", "weight", "wrong"),
    [
        *((65_504, 65_504 + 15.5, False), (65_504, 65_504 - 15.5, False)),
        *((65_504, 65_504 - 24, True), (65_504, 50_000, True)),
        *((1, 1.0004, False), (1, 1.0006, True)),
    ],
)
def test_a_float16_is_held_to_half_a_step(stored: float, weight: float, wrong: bool, sign: int) -> None:
    layer = nn.Linear(1, 1, bias=False).eval()
    nn.init.constant_(layer.weight, sign * weight)
    half = half_tensor(np.array([[sign * stored]], np.float16))
    assert bool(weight_problems({"weight": half}, layer)) == wrong


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(2, 1), nn.Conv2d(1, 1, 2), nn.BatchNorm1d(2), nn.BatchNorm2d(2)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_is_missing_is_named_weight_by_weight(layer: nn.Module) -> None:
    model = nn.Sequential(layer).eval()
    with torch.no_grad():
        model.get_parameter("0.bias").fill_(1)
    held = {name: float_tensor(tensor.numpy()) for name, tensor in model.state_dict().items() if tensor.ndim}
    assert weight_problems(held, model) == ()
    weights = {name: tensor for name, tensor in held.items() if name in ("0.weight", "0.running_mean")}
    assert "0.bias is not in the file" in (weight_problems(weights, model) or ())
    assert {"0.weight is not in the file", "0.bias is not in the file"} <= {*(weight_problems({}, model) or ())}


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [spec for spec in FORMATS.values() if spec.readable_weights and not spec.chains_only],
    ids=lambda spec: spec.name,
)
@pytest.mark.parametrize("network", ["residual", "normalized-residual"])
def test_networks_that_are_not_chains_are_read_in_every_scheme(
    spec: FormatSpec,
    network: str,
    released: Checkpoint,
    test_data: Split,
    training_data: TrainingData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = reference_of(monkeypatch, network, released, test_data, training_data)
    model, changed = reference.checkpoint.build(), reference.checkpoint.build()
    with torch.no_grad():
        changed.get_parameter("second.weight").view(-1)[7] += 0.1
    for scheme, artifact in unjudged_schemes(spec, reference, [scheme.name for scheme in spec.schemes]).items():
        with artifact.open() as runner:
            stored = spec.inspector().inspect(artifact.bundle, runner).weights
        assert weight_problems(stored, model) == (), scheme
        problems = weight_problems(stored, changed)
        assert problems, scheme
        assert problems[0].startswith("1 of "), scheme


def test_normalization_that_is_folded_away_can_be_checked_only_where_the_network_can_be_traced(
    released: Checkpoint, test_data: Split, training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference: Reference = reference_of(monkeypatch, "untraceable", released, test_data, training_data)
    model = reference.checkpoint.build()
    plain = {name: float_tensor(tensor.numpy()) for name, tensor in model.state_dict().items() if tensor.ndim}
    assert weight_problems(plain, model) == ()
    folded = {name: tensor for name, tensor in plain.items() if not name.startswith("norm.")}
    assert weight_problems(folded, model) is None
