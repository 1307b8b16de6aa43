"""A change of a network's code shows in what it answers to a few fixed images."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.training.architectures.own import OwnArchitecture, load_architecture
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.importing import checkpoint_of
from mnist_edge.training.trial import TRIALS, same_logits, trial_images, trial_logits

MNIST = DATASETS["mnist"].task
CODE = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(784, 16), nn.Linear(16, 10)
    def forward(self, x):
        return self.last(self.first(x).relu())
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def checkpoint(net: Path, few: TrainingData) -> Checkpoint:
    own = load_architecture(f"{net}:Net")
    made = checkpoint_of(own, MNIST, build_model(own.name, MNIST, own=own).state_dict(), few)
    save_checkpoint(net.with_suffix(".safetensors"), made)
    return load_checkpoint(net.with_suffix(".safetensors"))


def test_the_images_are_noise_that_stays_the_same() -> None:
    images = trial_images(MNIST)
    assert images.shape == (TRIALS, 1, 28, 28)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < 0.001
    assert 0.999 < images.max() <= 1
    assert abs(images.mean() - 0.5) < 0.01
    assert images[0, 0, 0, :3].tolist() == pytest.approx([0, 0.6180339, 0.2360679], abs=1e-6)  # of the golden ratio


def test_the_code_that_was_trained_is_known_again(net: Path, checkpoint: Checkpoint) -> None:
    own = load_architecture(f"{net}:Net")
    found = checkpoint.with_own(own)
    assert found.trial_logits == trial_logits(found.build(), MNIST)
    assert len(found.trial_logits) == TRIALS
    net.write_text(CODE.replace(".relu()", ".clamp(min=0)"))  # the same function in other words
    assert checkpoint.with_own(load_architecture(f"{net}:Net"))


@pytest.mark.parametrize("changed", [".tanh()", "", ".relu() * 1.01"])
def test_changed_code_is_refused_though_the_weights_fit(changed: str, net: Path, checkpoint: Checkpoint) -> None:
    net.write_text(CODE.replace(".relu()", changed))
    with pytest.raises(UserError, match=r"net\.py:Net gives other answers than when the checkpoint was made"):
        checkpoint.with_own(load_architecture(f"{net}:Net"))


def test_logits_that_are_not_finite_are_not_compared() -> None:
    layer = nn.Linear(784, 10)
    nn.init.constant_(layer.weight, torch.inf)
    assert trial_logits(nn.Sequential(nn.Flatten(), layer), MNIST) == ()
    assert same_logits((), ())
    assert not same_logits((), ((1.0,),))
    assert not same_logits(((1.0, 2.0),), ((1.0,),))
    assert same_logits(((1000.5,),), ((1000.0,),))
    assert not same_logits(((1002.0,),), ((1000.0,),))


def test_a_checkpoint_of_the_registry_has_none(released: Checkpoint) -> None:
    assert released.trial_logits == ()
    assert released.license == "Apache-2.0"
    own = OwnArchitecture("net.py:Net", nn.Identity)
    with pytest.raises(UserError, match=r"not of net\.py:Net: leave out --arch"):
        dataclasses.replace(released).with_own(own)
