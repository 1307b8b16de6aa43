"""A TorchScript file is a program: what it may call is read off its text before anything of it is loaded."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.exporting.inspect_file import describe
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.torchscript.archive import read_archive
from mnist_edge.parity.evaluate import open_model
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify_path
from tests.formats.torchscript.hostile_archives import hostile_code, members, packed, with_code

NAMES = list(hostile_code("victim"))


@pytest.fixture(scope="module")
def good(exported: list[Artifact]) -> bytes:
    (artifact,) = [a for a in exported if a.path.name == "mnist-mlp.pt"]
    return artifact.path.read_bytes()


def test_every_archive_that_is_exported_passes(exported: list[Artifact]) -> None:
    for artifact in exported:
        if artifact.format == "torchscript":
            assert read_archive(artifact.path.read_bytes())


@pytest.mark.parametrize("name", ["calls a method of itself", "calls itself by another name"])
def test_a_module_that_uses_itself_is_refused_by_its_text(name: str, good: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"calls self\.forward1, which is not on the list|uses a module as a value"):
        read_archive(packed(hostile_code("victim")[name](members(good))))


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ('x = torch.relu(torch.einsum("a,b->ab", [image]))', r", in a call of torch\.einsum"),
        ("x = torch.relu(image)\n    y = image * 2", ""),
    ],
)
def test_the_call_with_other_characters_is_named(code: str, place: str, good: bytes) -> None:
    with pytest.raises(ArtifactError, match=f"holds other characters than those of plain names and of calls{place}$"):
        read_archive(packed(with_code(f"    {code}\n")(members(good))))


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_archive_is_refused_and_touches_nothing(
    name: str, good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    victim = Path("victim")
    victim.write_bytes(b"precious")
    data = packed(hostile_code("victim")[name](members(good)))
    with pytest.raises(ArtifactError) as caught:
        FORMATS["torchscript"].open(Bundle.of_file(data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert victim.read_bytes() == b"precious"


def test_no_command_runs_the_code_of_a_hostile_archive(
    good: bytes, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    victim, path = Path("victim"), Path("mnist-mlp.pt")
    victim.write_bytes(b"precious")
    path.write_bytes(
        packed(hostile_code("victim")["saves a tensor"](members(good)), b"mnist-edge-checksum:" + b"0" * 64)
    )
    for action in (lambda: describe(path), lambda: open_model(path)):
        with pytest.raises(UserError, match=r"ops\.aten\.save"):
            action()
    report = verify_path(path, reference)
    loads = report.check("loads")
    assert loads is not None
    assert "ops.aten.save" in loads.problems[0]
    assert victim.read_bytes() == b"precious"


def test_compressed_and_repeated_members_are_refused(good: bytes) -> None:
    with pytest.raises(ArtifactError, match="compressed, or overlap"):
        read_archive(packed(members(good), compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(ArtifactError, match="not an archive"):
        read_archive(b"PK\x03\x04")


@given(data=st.data())
def test_a_damaged_archive_is_an_error_or_the_same(data: st.DataObject, good: bytes) -> None:
    position = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:position] + bytes([good[position] ^ data.draw(st.integers(1, 255))]) + good[position + 1 :]
    assert "\n" not in refusal(damaged)


def refusal(data: bytes) -> str:
    """Return why an archive is refused, or nothing."""
    try:
        read_archive(data)
    except ArtifactError as error:
        return str(error)
    return ""
