import math
from pathlib import Path
from typing import NoReturn

import onnx
import pytest

from mnist_edge.artifact.contract import Contract, Task
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.formats.runner import Runner
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.runtime.selfcheck import SelfCheck, selfcheck, selfcheck_path
from mnist_edge.types import TensorSpec
from tests.damage import edits
from tests.damage.edits import Edit, tampered


def altered(exports: Path, folder: Path, edit: Edit) -> Path:
    path = folder / "a.onnx"
    path.write_bytes(tampered((exports / "mnist-mlp.onnx").read_bytes(), edit))
    return path


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_the_built_in_models_pass_here(name: str) -> None:
    check = selfcheck_path(BUILTIN_MODELS[name])
    assert check
    assert check.images == 25
    assert check.max_abs_diff <= 1e-3
    assert check.agreement == 25
    assert 1e-3 < check.trained_max_abs_diff < 1.0
    assert check.to_json()["passed"]


@pytest.mark.slow
def test_every_format_whose_runtime_is_installed_can_be_checked(exported: list[Artifact]) -> None:
    for artifact in exported:
        assert selfcheck_path(artifact.path), artifact.path
        with open_artifact(read_artifact(artifact.path)) as runner:
            assert selfcheck(Path("any name"), runner).to_json()["file"] == "any name"


@pytest.mark.parametrize(
    ("max_abs_diff", "agreement", "passes"),
    [(1e-4, 25, True), (1.1e-4, 25, False), (1.0, 25, False), (math.inf, 25, False), (0.0, 24, False)],
)
def test_it_passes_where_logits_are_within_the_bound_and_all_answers_are_the_same(
    max_abs_diff: float, agreement: int, passes: bool
) -> None:
    task = Task("digits", ("0", "1"), TensorSpec("image", (1, 4, 4)), "mnist/3")
    contract = Contract(task, "mlp", "0" * 64, "fp32", "none")
    check = SelfCheck(
        Path("a"), contract, 25, 1e-4, max_abs_diff, agreement, trained_max_abs_diff=9, trained_agreement=0
    )
    assert bool(check) == check.to_json()["passed"] == passes


def test_a_dropped_relu_is_found(exports: Path, tmp_path: Path) -> None:
    check = selfcheck_path(altered(exports, tmp_path, edits.drop_relu))
    assert not check
    assert check.max_abs_diff > check.bound


def test_a_logit_that_is_not_a_number_is_found(exports: Path, tmp_path: Path) -> None:
    path = altered(exports, tmp_path, edits.not_a_number)
    check = selfcheck_path(path)
    assert not check
    assert check.to_json()["max_abs_diff"] is None


def batches_of_two(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    edits.set_contract("batch", 2)(model)


def test_a_file_that_takes_two_images_is_timed_with_two(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(tampered(BUILTIN_MODELS["mlp"].read_bytes(), batches_of_two))
    check = selfcheck_path(path)
    assert check
    assert check.latency is not None


def test_a_file_that_stops_while_it_is_timed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(*_: object) -> NoReturn:
        raise ArtifactError("its sandbox ended")

    monkeypatch.setattr(Runner, "time", stops)
    with pytest.raises(
        UserError, match=r"cannot check .*mnist-mlp-int8\.onnx: its sandbox ended; expected an artifact"
    ):
        selfcheck_path(BUILTIN_MODELS["mlp"])


def test_a_file_that_cannot_be_checked_is_one_line(exports: Path, tmp_path: Path) -> None:
    path = altered(exports, tmp_path, edits.drop_metadata("mnist_edge.test_vectors"))
    with pytest.raises(UserError, match="carries no test vectors"):
        selfcheck_path(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot use"):
        selfcheck_path(path)
