"""A folder of pictures as a data set: one sub-folder for each label, in `train/` and `test/` where those are there.

Pictures are decoded and prepared by the same code, and within the same budgets, as `predict` reads them.
"""

import csv
import hashlib
import io
import re
import shlex
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import NoDigitError, PictureError, UserError
from mnist_edge.preprocessing.bounded_read import read_file
from mnist_edge.preprocessing.decode import decode
from mnist_edge.preprocessing.registry import load_preprocessing
from mnist_edge.text import printable
from mnist_edge.training.datasets.record import PARTS
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData, count_labels
from mnist_edge.types import TensorSpec

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
"""Shares of each label's pictures that are for testing, where there is no `test/`, and for validation."""

MAX_LABELS = 1_000
"""Most labels of a folder."""

MAX_VALUES = 1 << 30
"""Most numbers in all images of a folder, 4 bytes each."""

DEFAULT_PREPROCESSING = "resize/1"
DEFAULT_SIDE = 28


@dataclass(frozen=True)
class Picture:
    """A picture file: its path, and the index of its label."""

    path: Path
    label: int


@dataclass(frozen=True)
class PictureFolder:
    """A folder whose pictures are listed and divided into parts, but not yet read.

    Attributes:
        folder: as it was named.
        task: what is learned from it.
        split_seed: what the parts were drawn from.
        parts: the pictures of each of `PARTS`.
    """

    folder: Path
    task: Task
    split_seed: int
    parts: dict[str, list[Picture]]

    def digest(self) -> str:
        """Return the SHA-256 of all pictures' places in the folder and bytes, as 64 hexadecimal digits.

        Raises:
            UserError: one can't be read.
        """
        return self._digest_of(self._file_digests())

    def _file_digests(self) -> dict[Path, str]:
        """Return the SHA-256 of each picture; raises `UserError` where one can't be read."""
        pictures = [picture for part in PARTS for picture in self.parts[part]]
        return {picture.path: hashlib.sha256(_read(picture.path)).hexdigest() for picture in pictures}

    def _digest_of(self, files: Mapping[Path, str]) -> str:
        lines = [f"{path.relative_to(self.folder).as_posix()}\0{digest}\n" for path, digest in files.items()]
        return hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()

    def load_training_data(self) -> TrainingData:
        """Read the pictures to learn from and those for validation; raises `UserError` where one can't be read."""
        files = self._file_digests()
        learned = {files[picture.path] for picture in self.parts["train"]}
        held_back = [picture.path for part in ("validation", "test") for picture in self.parts[part]]
        return TrainingData(
            train=self._load("train"),
            validation=self._load("validation"),
            digest=self._digest_of(files),
            dataset=str(self.folder),
            split_seed=self.split_seed,
            test_counts=count_labels(torch.tensor([picture.label for picture in self.parts["test"]]), self.task),
            repeated=tuple(str(path) for path in held_back if files[path] in learned),
        )

    def load_test_data(self) -> Split:
        """Read the pictures to measure on; raises `UserError` where one can't be read."""
        return self._load("test")

    def _load(self, part: str) -> Split:
        """Read a part; the images are rounded to 8 bits, as artifacts carry them."""
        prepare = load_preprocessing(self.task.preprocessing, self.task.input).preprocess
        pictures = self.parts[part]
        pixels = np.empty((len(pictures), *self.task.input.shape), np.uint8)
        for index, picture in enumerate(pictures):
            try:
                pixels[index] = np.rint(prepare(decode(_read(picture.path))).tensor[0] * 255)
            except (PictureError, NoDigitError) as error:
                raise UserError(f"cannot use the picture {picture.path}: {error}; mend it, or remove it") from error
        labels = torch.tensor([picture.label for picture in pictures], dtype=torch.int64)
        return Split(torch.from_numpy(pixels), labels)


def open_folder(
    folder: Path,
    seed: int,
    preprocessing: str | None,
    side: int | None,
    channels: int,
    labels: tuple[str, ...] | None = None,
) -> PictureFolder:
    """List the pictures of a folder that shall be trained on, and draw its parts.

    Args:
        folder: has a sub-folder for each label, or `train/` and `test/` with a sub-folder for each label.
        seed: what the parts are drawn from.
        preprocessing: key of the registry; `DEFAULT_PREPROCESSING` if None.
        side: height and width of the model's input; `DEFAULT_SIDE` if None.
        channels: 1 for gray images, 3 for color.
        labels: in the order of the model's outputs; sorted by code point if None.

    Raises:
        UserError: labels are missing, empty, in one part only, or not those given, or there is no such preprocessing.
    """
    key = preprocessing or DEFAULT_PREPROCESSING
    asked = TensorSpec("image", (channels, side or DEFAULT_SIDE, side or DEFAULT_SIDE))
    given = load_preprocessing(key, asked).output
    if given.shape != asked.shape:
        kind = f"{given.shape[1]}×{given.shape[2]} {'gray' if given.shape[0] == 1 else 'color'} images"
        raise UserError(f"the preprocessing {key} gives {kind}: leave out --image-size and --color")
    listed = _listed(folder)
    found = tuple(listed["train"])
    if labels is not None and sorted(labels) != sorted(found):
        named = f"the labels are {', '.join(map(repr, labels))}" if labels else "there are no labels"
        raise UserError(f"{named}, expected those of {folder} in any order: --labels {_option_value(found)}")
    task = Task(_task_name(folder), labels or found, given, key)
    return _divided(folder, task, listed, seed)


