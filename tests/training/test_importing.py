"""Checkpoints of networks that were trained elsewhere."""

import dataclasses

import pytest

from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.importing import doubt_of


@pytest.mark.parametrize(
    ("labels", "doubted", "better"), [(2, 0.66, 0.67), (3, 0.55, 0.56), (4, 0.49, 0.5), (10, 0.19, 0.2)]
)
def test_what_is_hardly_better_than_guessing_depends_on_the_number_of_labels(
    labels: int, doubted: float, better: float, released: Checkpoint
) -> None:
    task = dataclasses.replace(released.task, labels=tuple(map(str, range(labels))))
    trained = dataclasses.replace(released, task=task)
    imported = dataclasses.replace(trained, recipe=None)
    assert doubt_of(imported, better) == doubt_of(trained, better) == ""
    assert doubt_of(imported, doubted).startswith(f"{doubted:.2%} is hardly better than guessing: was the network")
    assert doubt_of(trained, doubted).endswith("guessing: train it longer, or with other settings")
