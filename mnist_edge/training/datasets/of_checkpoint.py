"""The data that a checkpoint was trained on, found again."""

import os
from pathlib import Path

from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.pictures import PictureFolder, find_folder
from mnist_edge.training.datasets.splits import Split


def pictures_of(checkpoint: Checkpoint, folder: str | os.PathLike[str] | None = None) -> PictureFolder | None:
    """Return the folder of pictures that a checkpoint was trained on, or None for one of a data set of the registry.

    Args:
        checkpoint: what was trained.
        folder: where the pictures are now; None where they were.

    Raises:
        UserError: it is not there, it has changed since, or a folder is given for a data set that is none.
    """
    seed = checkpoint.data.split_seed
    if seed is None:
        if folder is not None:
            raise UserError(
                f"the checkpoint was trained on {checkpoint.data.dataset}, not on a folder of pictures: "
                "leave out --dataset"
            )
        _check_fits(checkpoint)
        return None
    path = _path_of(checkpoint, folder)
    found = find_folder(path, checkpoint.task, seed)
    if found.digest() != checkpoint.data_digest:
        raise UserError(
            f"{path} has changed since the checkpoint was trained on it: put it back as it was, or train again"
        )
    return found


def _path_of(checkpoint: Checkpoint, folder: str | os.PathLike[str] | None) -> Path:
    """Return where the pictures are; raises `UserError` where there is no folder."""
    path = Path(folder or checkpoint.data.dataset)
    if not path.is_dir():
        raise UserError(
            f"the pictures that the checkpoint was trained on are not in {path}: name their folder with --dataset"
        )
    return path


def have_same_test_images(one: Checkpoint, other: Checkpoint, folder: Path | None = None) -> bool:
    """Say whether two checkpoints of one task have the same test images.

    In a folder of the same pictures, those are drawn from the seed, unless the folder brings its own `test/`.

    Args:
        one: what was trained.
        other: what was trained too.
        folder: where the pictures are now; None where they were.

    Raises:
        UserError: the seeds differ, and the pictures are not there.
    """
    seed, others = one.data.split_seed, other.data.split_seed
    if seed is None or others is None:
        return seed == others and one.data.dataset == other.data.dataset
    if one.data_digest != other.data_digest or seed == others:
        return one.data_digest == other.data_digest
    path = _path_of(one, folder)
    tested, others_tested = (
        {picture.path for picture in find_folder(path, one.task, each).parts["test"]} for each in (seed, others)
    )
    return tested == others_tested


def load_test_images(checkpoint: Checkpoint, data_dir: Path, folder: Path | None = None) -> Split:
    """Return the test images of a checkpoint's data; raises as `pictures_of` and `registry.load_test_data`."""
    found = pictures_of(checkpoint, folder)
    return found.load_test_data() if found else registry.load_test_data(checkpoint.data.dataset, data_dir)


def _check_fits(checkpoint: Checkpoint) -> None:
    """Raise `UserError` where a checkpoint can't be given the images of its data set, as none is that was trained."""
    theirs, task = registry.dataset_spec(checkpoint.data.dataset).task, checkpoint.task
    if (task.input.shape, len(task.labels)) != (theirs.input.shape, len(theirs.labels)):
        shape, expected = ("×".join(map(str, each.input.shape)) for each in (task, theirs))
        raise UserError(
            f"the checkpoint is for images of {shape} and {len(task.labels)} labels, {theirs.name} has {expected} and "
            f"{len(theirs.labels)}"
        )
