import itertools
from collections import Counter

import numpy as np

from mnist_edge.training.negatives import KINDS, LETTERS, SIDE, negatives


def test_there_are_as_many_of_each_kind_as_it_says_and_the_same_seed_draws_the_same() -> None:
    drawn = list(negatives())
    assert Counter(kind for kind, _ in drawn) == {kind: count for kind, (count, _) in KINDS.items()}
    assert all(picture.mode == "L" and picture.size == (SIDE, SIDE) for _, picture in drawn)
    assert all(np.ptp(np.asarray(picture)) > 100 for _, picture in drawn)
    assert len({picture.tobytes() for _, picture in drawn}) == len(drawn)
    again = [picture.tobytes() for _, picture in itertools.islice(negatives(), 20)]
    assert again == [picture.tobytes() for _, picture in drawn[:20]]
    assert next(negatives(1))[1].tobytes() != again[0]


def test_no_letter_is_a_digit_in_somebodys_hand() -> None:
    assert not set(LETTERS) & set("OoIlSsZzBbgqyDQi")
