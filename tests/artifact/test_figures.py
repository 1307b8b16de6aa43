"""What an artifact says of its own answers."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from mnist_edge.artifact.figures import Figures
from mnist_edge.errors import ArtifactError


def test_the_largest_difference_is_that_of_the_report() -> None:
    """Computed in double precision: in single precision, it is a multiple of the spacing of floats."""
    trained, found = np.array([[1e-3, 1.0]], np.float32), np.array([[-1.0, 1.0]], np.float32)
    exact = float(trained[0, 0]) - float(found[0, 0])
    assert exact != float(trained[0, 0] - found[0, 0])
    assert Figures.of(found, trained, np.array([1])) == Figures(1, 1.0, 1.0, 1.0, exact)


@pytest.mark.parametrize(
    ("labels", "shares"),
    [([1, 1, 1], (1 / 3, 0, 2 / 3)), ([1, 0, 1], (2 / 3, 1 / 3, 2 / 3)), ([0, 0, 0], (2 / 3, 1, 2 / 3))],
)
def test_each_share_is_of_its_own_pair_of_answers(labels: list[int], shares: tuple[float, float, float]) -> None:
    rows = np.eye(2, dtype=np.float32)
    found = Figures.of(rows[[0, 0, 1]], rows[[0, 0, 0]], np.array(labels))
    assert (found.accuracy, found.trained_accuracy, found.agreement) == pytest.approx(shares)


def test_figures_are_read_as_they_were_written_and_with_no_other_field() -> None:
    figures = Figures(3, 1 / 3, 2 / 3, 1.0, 0.25)
    assert Figures.from_json(figures.to_json()) == figures
    more, fewer = {**asdict(figures), "more": 1}, {"images": 3}
    for fields, problem in ((more, "'more' is an unknown field"), (fewer, "'accuracy' is missing")):
        with pytest.raises(ArtifactError, match=problem):
            Figures.from_json(json.dumps(fields))
