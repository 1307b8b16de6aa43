import dataclasses

import pytest
import torch
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.optimizers import make_optimizers, scale_learning_rates, state_of
from mnist_edge.training.recipe import PLAIN

MUON = dataclasses.replace(PLAIN, momentum=0.9, muon_learning_rate=0.02)


def test_muon_moves_the_hidden_matrices_and_sgd_the_rest() -> None:
    model = build_model("mlp", DATASETS["mnist"].task)
    sgd, muon = make_optimizers(model, MUON)
    assert isinstance(muon, torch.optim.Muon)
    moved = {
        name for name, tensor in model.named_parameters() if any(tensor is p for p in muon.param_groups[0]["params"])
    }
    assert moved == {"fc1.weight", "fc2.weight"}
    assert len(sgd.param_groups[0]["params"]) == 4
    (only,) = make_optimizers(model, PLAIN)
    assert len(only.param_groups[0]["params"]) == 6


def test_a_network_without_hidden_matrices_is_left_to_sgd() -> None:
    (only,) = make_optimizers(build_model("cnn", DATASETS["mnist"].task), MUON)
    assert isinstance(only, torch.optim.SGD)


@pytest.mark.parametrize("network", [nn.Flatten(), nn.Linear(2, 2).requires_grad_(requires_grad=False)])
def test_a_network_without_weights_to_train_is_one_line(network: nn.Module) -> None:
    with pytest.raises(UserError, match="no weights to train"):
        make_optimizers(network, PLAIN)


def test_both_learning_rates_follow_the_schedule() -> None:
    optimizers = make_optimizers(build_model("mlp", DATASETS["mnist"].task), MUON)
    for share in (0.5, 0.25):  # of the greatest, not of the last
        scale_learning_rates(optimizers, share)
        rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        assert rates == pytest.approx([0.1 * share, 0.02 * share])


def test_the_state_is_that_of_the_parameters_own_optimizer() -> None:
    model = build_model("mlp", DATASETS["mnist"].task)
    optimizers = make_optimizers(model, MUON)
    model(torch.rand(2, 1, 28, 28)).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    for parameter in model.parameters():
        assert state_of(parameter, optimizers)["momentum_buffer"].shape == parameter.shape
