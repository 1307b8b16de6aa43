"""The page as a file: its size, what it may load, and what a damaged or hostile one is."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.checksum import CHECKSUM_PLACEHOLDER
from mnist_edge.artifact.figures import FIGURES_KEY, Figures
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.page.document import read_metadata, read_module
from mnist_edge.formats.page.exporter import export
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify
from tests.formats.c.networks import made, request_for


@pytest.fixture(scope="module")
def page(exported: list[Artifact]) -> ArtifactFile:
    """The page of the released MLP."""
    (path,) = (each.path for each in exported if each.format == "page")
    return read_artifact(path)


def test_it_is_one_small_file_that_loads_nothing(page: ArtifactFile) -> None:
    text = page.bundle.data.decode()
    assert len(page.bundle.data) <= 300_000
    assert set(re.findall(r"https?://[^'\"\s]*", text)) == {"http://www.w3.org/2000/svg"}  # a name, which is not loaded
    assert not re.search(r"<(?:link|img|iframe|script)[^>]* (?:src|href)=\"(?!data:)", text)


def test_its_policy_lets_its_own_script_and_style_run_and_nothing_be_loaded(page: ArtifactFile) -> None:
    text = page.bundle.data.decode()
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (('<script type="module">', "script-src"), ("<style>", "style-src")):
        content = text.partition(tag)[2].partition("</")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule].split()[0] == f"'sha256-{digest}'"
    assert "unsafe-inline" not in policy


def test_it_holds_the_module_and_the_script_of_the_other_format(exported: list[Artifact], page: ArtifactFile) -> None:
    (folder,) = (each.path for each in exported if each.path.name == "mnist-mlp-int8.web")
    assert read_module(page.bundle.data) == (folder / "model.wasm").read_bytes()
    assert (folder / "index.mjs").read_text() in page.bundle.data.decode()


def test_labels_find_no_way_out_of_the_script() -> None:
    model, images = made("linear")
    request = request_for(model, images, quantized=True, label="</script><script>alert(1)</script><!--")
    (bundle,) = export(model, [request])
    text = bundle.data.decode()
    assert len(re.findall("<script", text)) == len(re.findall("</script>", text)) == 3
    assert "<!--" not in text
    with FORMATS["page"].open(bundle.with_checksum()) as runner:
        assert runner.contract.task.labels[0] == "</script><script>alert(1)</script><!--0"


def with_metadata(page: ArtifactFile, **changes: str) -> Bundle:
    """Return the page with other metadata and a checksum that fits them."""
    metadata = {**read_metadata(page.bundle.data), **changes}
    metadata["mnist_edge.checksum"] = CHECKSUM_PLACEHOLDER
    text = json.dumps(metadata).replace("<", "\\u003c").encode()
    before, tag, rest = page.bundle.data.partition(b'id="metadata">')
    return Bundle.of_file(before + tag + text + rest[rest.index(b"</script>") :]).with_checksum()


@pytest.mark.slow
def test_what_it_says_of_itself_is_measured_again(page: ArtifactFile, reference: Reference) -> None:
    with page.open() as runner:
        stated = runner.figures
    assert stated is not None
    assert (stated.images, stated.trained_accuracy) == (10_000, reference.accuracy)
    lied = with_metadata(page, **{FIGURES_KEY: replace(stated, accuracy=0.9999).to_json()})
    report = verify(replace(page, bundle=lied), reference)
    assert report.problems == (f"it says that its accuracy is 0.9999, and it is {stated.accuracy:.6g}",)
    fewer = with_metadata(page, **{FIGURES_KEY: replace(stated, images=9_000, accuracy=1.0).to_json()})
    check = verify(replace(page, bundle=fewer), reference).check("figures")
    assert check is not None
    assert not check.available


def test_a_changed_script_is_another_program(page: ArtifactFile, reference: Reference) -> None:
    data = page.bundle.data.replace(b"percent(answer.confidence)", b"percent(answer.certainty)")
    changed = Bundle.of_file(re.sub(b"(mnist-edge-checksum:)[0-9a-f]{64}", rb"\g<1>" + b"0" * 64, data)).with_checksum()
    report = verify(replace(page, bundle=changed), reference)
    assert [check.code for check in report.checks if not check] == ["program"]


FIGURES = Figures(images=1, accuracy=1.0, trained_accuracy=1.0, agreement=1.0, max_abs_diff=0.0)

DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "it holds 0 parts named metadata"),
    "cut": (lambda data: data[: len(data) // 2], "it holds 0 parts named module"),
    "two modules": (lambda data: data + data[data.index(b'<script type="application/octet') :], "2 parts named module"),
    "not base64": (lambda data: data.replace(b'id="module">', b'id="module">?'), "its module is damaged"),
    "not a module": (
        lambda data: re.sub(rb'id="module">[^<]*', b'id="module">' + base64.b64encode(b"<html>"), data),
        "wasmtime cannot load it",
    ),
    "not JSON": (lambda data: data.replace(b'id="metadata">', b'id="metadata">,'), "its metadata are damaged"),
    "without figures": (
        lambda data: data.replace(b"mnist_edge.figures", b"mnist_edge.numbers", 1),
        "carries no figures",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line(case: str, page: ArtifactFile) -> None:
    damage, message = DAMAGE[case]
    with pytest.raises(ArtifactError, match=message) as caught:
        FORMATS["page"].open(Bundle.of_file(damage(page.bundle.data)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"accuracy": 1.5}, {"images": 0}, {"agreement": None}, {"more": 1}, {"max_abs_diff": -1.0}]
)
def test_figures_out_of_range_are_refused(changes: dict[str, object]) -> None:
    assert Figures.from_json(FIGURES.to_json()) == FIGURES
    with pytest.raises(ArtifactError, match="its figures are not understood here"):
        Figures.from_json(json.dumps({**json.loads(FIGURES.to_json()), **changes}))
