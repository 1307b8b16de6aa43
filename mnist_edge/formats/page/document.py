"""The HTML of a page: how its parts are put together, and how they are found in it again."""

import base64
import binascii
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources

from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.fields import parse_object, take_text
from mnist_edge.errors import ArtifactError

MAX_BYTES = 64 << 20
"""A larger page is refused."""

SCRIPTS = (
    *("state.mjs", "decode.mjs", "reading.mjs", "paper.mjs", "answer.mjs"),
    *("input.mjs", "camera.mjs", "proof.mjs", "start.mjs"),
)
"""The parts of the page's script, which share their names; those with values that others need come first."""

_PLACE = re.compile("@([a-z]+)@")
_METADATA = re.compile(rb'(<script type="application/json" id="metadata">)([^<]*)(</script>)')
_MODULE = re.compile(rb'(<script type="application/octet-stream" id="module">)([^<]*)(</script>)')


def write(title: str, contract: Contract, metadata: Mapping[str, str], module: bytes, es_module: str) -> bytes:
    """Return a page.

    Args:
        title: of the network.
        contract: of the artifact.
        metadata: what it carries, by key.
        module: the WebAssembly.
        es_module: the JavaScript around it.
    """
    _, height, width = contract.task.input.shape
    style, script = _template("page.css"), "\n".join([es_module, *map(_template, SCRIPTS)])
    parts = {
        "policy": _policy(style, script),
        "title": html.escape(title),
        "heading": "Draw a digit" if _are_digits(contract) else "Draw or choose a picture",
        "invitation": "Draw here",
        "width": str(width),
        "height": str(height),
        "style": style,
        "metadata": json.dumps(metadata, sort_keys=True).replace("<", "\\u003c"),
        "module": base64.b64encode(module).decode(),
        "script": script,
    }
    return _PLACE.sub(lambda place: parts[place[1]], _template("page.html")).encode()


def _policy(style: str, script: str) -> str:
    """Return a Content Security Policy (level 3) that lets this style and this script run, and nothing be loaded."""
    return (
        f"default-src 'none'; script-src {_hash(script)} 'wasm-unsafe-eval'; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _are_digits(contract: Contract) -> bool:
    return all(label.isdecimal() for label in contract.task.labels)


def _template(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def read_metadata(data: bytes) -> dict[str, str]:
    """Return what a page carries, by key; raises `ArtifactError` where that can't be read."""
    try:
        fields = parse_object(_only(_METADATA, data, "metadata"))
        return {name: take_text(fields, name, MAX_BYTES) for name in fields}
    except ValueError as error:
        raise ArtifactError(f"its metadata are damaged ({error})") from error


def read_module(data: bytes) -> bytes:
    """Return the WebAssembly of a page; raises `ArtifactError` where there is none."""
    try:
        return base64.b64decode(_only(_MODULE, data, "module"), validate=True)
    except binascii.Error as error:
        raise ArtifactError(f"its module is damaged ({error})") from error


def without_metadata(data: bytes) -> bytes:
    """Return a page without what it carries."""
    return _METADATA.sub(rb"\1\3", data)


def _only(pattern: re.Pattern[bytes], data: bytes, what: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"it has more than {MAX_BYTES >> 20} MiB")
    found = pattern.findall(data)
    if len(found) != 1:
        raise ArtifactError(f"it is not a page that mnist-edge wrote: it holds {len(found)} parts named {what}")
    content: bytes = found[0][1]
    return content
