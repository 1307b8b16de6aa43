"""The data to train on as options: a data set of the registry, or a folder of pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_edge.artifact.contract import Task
from mnist_edge.cli import options
from mnist_edge.cli.output import note
from mnist_edge.preprocessing.registry import PREPROCESSINGS
from mnist_edge.training.datasets.registry import DATASETS, DEFAULT_DATASET

if TYPE_CHECKING:
    from mnist_edge.training.datasets.splits import Split, TrainingData


@dataclass(frozen=True)
class Data:
    """Data to train on.

    Attributes:
        task: what is learned from it.
        load_training_data: reads the images to learn from.
        load_test_data: reads the images to measure on.
    """

    task: Task
    load_training_data: "Callable[[], TrainingData]"
    load_test_data: "Callable[[], Split]"


def options_of_data(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `open_data` takes."""
    for option in (
        click.option(
            "--preprocessing",
            type=click.Choice(list(PREPROCESSINGS)),
            show_default="resize/1",
            help="For a folder: what turns a picture into the model's input; mnist/3 is for handwriting.",
        ),
        click.option("--color", is_flag=True, help="For a folder: give the model color images, not gray ones."),
        click.option(
            "--image-size",
            type=click.IntRange(min=8, max=96),
            show_default="28",
            metavar="PIXELS",
            help="For a folder: height and width of the model's input, up to 96.",
        ),
        click.option(
            "--dataset",
            default=DEFAULT_DATASET,
            show_default=True,
            metavar="NAME|FOLDER",
            shell_complete=options.files_or(*DATASETS, kind="dir"),
            help=f"{', '.join(DATASETS)}, or a folder of pictures with a sub-folder for each label.",
        ),
    ):
        command = option(command)
    return command


def open_data(
    dataset: str,
    data_dir: Path,
    seed: int = 0,
    image_size: int | None = None,
    color: bool = False,
    preprocessing: str | None = None,
    labels: tuple[str, ...] | None = None,
) -> Data:
    """Return a data set by its name, or a folder of pictures, whose parts are drawn from `seed`; nothing is read yet.

    Raises:
        UserError: there is no such data set and no such folder, or its labels are no good.
        click.UsageError: an option for folders is given with a data set of the registry.
    """
    if dataset in DATASETS:
        if image_size or color or preprocessing:
            raise click.UsageError("--image-size, --color and --preprocessing go with a --dataset that is a folder.")
        if labels is not None:
            raise click.UsageError("--labels goes with a --dataset that is a folder.")
        return _registered(dataset, data_dir)
    from mnist_edge.training.datasets.pictures import open_folder

    found = open_folder(Path(dataset), seed, preprocessing, image_size, 3 if color else 1, labels)
    return Data(found.task, found.load_training_data, found.load_test_data)


def noted(data: "TrainingData") -> "TrainingData":
    """Return the data, and say on stderr where what is measured on would be learned, for commands that measure."""
    if repeated := data.repeated:
        note(
            f"{len(repeated):,} of the validation and test pictures are identical to training pictures, such as "
            f"{repeated[0]}: remove them, or the accuracy comes out too high"
        )
    return data


def _registered(name: str, data_dir: Path) -> Data:
    from mnist_edge.training.datasets import registry

    return Data(
        DATASETS[name].task,
        lambda: registry.load_training_data(name, data_dir),
        lambda: registry.load_test_data(name, data_dir),
    )


def given_options(
    dataset: str, data_dir: Path, image_size: int | None, color: bool, preprocessing: str | None
) -> tuple[str, ...]:
    """Return the options that name the data again."""
    given: list[str] = [] if dataset == DEFAULT_DATASET else ["--dataset", dataset]
    given += ["--image-size", str(image_size)] if image_size else []
    given += ["--color"] if color else []
    given += ["--preprocessing", preprocessing] if preprocessing else []
    return (*given, *(["--data-dir", str(data_dir)] if dataset in DATASETS else []))
