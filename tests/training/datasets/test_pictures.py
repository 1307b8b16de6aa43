import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mnist_edge.cli.import_weights import Labels
from mnist_edge.errors import UserError
from mnist_edge.preprocessing.decode import load
from mnist_edge.preprocessing.registry import load_preprocessing
from mnist_edge.training.datasets.pictures import PictureFolder, find_folder, open_folder
from tests.training.datasets.picture_folders import COLORS, write_colors


def opened(folder: Path, seed: int = 0) -> PictureFolder:
    return open_folder(folder, seed, None, 16, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_colors(tmp_path / "my colors")


def names(found: PictureFolder, part: str) -> list[str]:
    return [picture.path.relative_to(found.folder).as_posix() for picture in found.parts[part]]


def test_the_task_is_read_off_the_folder(folder: Path) -> None:
    task = opened(folder).task
    assert (task.name, task.labels, task.input.shape) == ("my-colors", tuple(COLORS), (3, 16, 16))
    assert (task.preprocessing, task.input.polarity) == ("resize/1", "as-pictured")
    assert open_folder(folder, 0, "mnist/3", None, 1).task.input.shape == (1, 28, 28)


def test_a_folder_of_a_known_name_is_another_task(tmp_path: Path) -> None:
    assert opened(write_colors(tmp_path / "mnist")).task.name == "mnist-pictures"


def test_each_label_has_its_share_of_each_part(folder: Path) -> None:
    data, test = opened(folder).load_training_data(), opened(folder).load_test_data()
    record = data.record(opened(folder).task)
    assert record.counts == {"train": (14, 14, 14), "validation": (2, 2, 2), "test": (4, 4, 4)}
    assert (record.dataset, record.split_seed, record.sizes["test"]) == (str(folder), 0, len(test))
    assert torch.bincount(test.labels).tolist() == [4, 4, 4]


def test_the_images_are_what_the_runner_makes_of_the_files(folder: Path) -> None:
    found = opened(folder)
    split, prepare = found.load_test_data(), load_preprocessing("resize/1", found.task.input).preprocess
    for index, picture in enumerate(found.parts["test"]):
        assert split.images[index].numpy() == pytest.approx(prepare(load(picture.path)).tensor[0])
        assert found.task.labels[split.labels[index]] == picture.path.parent.name
    assert split.images.amax(dim=(2, 3)).argmax(dim=1).tolist() == [(1, 2, 0)[label] for label in split.labels]


def test_the_seed_alone_draws_the_parts(folder: Path) -> None:
    first, again, other = opened(folder), opened(folder), opened(folder, seed=1)
    assert first == again
    assert names(first, "test") != names(other, "test")
    assert first.digest() == other.digest()
    assert find_folder(folder, first.task, 0) == first
    every = sorted(name for part in first.parts for name in names(first, part))
    assert every == sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))


def test_labels_that_are_expected_are_named_as_they_can_be_given(tmp_path: Path) -> None:
    labels = ("a", "a, b", 'b "c"', "it's")
    for label in labels:
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.png").touch()
    for given, found in (((), "there are no labels"), (("a", "b, c"), "the labels are 'a', 'b, c'")):
        with pytest.raises(UserError) as caught:
            open_folder(tmp_path, 0, None, 16, 3, given)
        said, value = str(caught.value).split(", expected those of ")
        assert said == found
        option, value = shlex.split(value.partition(" in any order: ")[2])
        assert option == "--labels"
        assert Labels().convert(value, None, None) == labels


def test_the_labels_may_be_in_another_order(folder: Path) -> None:
    order = ("rot", "Grün", "blau")
    first, other = opened(folder), open_folder(folder, 0, None, 16, 3, order)
    assert other.task.labels == order
    assert find_folder(folder, other.task, 0) == other
    assert other.digest() == first.digest()
    for part in first.parts:
        assert names(other, part) == names(first, part)
        for found in (first, other):
            labels = [found.task.labels[picture.label] for picture in found.parts[part]]
            assert labels == [picture.path.parent.name for picture in found.parts[part]]
    for wrong in (("rot", "Grün"), (*order, "rot"), ("rot", "Grün", "Blau"), ()):
        with pytest.raises(UserError, match=r"expected those of .*my colors in any order: --labels 'Grün,blau,rot'$"):
            open_folder(folder, 0, None, 16, 3, wrong)


def test_a_picture_keeps_its_part_in_another_place(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "x"))
    assert names(opened(moved), "test") == names(opened(folder), "test")
    assert opened(moved).digest() == opened(folder).digest()


def test_any_change_is_another_digest(folder: Path) -> None:
    before = opened(folder).digest()
    picture = folder / "rot" / "0.png"
    picture.write_bytes(picture.read_bytes() + b"\0")
    changed = opened(folder).digest()
    picture.rename(folder / "rot" / "00.png")
    assert len({before, changed, opened(folder).digest()}) == 3


