"""Stored weights against the checkpoint's, to half a step of what could be stored."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

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


@pytest.mark.parametrize("change", [1e-5, -1e-5, np.nan, np.inf])
def test_one_wrong_value_is_named_with_its_place(change: float) -> None:
    stored = floats()
    stored["weight"].dequantized[1, 2] += np.float32(change)
    (problem,) = weight_problems(stored, linear()) or ()
    assert problem.startswith("1 of 6 values of weight are not the checkpoint's: [1, 2] is ")
    assert problem.endswith(", expected 0.5")


@pytest.mark.parametrize("change", [2.5e-6, -2.5e-6])
def test_floats_may_differ_by_the_rounding_of_what_is_folded(change: float) -> None:
    stored = floats()
    stored["weight"].dequantized[:] += np.float32(change)
    assert weight_problems(stored, linear()) == ()


@pytest.mark.parametrize("wrong", ["0.weight", "1.weight"])
def test_each_copy_of_a_parameter_that_layers_share_is_held_to_it(wrong: str) -> None:
    model = nn.Sequential(linear(), linear())
    model[1].weight = model[0].weight
    assert weight_problems({"0.weight": floats()["weight"]}, model) == ()
    stored = {name: floats()["weight"] for name in ("0.weight", "1.weight")}
    assert weight_problems(stored, model) == ()
    stored[wrong].dequantized[1, 2] += 1
    assert weight_problems(stored, model) == (
        f"1 of 6 values of {wrong} are not the checkpoint's: [1, 2] is 1.5, expected 0.5",
    )


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


@pytest.mark.parametrize(
    ("saturated", "off", "wrong"), [(False, 0.05, False), (False, 0.06, True), (True, 0.1, False), (True, 0.11, True)]
)
def test_a_value_more_than_half_a_step_away_or_cut_off_by_more_than_one_is_wrong(
    saturated: bool, off: float, wrong: bool
) -> None:
    layer = nn.Linear(2, 1, bias=False).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, 0.1]]))
    stored = StoredTensor(np.array([[0.5, 0.1 + off]], np.float32), np.full(1, 0.1), np.full(1, saturated))
    problem = f"1 of 2 values of weight are not the checkpoint's: [0, 1] is {0.1 + off:.6g}, expected 0.1"
    assert weight_problems({"weight": stored}, layer) == ((problem,) if wrong else ())


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


def batch_norm(channels: int, *, affine: bool = True) -> nn.BatchNorm1d:
    """Return a normalization whose variances are so small that what is added to them before the root counts."""
    norm = nn.BatchNorm1d(channels, affine=affine)
    for name, values in norm.state_dict().items():
        if values.ndim:
            low, high = (1e-5, 3e-5) if name == "running_var" else (0.5, 2)
            values.copy_(torch.linspace(low, high, channels))
    return norm


def factor_and_shift(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return by what a normalization multiplies each channel, and what it adds then: what it makes of 1 and 0."""
    with torch.no_grad():
        norm.eval().double()
        zero, one = (norm(torch.full((1, norm.num_features), value, dtype=torch.float64))[0] for value in (0.0, 1.0))
        norm.float()
    return (one - zero).float(), zero.float()


def floats_of(weights: dict[str, Tensor]) -> dict[str, StoredTensor]:
    return {name: float_tensor(tensor.numpy().copy()) for name, tensor in weights.items() if tensor.ndim}


def folded_into(layer: nn.Linear, norm: nn.BatchNorm1d) -> dict[str, Tensor]:
    """Return weight and bias of a linear layer with the normalization after it."""
    factor, shift = factor_and_shift(norm)
    bias = torch.zeros(len(shift)) if layer.bias is None else layer.bias.detach()
    return {"weight": layer.weight.detach() * factor[:, None], "bias": bias * factor + shift}


def test_normalization_by_itself_is_one_weight_and_one_bias_for_each_channel() -> None:
    norm = batch_norm(3)
    model = nn.Sequential(norm, nn.Linear(3, 2)).eval()
    factor, shift = factor_and_shift(norm)
    last = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("1.")}
    assert weight_problems(floats_of({"0.weight": factor, "0.bias": shift, **last}), model) == ()
    found = weight_problems(floats_of({"0.weight": 1.001 * factor, "0.bias": shift + 1, **last}), model)
    assert [problem.split(" are not")[0] for problem in found or ()] == [
        "3 of 3 values of 0.weight",
        "3 of 3 values of 0.bias",
    ]


