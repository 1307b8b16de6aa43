import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact import fields
from mnist_edge.artifact.fields import (
    MAX_LIST,
    MAX_REASON,
    MAX_TEXT,
    expect_fields,
    expect_version,
    one_line,
    take_sha256,
    take_versions,
)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", b"\xff", "[" * 100_000, "[1", '{"a": 1} x', "9" * 5_000])
def test_what_is_not_an_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        fields.parse_object(text)
    assert "\n" not in str(caught.value)


def test_an_object_is_read_from_text_and_bytes() -> None:
    assert fields.parse_object('{"a": [1]}') == fields.parse_object(b'{"a": [1]}') == {"a": [1]}


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="color is missing"):
        fields.take({}, "color")


def test_texts_and_lists_have_a_greatest_length() -> None:
    assert fields.take_text({"a": "x" * MAX_TEXT}, "a") == "x" * MAX_TEXT
    for text in ("x" * (MAX_TEXT + 1), 7, None, ["x"], b"x"):
        with pytest.raises(ValueError, match="a is not a text of at most 1,000 characters"):
            fields.take_text({"a": text}, "a")
    assert fields.take_list({"a": [0] * MAX_LIST}, "a") == [0] * MAX_LIST
    bad_lists: tuple[object, ...] = ([0] * (MAX_LIST + 1), "x", None, {})
    for entries in bad_lists:
        with pytest.raises(ValueError, match="a is not a list of at most 10,000 entries"):
            fields.take_list({"a": entries}, "a")
    assert fields.take_texts({"a": ["x", ""]}, "a") == ("x", "")
    with pytest.raises(ValueError, match="a is not a text"):
        fields.take_texts({"a": ["x", 1]}, "a")
    assert fields.take_object({"a": {"b": 1}}, "a") == {"b": 1}
    bad_objects: tuple[object, ...] = ([], None, "x", dict.fromkeys(map(str, range(MAX_LIST + 1))))
    for value in bad_objects:
        with pytest.raises(ValueError, match="a is not an object"):
            fields.take_object({"a": value}, "a")


@given(st.integers())
def test_a_whole_number_is_in_its_range(value: int) -> None:
    if -5 <= value <= 5:
        assert fields.take_integer({"a": value}, "a", -5, 5) == value
    else:
        with pytest.raises(ValueError, match="a is not a whole number from -5 to 5"):
            fields.take_integer({"a": value}, "a", -5, 5)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, [1]])
def test_what_only_looks_like_a_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        fields.check_integer(value, "a", 0, 5)


@given(st.integers() | st.floats())
def test_a_number_is_finite_and_in_its_range(value: float) -> None:
    if math.isfinite(value) and 0 <= value <= 10:
        found = fields.take_number({"a": value}, "a", 0, 10)
        assert isinstance(found, float)
        assert found == value
    else:
        with pytest.raises(ValueError, match="a is not a finite number from 0 to 10"):
            fields.take_number({"a": value}, "a", 0, 10)


@pytest.mark.parametrize("value", [True, "1", None, [1], 10**400, -(10**400), math.nan, math.inf])
def test_what_only_looks_like_a_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a is not a finite number"):
        fields.check_number(value, "a")


def test_numbers_that_json_lacks_become_null() -> None:
    written = fields.json_numbers({"a": math.inf, "b": math.nan, "c": 1.5, "d": 3, "e": "text", "f": None})
    assert written == {"a": None, "b": None, "c": 1.5, "d": 3, "e": "text", "f": None}
    json.dumps(written, allow_nan=False)


def test_fields_are_exactly_those_expected() -> None:
    expect_fields(["a", "b"], {"b": 1, "a": 2})
    with pytest.raises(ValueError, match="'b' is missing"):
        expect_fields(["a", "b"], {"a": 2})
    with pytest.raises(ValueError, match="'c' is an unknown field"):
        expect_fields(["a"], {"a": 2, "c": 3})


@pytest.mark.parametrize(("version", "expected"), [(1, 2), ("2", 2), (None, 2), ([2], 2), (True, 1), (False, 0)])
def test_another_version_is_refused(version: object, expected: int) -> None:
    expect_version({"version": expected}, expected)
    with pytest.raises(ValueError, match=rf"it is of version .*, expected {expected}"):
        expect_version({"version": version}, expected)


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
