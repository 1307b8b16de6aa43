import errno
import os
import threading
from pathlib import Path

import pytest

from mnist_edge.cli.inputs import MAX_NAME_BYTES, expand, listed
from mnist_edge.errors import UserError


def unexpected(name: str, reason: str) -> None:
    pytest.fail(f"{name}: {reason}")


def test_what_cannot_be_expanded_is_yielded_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for name in ("b.PNG", "a.jpeg", "notes.txt"):
        (tmp_path / "folder" / name).touch()
    arguments = ["folder", "x*.png", "missing.png", "**/missing.png"]
    assert list(expand(arguments, False, unexpected)) == ["folder/a.jpeg", "folder/b.PNG", *arguments[1:]]


def test_a_folder_without_pictures_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty/deep").mkdir(parents=True)
    reports: list[tuple[str, str]] = []
    assert list(expand(["empty"], False, lambda *report: reports.append(report))) == []
    assert list(expand(["empty"], True, lambda *report: reports.append(report))) == []
    assert reports == [
        ("empty", "there are no pictures in this folder; --recursive reads subfolders"),
        ("empty", "there are no pictures in this folder"),
    ]


@pytest.mark.parametrize("argument", ["folder", "folder/**/*.png"])
def test_a_folder_that_cannot_be_read_is_reported(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is given here, since root may read everything."""
    monkeypatch.chdir(tmp_path)
    for name in ("folder/open", "folder/secret"):
        Path(name).mkdir(parents=True)
        Path(name, "a.png").touch()
    real = os.scandir

    def refusing(path: str) -> object:
        if str(path).rstrip("/").endswith("secret"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    reports: list[tuple[str, str]] = []
    names = list(expand([argument], True, lambda *report: reports.append(report)))
    assert names == ["folder/open/a.png"]
    assert [(name.rstrip("/"), reason) for name, reason in reports] == [("folder/secret", "Permission denied")]


def test_any_folders_are_those_that_no_link_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links to folders above make more paths than can be counted."""
    monkeypatch.chdir(tmp_path)
    pictures = ["a/b/c/z.png", "a/b/y.png", "a/x.png", "top.png"]
    for picture in [*pictures, ".hidden/q.png"]:
        Path(picture).parent.mkdir(parents=True, exist_ok=True)
        Path(picture).touch()
    for number in range(9):
        Path(f"a/b/up{number}").symlink_to("..")
        Path(f"a/all{number}").symlink_to(tmp_path)

    def names(pattern: str) -> list[str]:
        return list(expand([pattern], False, unexpected))

    assert names("**/*.png") == names("**/**/*.png") == pictures
    assert names("./**/*.png") == [f"./{name}" for name in pictures]
    assert names(f"{tmp_path}/**/*.png") == [f"{tmp_path}/{name}" for name in pictures]
    assert names("a/**/*.png") == pictures[:3]
    assert names("**/b/**/*.png") == pictures[:2]
    assert names("**/c/*.png") == pictures[:1]


def test_a_pattern_is_of_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for picture in ("x1.png", "xs/deep/x2.png"):
        Path(picture).parent.mkdir(parents=True, exist_ok=True)
        Path(picture).touch()
    Path("x3.png").symlink_to("missing.png")
    assert list(expand(["x*"], False, unexpected)) == ["x1.png", "x3.png"]
    assert list(expand(["**"], False, unexpected)) == ["x1.png", "x3.png", "xs/deep/x2.png"]
    assert list(expand(["xs*"], False, unexpected)) == ["xs*"]


def test_a_list_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a" * (MAX_NAME_BYTES + 1))
    for file in ("/dev/zero", str(tmp_path / "list")):
        with pytest.raises(UserError, match="a name is too long"):
            list(listed(file, null=False))


def test_names_come_from_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a.png\nb.png\n",))
    writer.start()
    assert list(listed(str(pipe), null=False)) == ["a.png", "b.png"]
    writer.join()


@pytest.mark.parametrize(
    ("content", "null", "names"),
    [
        (b"a.png\r\n\nb.png", False, ["a.png", "b.png"]),
        (b"a\n.png\0\0b.png\r\0", True, ["a\n.png", "b.png\r"]),
        (b"\xff.png\n", False, ["\udcff.png"]),
        (b"", False, []),
    ],
)
def test_names_are_read_from_a_list(content: bytes, null: bool, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    assert list(listed(str(path), null)) == names


def test_a_missing_list_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the list of names .*missing: No such file"):
        list(listed(str(tmp_path / "missing"), null=False))


def test_a_list_without_a_name_is_not_standard_input() -> None:
    with pytest.raises(UserError, match=r"^cannot read the list of names '': No such file"):
        list(listed("", null=False))
