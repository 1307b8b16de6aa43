import base64
import dataclasses
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.parity import checks as stress
from mnist_edge.parity.evaluate import open_model
from mnist_edge.exporting.pipeline import Artefact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.exporting.report.html import MOST_DIGITS, draw_errors, html_report
from mnist_edge.exporting.report.junit import junit
from mnist_edge.parity.comparison import TOLERANCES, ParityReport, Reference, eager_predictor
from mnist_edge.exporting.report.report import Report, full_report, with_layers
from mnist_edge.parity.statistics import margin
from mnist_edge.parity.checks import Check, check_edges, check_neighbours, check_refusal, sample_of
from mnist_edge.parity.verify import verify
from tests.damage import edits

Images = NDArray[np.float32]


@pytest.fixture(scope="module")
def reports(exported: list[Artefact], reference: Reference) -> dict[str, Report]:
    return {artefact.path.name: full_report(artefact.path, reference) for artefact in exported}


@pytest.fixture(scope="module")
def broken(exports: Path, reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """Reports on files that were altered and sealed anew, cut off, and not run at all."""
    folder = tmp_path_factory.mktemp("broken")
    data = (exports / "mnist-mlp.onnx").read_bytes()
    edits = {"relu": damage.drop_relu, "weight": damage.change_weight, "nan": damage.infinite_bias}
    files = {name: damage.resealed(data, edit) for name, edit in edits.items()}
    files |= {"frozen": damage.resealed(data, damage.freeze_batch), "cut": data[:-1000]}
    for name, content in files.items():
        (folder / f"{name}.onnx").write_bytes(content)
    return {name: full_report(folder / f"{name}.onnx", reference) for name in files}


def test_what_was_exported_passes_with_figures_from_all_images(
    reports: dict[str, Report], reference: Reference
) -> None:
    for name, report in reports.items():
        assert report, report.problems
        found = report.statistics
        assert found is not None
        assert found.agreement.images == found.accuracy.images == 10_000
        assert found.reference_accuracy.value == reference.accuracy
        assert found.max_error >= found.p999_error >= found.mean_error
        assert len(found.changed) == 10_000 - found.agreement.hits
        assert found.sqnr > (30 if "int8" in name else 120)
        assert found.max_error <= found.smallest.max_error


def test_what_is_examined(reports: dict[str, Report]) -> None:
    beside = ["shuffled batches", "inputs at the edges", "NaN and infinity"]
    for name, report in reports.items():
        batches = ["batch 1"] if "int8" in name else ["batch 1", "batch 7", "batch 1,000"]
        assert [check.name for check in report.checks] == ["file", *batches, *beside]
        compared = [comparison.images for comparison in report.parity.comparisons]
        assert compared[-1] == 10_000
        assert all(400 < images <= stress.SAMPLE for images in compared[:-1])


def test_a_thorough_report_gives_all_images_in_each_way(exports: Path, reference: Reference) -> None:
    report = full_report(exports / "mnist-mlp.onnx", reference, thorough=True)
    assert report
    assert [comparison.images for comparison in report.parity.comparisons] == [10_000] * 3
    assert "of 10,000 change" in next(check.found for check in report.checks if check.name == "shuffled batches")


def test_int8_depends_on_its_neighbours_and_is_told_so(reports: dict[str, Report]) -> None:
    for name, report in reports.items():
        (check,) = [check for check in report.checks if check.name == "shuffled batches"]
        largest = float(check.found.split()[2].rstrip(","))
        if "int8" in name:
            assert check.verdict == "measured"
            assert largest > 0.01
        else:
            assert check.verdict == "ok"
            assert largest < 1e-4


def test_fp32_that_depends_on_its_neighbours_fails(reference: Reference) -> None:
    trained = eager_predictor(reference.checkpoint)

    def centred(images: Images) -> Images:
        logits = trained(images)
        return logits - logits.mean(axis=0) / 100 if len(images) > 1 else logits

    images = sample_of(reference).images
    assert check_neighbours(trained, TOLERANCES["fp32"], images)
    found = check_neighbours(centred, TOLERANCES["fp32"], images)
    assert not found
    assert "between an image alone and in a shuffled batch, allowed 0.0001" in found.problems[0]
    assert check_neighbours(centred, TOLERANCES["int8"], images).verdict == "measured"


def test_inputs_at_the_edges_find_what_no_digit_shows(reference: Reference) -> None:
    trained = eager_predictor(reference.checkpoint)
    inputs = np.concatenate(list(stress.edge_inputs().values()))
    assert inputs.shape == (26, 1, 28, 28)
    assert inputs.dtype == np.float32
    assert (inputs.min(), inputs.max()) == (0, 1)

    def corner(images: Images) -> Images:
        """A weight of a pixel that no test image has ink in."""
        return trained(images) + images[:, :, 0, 0]

    assert reference.images[:, 0, 0, 0].max() == 0
    assert check_edges(trained, trained, TOLERANCES["fp32"])
    assert "on inputs at the edges, allowed 0.0001" in check_edges(corner, trained, TOLERANCES["fp32"]).problems[0]
    assert check_edges(corner, trained, TOLERANCES["int8"])

    def bright(images: Images) -> Images:
        return np.where(images.mean(axis=(1, 2, 3)).reshape(-1, 1) > 0.9, np.nan, trained(images)).astype(np.float32)

    assert "not finite" in check_edges(bright, trained, TOLERANCES["int8"]).problems[0]


def test_nan_and_infinity_are_refused_where_arrays_come_in(
    exported: list[Artefact], reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {artefact.path.name: open_model(artefact.path) for artefact in exported}
    found = {name: check_refusal(model, reference.images[0]) for name, model in models.items()}
    assert all(found.values())
    assert found["mnist-mlp.onnx"].found == found["mnist-mlp.pt"].found == "refused; alone it gives NaN"
    for name in ("mnist-mlp-int8.onnx", "mnist-mlp-int8.pt"):  # what rounding makes of NaN depends on the processor
        assert found[name].found.startswith("refused; alone it")

    monkeypatch.setattr("mnist_edge.parity.evaluate.check_finite", lambda _: None)
    let_in = check_refusal(models["mnist-mlp.onnx"], reference.images[0])
    assert let_in.problems == ("NaN is not refused", "+∞ is not refused", "-∞ is not refused")
    assert let_in.found.startswith("let in")


def test_the_sample_holds_the_images_that_are_nearest_to_another_answer(reference: Reference) -> None:
    sample = sample_of(reference)
    margins = margin(reference.logits)
    assert (np.sort(margin(sample.logits))[: stress.SAMPLE // 2] == np.sort(margins)[: stress.SAMPLE // 2]).all()
    assert set(range(10)) == set(sample.labels.tolist())
    few = sample_of(reference.part(np.arange(20)))
    assert len(few.images) == 20


def test_the_verdict_is_that_of_verify_and_each_problem_belongs_to_a_check(
    broken: dict[str, Report], reports: dict[str, Report], reference: Reference
) -> None:
    for report in (*broken.values(), *reports.values()):
        assert bool(report) == bool(verify(report.path, reference))
        assert set(report.problems) == {problem for check in report.checks for problem in check.problems}
    assert not any(broken.values())


def test_the_report_is_json(broken: dict[str, Report], reports: dict[str, Report]) -> None:
    for report in (*broken.values(), *reports.values()):
        told = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert told["passed"] == bool(report)
        assert told["problems"] == list(report.problems)
        assert (told["statistics"] is None) == (report.statistics is None)
        assert [check["verdict"] == "FAILED" for check in told["checks"]] == [not check for check in report.checks]
    assert broken["frozen"].statistics is broken["cut"].statistics is None


def test_junit_has_a_case_for_each_check(broken: dict[str, Report], reports: dict[str, Report]) -> None:
    everything = [*broken.values(), *reports.values()]
    root = ElementTree.fromstring(junit(everything))
    assert [suite.get("name") for suite in root] == [str(report.path) for report in everything]
    for suite, report in zip(root, everything, strict=True):
        cases = suite.findall("testcase")
        assert [case.get("name") for case in cases] == [check.name for check in report.checks]
        failed = [case.get("name") for case in cases if case.find("failure") is not None]
        assert failed == [check.name for check in report.checks if not check]
        assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), str(len(failed)))
        told = {entry.get("name"): entry.get("value") for entry in suite.findall("properties/property")}
        assert told == report.figures()
    assert int(root.get("failures", "")) == sum(not check for report in everything for check in report.checks)


def hollow(text: str) -> Report:
    """A report on a file that could not be run, whose path and message are this text."""
    parity = ParityReport(1, None, 1.0, (), (text,))
    return Report(Path(text or "a"), parity, (Check("file", text, (text,)),), None)


@given(st.text())
def test_junit_can_be_read_whatever_is_in_a_message(text: str) -> None:
    (case,) = ElementTree.fromstring(junit([hollow(text)])).iter("testcase")
    assert case.find("failure") is not None


class Page(HTMLParser):
    """Collects what a page shows and what it loads."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.text: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_holds_everything_it_shows(
    reports: dict[str, Report], broken: dict[str, Report], reference: Reference
) -> None:
    everything = [*reports.values(), *broken.values()]
    content = html_report(everything, reference)
    page = Page(content)
    assert all(address.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,")) for address in page.loaded)
    assert b"url(" not in content
    assert b"@import" not in content
    assert not {"script", "link", "iframe"} & set(page.tags)
    changed = [report.statistics.changed for report in everything if report.statistics]
    assert page.tags.count("figure") == sum(min(len(answers), MOST_DIGITS) for answers in changed)
    shown = " ".join(page.text)
    for report in everything:
        assert report.path.name in shown
        assert all(value in shown for value in report.figures().values())
        assert all(problem in shown for problem in report.problems)
    assert reference.checkpoint.digest in shown
    assert html_report(everything, reference) == content


def test_the_page_shows_the_digits_that_changed(reports: dict[str, Report], reference: Reference) -> None:
    report = reports["mnist-mlp-int8.onnx"]
    assert report.statistics is not None
    page = Page(html_report([report], reference))
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        for address in page.loaded
        if address.startswith("data:image/png")
    ]
    for picture, answer in zip(pictures, report.statistics.changed, strict=True):
        assert (np.asarray(picture, np.float32) / 255 == reference.images[answer.image, 0]).all()
        assert f"image {answer.image}, a {answer.label}" in page.text


def test_a_name_or_message_is_text_and_not_markup(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "<script>alert(1)<b>.onnx"
    path.write_bytes(b"")
    report = dataclasses.replace(hollow("<img src=x>"), path=path)
    page = Page(html_report([report], reference))
    assert "script" not in page.tags
    assert page.loaded == []


def test_the_histogram_leaves_out_what_has_no_place_on_its_axis() -> None:
    axes, others = Figure().subplots(1, 2)
    draw_errors(axes, np.array([[0.0, 1e-6, 1e-3, np.inf]]), 1e-4)
    assert axes.get_title() == "4 logits: 1 are the same, 1 are not finite"
    assert sum(bar.get_height() for bar in axes.patches) == 2
    draw_errors(others, np.zeros((3, 10)), 1e-4)
    assert others.get_title() == "30 logits: 30 are the same"
    assert len(others.patches) == 0


def test_a_part_of_the_images_is_told_as_one(broken: dict[str, Report]) -> None:
    told = [problem for problem in broken["relu"].problems if problem.startswith("largest")]
    assert "at batch 1 on 492 of the images, allowed" in told[0]
    assert "at batch 1000, allowed" in told[2]


def test_layers_that_cannot_be_shown_are_said_why(
    reports: dict[str, Report], broken: dict[str, Report], reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "onnxruntime cannot run a batch" in with_layers(broken["frozen"], reference).hidden_layers
    assert with_layers(broken["cut"], reference).hidden_layers == "it cannot be run"
    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], layers=None))
    report = with_layers(reports["mnist-mlp.onnx"], reference)
    assert report.layers is None
    assert report.hidden_layers == "files ending in .onnx do not show values between layers"
