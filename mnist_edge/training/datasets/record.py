"""What a checkpoint records of the data that it was trained on, beside the digest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mnist_edge.artifact.fields import MAX_COUNT, check_integer, expect_fields, take, take_list, take_object, take_text

PARTS = ("train", "validation", "test")
"""The parts of a data set: to learn from, to choose and calibrate by, and to measure on."""


@dataclass(frozen=True)
class DataRecord:
    """Where the images came from, and how many there are of each label.

    Attributes:
        dataset: name of a data set of the registry, or a folder of pictures as it was named.
        split_seed: what the parts of the folder were drawn from; None for a data set of the registry, which has parts.
        counts: images of each label, in the order of the task's labels, for each of `PARTS`; empty where not known.
    """

    dataset: str
    split_seed: int | None
    counts: dict[str, tuple[int, ...]]

    @property
    def sizes(self) -> dict[str, int]:
        """How many images each part has."""
        return {part: sum(counts) for part, counts in self.counts.items()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "DataRecord":
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: something is missing, of another type, or out of range.
        """
        expect_fields(cls.__dataclass_fields__, fields)
        seed, counts = take(fields, "split_seed"), take_object(fields, "counts")
        expect_fields(PARTS, counts)
        return cls(
            dataset=take_text(fields, "dataset", longest=4_096),
            split_seed=None if seed is None else check_integer(seed, "split_seed", 0, MAX_COUNT),
            counts={
                part: tuple(check_integer(count, "counts", 0, MAX_COUNT) for count in take_list(counts, part))
                for part in PARTS
            },
        )