def test_parts_of_the_folder_are_taken_as_they_are(folder: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        shutil.copytree(folder, tmp_path / "parts" / part)
    found = opened(tmp_path / "parts")
    assert {part: len(pictures) for part, pictures in found.parts.items()} == {"train": 54, "validation": 6, "test": 60}
    assert all(name.startswith("test/") for name in names(found, "test"))


def test_pictures_that_are_learned_and_held_back_are_found(folder: Path, tmp_path: Path) -> None:
    assert opened(folder).load_training_data().repeated == ()
    copied = opened(folder).parts["test"][0].path
    copied.write_bytes(opened(folder).parts["train"][0].path.read_bytes())
    assert opened(folder).load_training_data().repeated == (str(copied),)
    for part in ("train", "test"):
        shutil.copytree(folder, tmp_path / "parts" / part)
    found = opened(tmp_path / "parts").load_training_data().repeated
    assert sum("/parts/test/" in path for path in found) >= 54


@pytest.mark.parametrize("other", ["bus", "test"])
def test_a_label_may_be_called_train(other: str, folder: Path) -> None:
    (folder / "rot").rename(folder / "train")
    (folder / "blau").rename(folder / other)
    found = opened(folder)
    assert found.task.labels == ("Grün", *sorted((other, "train")))
    assert sum(map(len, found.parts.values())) == 60


def test_what_is_hidden_is_left_out(folder: Path) -> None:
    before = opened(folder)
    (folder / ".git").mkdir()
    (folder / "rot" / ".DS_Store").touch()
    (folder / "README.md").touch()
    assert opened(folder) == before


def _split(folder: Path) -> None:
    for label in COLORS:
        shutil.copytree(folder / label, folder / "test" / label)
        shutil.copytree(folder / label, folder / "train" / label)
        shutil.rmtree(folder / label)


def _in_one_part(folder: Path) -> None:
    _split(folder)
    shutil.rmtree(folder / "test" / "rot")


def _beside_parts(folder: Path) -> None:
    _split(folder)
    (folder / "valid").mkdir()


def _only_train(folder: Path) -> None:
    (folder / "train").mkdir()


def _empty(folder: Path) -> None:
    (folder / "leer").mkdir()


def _few(folder: Path) -> None:
    (folder / "rot" / "0.png").rename(folder / "x.png")
    shutil.rmtree(folder / "rot")
    (folder / "rot").mkdir()
    (folder / "x.png").rename(folder / "rot" / "0.png")


def _one_label(folder: Path) -> None:
    for label in ("rot", "blau"):
        shutil.rmtree(folder / label)


def _same_but_for_case(folder: Path) -> None:
    shutil.copytree(folder / "rot", folder / "ROT")


def _same_but_for_form(folder: Path) -> None:
    shutil.copytree(folder / "Grün", folder / "Gru\u0308n")


def _control_characters(folder: Path) -> None:
    (folder / "rot").rename(folder / "ro\x1b[31mt\n")


def _not_utf8(folder: Path) -> None:
    (folder / "rot").rename(folder / "ro\udcfft")


def _nested(folder: Path) -> None:
    (folder / "rot" / "dunkel").mkdir()


def _parts_without_labels(folder: Path) -> None:
    (folder / "rot").rename(folder / "train")
    (folder / "blau").rename(folder / "test")
    shutil.rmtree(folder / "Grün")


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a label in one part": (_in_one_part, "'rot' of .* is in train/ only"),
    "more than the parts": (_beside_parts, "has valid/ beside train/ and test/"),
    "a part missing": (_only_train, "has train/ but no test/"),
    "parts without labels": (_parts_without_labels, "train has 0 sub-folders, expected 2 to 1,000"),
    "an empty label": (_empty, "leer holds no pictures"),
    "too few pictures": (_few, "'rot' of .* has 1 pictures, expected at least 3"),
    "one label": (_one_label, "has 1 sub-folders, expected 2 to 1,000"),
    "case": (_same_but_for_case, "'ROT' and 'rot' .* differ in case alone"),
    "form": (_same_but_for_form, "'Grün' and 'Grün' .* differ in case alone"),
    "control characters": (_control_characters, r"'ro\\x1b\[31mt\\n' .* has control characters"),
    "not UTF-8": (_not_utf8, "has control characters"),
    "a folder in a label": (_nested, "dunkel is a folder, expected pictures"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_labels_that_are_no_good_are_one_line(case: str, folder: Path) -> None:
    damage, message = HOSTILE[case]
    damage(folder)
    with pytest.raises(UserError, match=message) as caught:
        opened(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "cut off"])
def test_a_picture_that_cannot_be_read_is_one_line(content: bytes, folder: Path) -> None:
    victim = opened(folder).parts["test"][0].path
    victim.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot use the picture .*; mend it, or remove it") as caught:
        opened(folder).load_test_data()
    assert str(victim) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_folder_and_no_data_set_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected one of mnist, fashion-mnist, .* or a folder of pictures"):
        opened(tmp_path / "missing")


def test_an_input_that_the_preprocessing_does_not_give_is_one_line(folder: Path) -> None:
    with pytest.raises(UserError, match="mnist/3 gives 28×28 gray images: leave out --image-size and --color"):
        open_folder(folder, 0, "mnist/3", 32, 1)
    with pytest.raises(UserError, match="at most 96×96"):
        open_folder(folder, 0, None, 128, 1)


def test_too_many_pictures_for_memory_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_edge.training.datasets.pictures.MAX_VALUES", 1000)
    with pytest.raises(UserError, match="choose a smaller --image-size"):
        opened(folder)