class AfterLinear(nn.Module):
    """A linear layer and the normalization after it, which is given its input by name."""

    def __init__(self, linear: nn.Linear, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        self.linear, self.norm = linear, norm

    def forward(self, values: Tensor) -> Tensor:
        normalized: Tensor = self.norm(input=self.linear(values))
        return normalized


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("between", ["nothing", "dropout", "keyword"])
def test_normalization_after_a_linear_layer_is_folded_into_it(between: str, affine: bool, bias: bool) -> None:
    linear, norm = nn.Linear(3, 2, bias=bias), batch_norm(2, affine=affine)
    middle = [nn.Dropout()] if between == "dropout" else []
    model = (AfterLinear(linear, norm) if between == "keyword" else nn.Sequential(linear, *middle, norm)).eval()
    name = "linear" if between == "keyword" else "0"
    weights = {f"{name}.{which}": values for which, values in folded_into(linear, norm).items()}
    assert weight_problems(floats_of(weights), model) == ()
    weights[f"{name}.bias"][1] += 1
    (problem,) = weight_problems(floats_of(weights), model) or ()
    assert problem.startswith(f"1 of 2 values of {name}.bias are not the checkpoint's: [1] is ")


def test_normalization_whose_linear_layer_is_used_elsewhere_too_is_by_itself() -> None:
    class Twice(AfterLinear):
        def forward(self, values: Tensor) -> Tensor:
            hidden: Tensor = self.linear(values)
            added: Tensor = hidden + self.norm(hidden)
            return added

    model = Twice(nn.Linear(3, 2), batch_norm(2)).eval()
    factor, shift = factor_and_shift(model.norm)
    linear = {f"linear.{name}": values for name, values in model.linear.state_dict().items()}
    assert weight_problems(floats_of({"norm.weight": factor, "norm.bias": shift, **linear}), model) == ()


def test_one_normalization_may_be_kept_and_another_folded() -> None:
    first, norm, kept, last = nn.Linear(3, 2), batch_norm(2), batch_norm(2), nn.Linear(2, 2)
    model = nn.Sequential(first, norm, nn.ReLU(), kept, last).eval()
    weights = {name: values for name, values in model.state_dict().items() if name[0] in "34"}
    weights |= {f"0.{which}": values for which, values in folded_into(first, norm).items()}
    assert weight_problems(floats_of(weights), model) == ()
    wrong = weights | {"3.running_var": 2 * weights["3.running_var"]}
    (problem,) = weight_problems(floats_of(wrong), model) or ()
    assert problem.startswith("2 of 2 values of 3.running_var are not the checkpoint's")


def test_two_normalizations_after_a_linear_layer_are_folded_into_it_one_after_the_other() -> None:
    first, norm, again = nn.Linear(3, 2), batch_norm(2), batch_norm(2)
    once, twice = nn.Linear(3, 2), nn.Sequential(first, norm, again).eval()
    once.load_state_dict(folded_into(first, norm))
    weights = {f"0.{which}": values for which, values in folded_into(once, again).items()}
    assert weight_problems(floats_of(weights), twice) == ()


@pytest.mark.parametrize("kept", [True, False])
def test_normalization_of_rows_is_not_folded_into_a_linear_layer_of_other_channels(kept: bool) -> None:
    rows, norm = batch_norm(4), batch_norm(8)
    model = nn.Sequential(nn.Linear(3, 2), rows, nn.Flatten(), norm, nn.Linear(8, 2)).eval()
    weights = {name: values for name, values in model.state_dict().items() if name[0] in ("014" if kept else "04")}
    for name, alone in [("3", norm)] if kept else [("1", rows), ("3", norm)]:
        factor, shift = factor_and_shift(alone)
        weights |= {f"{name}.weight": factor, f"{name}.bias": shift}
    assert weight_problems(floats_of(weights), model) == ()


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
