"""The history of a training as a table for other programs, and as events for TensorBoard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mnist_edge.errors import UserError
from mnist_edge.training.datasets.splits import steps_per_epoch
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.train_state import Epoch

COLUMNS = ("epoch", "train_loss", "validation_accuracy", "learning_rate")
"""Columns of the table: see `Epoch`; the learning rate is that of the epoch's last step."""

LogEpoch = Callable[[Epoch], None]


def history_table(history: Sequence[Epoch], recipe: Recipe, images: int) -> bytes:
    """Return a line of comma-separated values for each epoch, below the names of the columns.

    `images` is the number of images in an epoch. There are no times in the table, so that the same training, resumed
    or not, gives the same bytes.
    """
    rows = [(each.epoch, each.loss, each.accuracy, _learning_rate(each, recipe, images)) for each in history]
    return "".join(",".join(map(str, row)) + "\n" for row in (COLUMNS, *rows)).encode()


@contextmanager
def tensorboard_log(folder: Path, finished: int, recipe: Recipe, images: int) -> Iterator[LogEpoch]:
    """Write event files for TensorBoard into a folder, and yield a function that takes the result of each epoch.

    Args:
        folder: is made where it is missing. What an earlier training logged there after its `finished` epochs is
            superseded.
        finished: epochs that a resumed training has behind it.
        recipe: what is trained.
        images: number of images in an epoch.

    Raises:
        UserError: the folder can't be written.
        ModuleNotFoundError: tensorboard is not installed.
    """
    import tensorboard  # noqa: F401 - torch wraps the error where it is missing
    from torch.utils.tensorboard import SummaryWriter

    try:
        with SummaryWriter(str(folder), purge_step=finished + 1) as writer:

            def log(epoch: Epoch) -> None:
                scalars = {
                    "loss/train": epoch.loss,
                    "accuracy/validation": epoch.accuracy,
                    "learning_rate": _learning_rate(epoch, recipe, images),
                }
                for tag, value in scalars.items():
                    writer.add_scalar(tag, value, epoch.epoch)
                writer.flush()

            yield log
    except OSError as error:
        raise UserError(f"cannot write the log of the training to {folder}: {error.strerror or error}") from error


def _learning_rate(epoch: Epoch, recipe: Recipe, images: int) -> float:
    steps = steps_per_epoch(images, recipe.batch_size)
    return recipe.learning_rate * recipe.learning_rate_share_at(epoch.epoch * steps - 1, steps)