def _option_value(labels: tuple[str, ...]) -> str:
    """Return labels as `--labels` takes them, quoted for a shell."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(labels)
    return shlex.quote(line.getvalue())


def find_folder(folder: Path, task: Task, seed: int) -> PictureFolder:
    """List the pictures of a folder that was trained on, and draw the same parts again.

    Raises:
        UserError: it is not there, or has other labels.
    """
    listed = _listed(folder)
    if different := sorted(set(listed["train"]) ^ set(task.labels)):
        raise UserError(f"{folder} has other labels than the checkpoint ({different[0]!r}): name its own folder")
    return _divided(folder, task, listed, seed)


def _listed(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Return the pictures of each label for `train`, and for `test` where the folder has its own."""
    if not folder.is_dir():
        raise UserError(
            f"there is no data set and no folder {folder}: expected one of {', '.join(DATASETS)}, or a folder of "
            "pictures with a sub-folder for each label"
        )
    names = {path.name for path in _folders(folder)}
    # Pictures in train/ and test/ themselves are taken for parts that lack their labels, not for two labels.
    divided = names == {"train", "test"} or ("train" in names and _is_part(folder / "train"))
    if not (divided and "test" in names):
        if divided:
            raise UserError(
                f"{folder} has train/ but no test/: add test/, or put the labels' folders into {folder} itself"
            )
        return {"train": _labels(folder)}
    if beside := sorted(names - {"train", "test"}):
        raise UserError(f"{folder} has {printable(beside[0])}/ beside train/ and test/: move it away")
    parts = {part: _labels(folder / part) for part in ("train", "test")}
    for part, other in (("train", "test"), ("test", "train")):
        for label in parts[part]:
            if label not in parts[other]:
                raise UserError(f"the label {label!r} of {folder} is in {part}/ only: add it to {other}/, or remove it")
    return parts


def _is_part(folder: Path) -> bool:
    """Say whether a folder called `train` has labels, or pictures of a label of that name."""
    return bool(_folders(folder)) or not _entries(folder)


def _labels(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures of each label in the order of the labels; raises `UserError` over labels that are no good."""
    found: dict[str, list[Path]] = {}
    spelled: dict[str, str] = {}
    for path in sorted(_folders(folder), key=lambda path: unicodedata.normalize("NFC", path.name)):
        label = unicodedata.normalize("NFC", path.name)
        if printable(label) != label:
            raise UserError(f"the label {label!r} in {folder} has control characters: rename its folder")
        other = spelled.setdefault(label.casefold(), label)
        if other != label or label in found:
            raise UserError(f"the labels {other!r} and {label!r} in {folder} differ in case alone: rename a folder")
        found[label] = _files(path)
    if not 2 <= len(found) <= MAX_LABELS:
        raise UserError(
            f"{folder} has {len(found):,} sub-folders, expected 2 to {MAX_LABELS:,}: one with pictures for each label"
        )
    return found


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    files = _entries(folder)
    if not files:
        raise UserError(f"{folder} holds no pictures: add some, or remove it")
    for path in files:
        if path.is_dir():
            raise UserError(f"{path} is a folder, expected pictures: a label has no folders of its own")
    return files


def _entries(folder: Path) -> list[Path]:
    """Return what a folder holds, by name, without what is hidden."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from error


def _divided(folder: Path, task: Task, listed: dict[str, dict[str, list[Path]]], seed: int) -> PictureFolder:
    """Draw the parts that the folder does not have: of each label, the same share.

    The order of a label's pictures is drawn from the seed and their names alone: where others are added, only those
    beside a cut between two parts may come into another.
    """
    parts: dict[str, list[Picture]] = {part: [] for part in PARTS}
    own_test = "test" in listed
    for index, label in enumerate(task.labels):
        paths = listed["train"][label]
        if len(paths) < (2 if own_test else 3):
            raise UserError(
                f"the label {label!r} of {folder} has {len(paths)} pictures{' in train/' if own_test else ''}, "
                f"expected at least {2 if own_test else 3}: one for each part"
            )
        shuffled = _in_drawn_order([Picture(path, index) for path in paths], folder, seed)
        tested = 0 if own_test else max(1, round(TEST_SHARE * len(paths)))
        validated = max(1, round(VALIDATION_SHARE * len(paths)))
        parts["test"] += shuffled[:tested]
        parts["validation"] += shuffled[tested : tested + validated]
        parts["train"] += shuffled[tested + validated :]
        if own_test:
            parts["test"] += [Picture(path, index) for path in listed["test"][label]]
    values = sum(map(len, parts.values())) * int(np.prod(task.input.shape))
    if values > MAX_VALUES:
        raise UserError(
            f"{folder} has too many pictures for memory ({4 * values >> 20:,} MB): choose a smaller --image-size"
        )
    mixed = {part: _in_drawn_order(pictures, folder, seed) for part, pictures in parts.items()}
    return PictureFolder(folder, task, seed, mixed)


def _in_drawn_order(pictures: list[Picture], folder: Path, seed: int) -> list[Picture]:
    def drawn(picture: Picture) -> bytes:
        place = unicodedata.normalize("NFC", picture.path.relative_to(folder).as_posix())
        return hashlib.sha256(f"{seed}/{place}".encode(errors="surrogateescape")).digest()

    return sorted(pictures, key=drawn)


def _task_name(folder: Path) -> str:
    """Return a folder's name as the beginning of file names; never that of a data set of the registry."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._") or "pictures"
    return f"{name}-pictures" if name in DATASETS else name


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except PictureError as error:
        raise UserError(f"cannot read the picture {path}: {error}; mend it, or remove it") from error
