from pathlib import Path

import pytest

from mnist_edge.cli.inputs import expand, listed, shown
from mnist_edge.errors import UserError


def test_what_cannot_be_expanded_is_yielded_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("folder").mkdir()
    for name in ("b.PNG", "a.jpeg", "notes.txt"):
        (tmp_path / "folder" / name).touch()
    arguments = ["folder", "empty", "x*.png", "missing.png"]
    assert list(expand(arguments, recursive=False)) == ["folder/a.jpeg", "folder/b.PNG", *arguments[1:]]


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


def test_what_cannot_be_printed_is_escaped() -> None:
    assert shown("zwölf 数.png") == "zwölf 数.png"
    assert shown("\x1b[31m\n\udcff.png") == "\\x1b[31m\\n\\udcff.png"
