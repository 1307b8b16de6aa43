import pytest
import torch

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import UserError
from mnist_edge.training.architectures.registry import ARCHITECTURES, build_model, weights_fit
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.types import TensorSpec

MNIST = DATASETS["mnist"].task
WIDE = Task("wide", ("a", "b", "c"), TensorSpec("image", (3, 30, 41)), "none/1")


@pytest.mark.parametrize(("architecture", "parameters"), [("mlp", 109_386), ("cnn", 56_634)])
def test_the_number_of_parameters_for_mnist(architecture: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in build_model(architecture, MNIST).parameters()) == parameters


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("task", [MNIST, WIDE], ids=["mnist", "wide"])
def test_sizes_are_those_of_the_task(architecture: str, task: Task) -> None:
    model = build_model(architecture, task)
    assert model(torch.zeros(2, *task.input.shape)).shape == (2, len(task.labels))
    assert weights_fit(architecture, task, model.state_dict())
    assert not weights_fit(architecture, MNIST if task is WIDE else WIDE, model.state_dict())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_drawn_from_the_seed_alone(architecture: str) -> None:
    before = torch.random.get_rng_state()
    first, second, third = (build_model(architecture, MNIST, seed).state_dict() for seed in (4, 4, 5))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)


def test_weights_of_another_type_do_not_fit() -> None:
    weights = build_model("mlp", MNIST).state_dict()
    assert not weights_fit("mlp", MNIST, {**weights, "fc3.bias": weights["fc3.bias"].double()})
    assert not weights_fit("mlp", MNIST, {name: weights[name] for name in list(weights)[1:]})


def test_an_unknown_architecture_is_one_line() -> None:
    with pytest.raises(UserError, match="unknown architecture 'rnn': expected one of mlp, cnn"):
        build_model("rnn", MNIST)
