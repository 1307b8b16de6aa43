import pytest

from mnist_edge.artifact.fields import (
    MAX_REASON,
    expect_fields,
    expect_version,
    one_line,
    take_sha256,
    take_versions,
)


def test_fields_are_exactly_those_expected() -> None:
    expect_fields(["a", "b"], {"b": 1, "a": 2})
    with pytest.raises(ValueError, match="'b' is missing"):
        expect_fields(["a", "b"], {"a": 2})
    with pytest.raises(ValueError, match="'c' is an unknown field"):
        expect_fields(["a"], {"a": 2, "c": 3})


@pytest.mark.parametrize("version", [1, "2", None, [2]])
def test_another_version_is_refused(version: object) -> None:
    expect_version({"version": 2}, 2)
    with pytest.raises(ValueError, match=r"it is of version .*, expected 2"):
        expect_version({"version": version}, 2)


@pytest.mark.parametrize("digest", ["", "0" * 63, "g" * 64, "0" * 64 + "\n", 0])
def test_what_is_not_a_sha256_is_refused(digest: object) -> None:
    assert take_sha256({"digest": "0a" * 32}, "digest") == "0a" * 32
    with pytest.raises(ValueError, match="digest is not a"):
        take_sha256({"digest": digest}, "digest")


@pytest.mark.parametrize("versions", [[], "2.14", {"torch": 2}, {"torch": "2" * 1001}, {"t" * 1001: "2"}])
def test_versions_are_texts_by_name(versions: object) -> None:
    assert take_versions({"producer": {"torch": "2.14"}}, "producer") == {"torch": "2.14"}
    with pytest.raises(ValueError, match="producer is not a"):
        take_versions({"producer": versions}, "producer")


def test_a_reason_is_one_short_line() -> None:
    assert one_line(ValueError("one\ntwo\r\n three")) == "one two three"
    assert len(one_line(ValueError("x" * 9999))) == MAX_REASON
