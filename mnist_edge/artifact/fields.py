"""Values of JSON: what a stranger may have written is checked as it is taken out, what is written is JSON's own."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mnist_edge.text import printable

MAX_TEXT = 1_000
"""Most characters of a name, a label or a version."""

MAX_LIST = 10_000
"""Most entries of a list or an object."""

MAX_COUNT = 2**62
"""Greatest number of epochs or images in a batch, and greatest seed."""

MAX_REASON = 200
"""Most characters of what is wrong with a file that an error shows."""

_SHA256 = re.compile("[0-9a-f]{64}")


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or is not an object.
    """
    fields = parse_json(text)
    if not isinstance(fields, dict):
        raise ValueError(f"expected an object, not {type(fields).__name__}")
    return fields


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value; raises `ValueError` where the text is not JSON, or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def expect_fields(names: Iterable[str], fields: Mapping[str, Any]) -> None:
    """Raise `ValueError` where an object lacks one of the named fields, or has one more."""
    expected = set(names)
    if different := sorted(expected ^ set(fields)):
        raise ValueError(f"{different[0][:40]!r} is {'missing' if different[0] in expected else 'an unknown field'}")


def expect_version(fields: Mapping[str, Any], version: int) -> None:
    """Raise `ValueError` where an object is of another version."""
    found = take(fields, "version")
    if found != version or isinstance(found, bool):
        raise ValueError(f"it is of version {ascii(found)[:20]}, expected {version}")


def take(fields: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a field; raises `ValueError` where there is none of that name."""
    if name not in fields:
        raise ValueError(f"{name} is missing")
    return fields[name]


def take_object(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a field that is an object; raises `ValueError` where it is not."""
    return check_object(take(fields, name), name)


def check_object(value: object, name: str) -> dict[str, Any]:
    """Return a value that is an object; raises `ValueError` where it is not."""
    if not isinstance(value, dict) or len(value) > MAX_LIST:
        raise ValueError(f"{name} is not an object")
    return value


def take_list(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list of at most `MAX_LIST` entries; raises `ValueError` where it is not."""
    value = take(fields, name)
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise ValueError(f"{name} is not a list of at most {MAX_LIST:,} entries")
    return value


def take_text(fields: Mapping[str, Any], name: str, longest: int = MAX_TEXT) -> str:
    """Return a field that is text of at most `longest` characters; raises `ValueError` where it is not."""
    return check_text(take(fields, name), name, longest)


def check_text(value: object, name: str, longest: int = MAX_TEXT) -> str:
    """Return a value that is text of at most `longest` characters; raises `ValueError` where it is not."""
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError(f"{name} is not a text of at most {longest:,} characters")
    return value


def take_texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that is a list of texts; raises `ValueError` where it is not."""
    return tuple(check_text(value, name) for value in take_list(fields, name))


def take_integer(fields: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """Return a field that is a whole number in [low, high]; raises `ValueError` where it is not."""
    return check_integer(take(fields, name), name, low, high)


def check_integer(value: object, name: str, low: int, high: int) -> int:
    """Return a value that is a whole number in [low, high]; raises `ValueError` where it is not."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} is not a whole number from {low} to {high:,}")
    return value


def take_number(fields: Mapping[str, Any], name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a field that is a finite number in [low, high]; raises `ValueError` where it is not."""
    return check_number(take(fields, name), name, low, high)


def check_number(value: object, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a value that is a finite number in [low, high]; raises `ValueError` where it is not."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        value = float(value)
    if not isinstance(value, float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} is not a finite number" + (f" from {low:g} to {high:g}" if low > -math.inf else ""))
    return value


def take_sha256(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that is a SHA-256; raises `ValueError` where it is not."""
    return _check_sha256(take_text(fields, name), name)


def take_digests(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that is a list of SHA-256; raises `ValueError` where it is not."""
    return tuple(_check_sha256(check_text(digest, name), name) for digest in take_list(fields, name))


def _check_sha256(digest: str, name: str) -> str:
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"{name} is not a SHA-256 of 64 hexadecimal digits")
    return digest


def take_versions(fields: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a field that holds versions of packages by their names; raises `ValueError` where it is not."""
    versions = take_object(fields, name)
    return {check_text(package, name): check_text(version, name) for package, version in versions.items()}


def one_line(error: BaseException) -> str:
    """Return what an error says, or else its type, on one line of at most `MAX_REASON` characters."""
    return printable(" ".join(str(error).split()) or type(error).__name__)[:MAX_REASON]


def json_numbers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dictionary with None in place of floats that are not finite, which JSON does not have."""
    return {
        name: None if isinstance(number, float) and not math.isfinite(number) else number
        for name, number in numbers.items()
    }
