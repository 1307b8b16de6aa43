"""What artifacts cost is measured in processes of their own, and what it shows is taken from the figures."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mnist_edge.benchmark.answers import Answers, recorded_answers
from mnist_edge.benchmark.costs import Costs, Figure, measure
from mnist_edge.benchmark.install_size import install_size
from mnist_edge.benchmark.pareto import pareto_figure
from mnist_edge.benchmark.readable import beaten_by, readable_answers, readable_costs
from mnist_edge.cli import main
from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS


def costs(name: str, *, accuracy: float | None = 0.99, size: int = 100, cold: float = 1.0, call: float = 1e-5) -> Costs:
    cold_start, latency = Figure(cold, cold, cold), Figure(call, call, call)
    answers = None if accuracy is None else Answers(10_000, accuracy)
    figures = cold_start, latency, latency, Figure(1 / call, 1 / call, 1 / call)
    return Costs(Path(name), "onnx", "int8", "s", "mnist", size, answers, *figures, 1, None, 1_000)


@pytest.mark.slow
def test_a_file_is_measured_in_rounds_and_its_proof_is_found(exported: list[Artifact]) -> None:
    by_format = {(a.format, str(a.contract.precision)): a for a in exported}
    chosen = [by_format["onnx", "int8"], by_format["ncnn", "fp32"], by_format["numpy", "int8"]]
    found = measure([artifact.path for artifact in chosen], rounds=2)
    for cost, artifact in zip(found, chosen, strict=True):
        assert (cost.format, cost.size) == (artifact.format, artifact.size)
        assert cost.answers is not None
        assert cost.answers.accuracy == artifact.report.accuracy
        assert cost.answers.agreement == artifact.report.agreement
        assert 0.02 < cost.cold_start.least <= cost.cold_start.median <= cost.cold_start.most < 60
        assert 1e-6 < cost.latency.median < 0.01
        assert cost.latency.median <= cost.latency_p99.median
        assert cost.memory is not None
        assert 20e6 < cost.memory.median < 1e9
        json.dumps(cost.to_json(), allow_nan=False)
    assert found[0].batch == 1  # its answers depend on the batch
    assert found[2].batch == 1


def test_calls_in_the_sandbox_are_timed_where_they_are_made(exported: list[Artifact]) -> None:
    """A message takes 50 µs or more, a call 15: what is timed is the call."""
    (artifact,) = [a for a in exported if a.format == "ncnn" and a.contract.precision == "fp32"]
    with open_artifact(read_artifact(artifact.path)) as runner:
        assert runner.time_calls is not None
        seconds, peak = runner.time_calls(runner.test_vectors.inputs, 0.05)
    assert len(seconds) % 25 == 0
    assert seconds.sum() < 0.5
    assert peak is not None
    assert 5_000 < peak < 1_000_000


def test_a_manifest_speaks_only_of_the_bytes_that_it_lists(exported: list[Artifact]) -> None:
    artifact = exported[0]
    found = recorded_answers(artifact.path, artifact.sha256)
    assert found is not None
    assert found.interval[0] < found.accuracy < found.interval[1]
    assert recorded_answers(artifact.path, "0" * 64) is None


@pytest.mark.parametrize("parity", [None, {}, {"images": 0, "accuracy": 1}, {"images": 5, "accuracy": 7}])
def test_a_manifest_without_figures_is_as_good_as_none(parity: object, tmp_path: Path) -> None:
    entry = {"file": "a.onnx", "format": "onnx", "sha256": "0" * 64, "parity": parity}
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 2, "artifacts": [entry]}))
    assert recorded_answers(tmp_path / "a.onnx", "0" * 64) is None


def test_a_file_that_is_worse_in_all_is_said_to_be_beaten_and_by_which() -> None:
    good, equal = costs("good", size=50, call=1e-6), costs("equal", size=50, call=1e-6)
    slower, larger = costs("slower", size=50), costs("larger", size=60, call=1e-6)
    small_but_wrong, unknown = costs("wrong", size=10, accuracy=0.9), costs("unknown", accuracy=None)
    everything = [good, equal, slower, larger, small_but_wrong, unknown]
    assert {cost.path.name: getattr(beaten_by(cost, everything), "path", None) for cost in everything} == {
        "good": None,
        "equal": None,
        "slower": Path("good"),
        "larger": Path("good"),
        "wrong": None,
        "unknown": None,
    }


def test_what_is_not_known_is_a_dash() -> None:
    assert readable_answers(costs("a", accuracy=None))["accuracy"] == "–"
    assert readable_answers(costs("a"))["95 % interval"] == "98.79% – 99.18%"
    assert readable_costs(costs("a", cold=0.25))["first answer [ms]"] == "250 (250–250)"
    assert readable_costs(costs("a"))["memory [MB]"] == "–"


def test_packages_are_counted_with_what_they_need() -> None:
    alone, needing = install_size(["numpy"]), install_size(["onnxruntime"])
    assert 10e6 < alone < needing - 10e6
    assert install_size([]) == install_size(["no_such_package"]) == 0


def test_the_figure_has_a_point_for_each_file_whose_accuracy_is_known() -> None:
    figure = pareto_figure([costs("a"), costs("b", size=10, accuracy=0.9), costs("c", accuracy=None)])
    left, right, *_ = figure.axes
    points = [line for line in left.lines if line.get_marker() == "^"]
    assert len(points) == len([line for line in right.lines if line.get_marker() == "^"]) == 2
    assert left.get_xscale() == right.get_xscale() == "log"


def test_models_of_different_tasks_have_a_front_each() -> None:
    clothes = dataclasses.replace(costs("b", size=10, accuracy=0.9), task="fashion-mnist")
    figure = pareto_figure([costs("a"), clothes, costs("c", size=50, accuracy=0.98)])
    for axes in figure.axes:
        fronts = [line for line in axes.lines if line.get_color() == "gray"]
        assert [sorted(np.asarray(line.get_ydata())) for line in fronts][1] == [0.9]
        assert len({line.get_linestyle() for line in fronts}) == len(fronts) == 2
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named[-2:] == ["none is better for mnist", "none is better for fashion-mnist"]


def test_a_runtime_may_say_more_than_a_pipe_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(
        "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' x >&2\necho >&2\necho no runtime >&2\nexit 1\n"
    )
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(UserError, match=r"cannot measure .*no runtime$"):
        measure([BUILTIN_MODELS["mlp"]], rounds=1)


def test_what_cannot_be_measured_ends_in_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "a.onnx"
    bad.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"cannot measure .*a\.onnx: ") as caught:
        measure([bad], rounds=1)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_command_prints_a_table_json_and_a_figure(exported: list[Artifact], tmp_path: Path) -> None:
    (artifact,) = [a for a in exported if a.format == "c" and a.contract.precision == "int8"]
    figure = tmp_path / "pareto.png"
    result = CliRunner().invoke(main, ["benchmark", str(artifact.path), "--rounds", "1", "--figure", str(figure)])
    assert result.exit_code == 0, result.output
    assert "beaten by" in result.stdout
    assert "cortex-m4" in result.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")
    printed = CliRunner().invoke(main, ["benchmark", str(artifact.path), "--rounds", "1", "--json"])
    (found,) = json.loads(printed.stdout)["costs"]
    assert found["answers"]["agreement"] == artifact.report.agreement
    (device,) = found["devices"]
    assert device["instructions"] < 150_000
