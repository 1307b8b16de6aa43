"""The test vectors for other runtimes' harnesses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.exporting.test_data import FOLDER, JSON_FILE, NPZ_FILE
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.reference import Reference

SETTINGS = ExportSettings([FORMATS["onnx"], FORMATS["c"]], [Precision.INT8], scheme=None, test_data=True)


@pytest.fixture(scope="module")
def output(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    export_artifacts(reference, SETTINGS, folder)
    return folder


@pytest.mark.slow
def test_onnx_reads_each_set_and_its_file_gives_that_output(output: Path) -> None:
    session = onnxruntime.InferenceSession(output / "mnist-mlp-int8.onnx")
    folder = output / FOLDER / "mnist-mlp-int8.onnx"
    (given,), (gives,) = session.get_inputs(), session.get_outputs()
    with read_artifact(output / "mnist-mlp-int8.onnx").open() as runner:
        bound = runner.test_vectors.bound
    for index in range(25):
        proto, wanted = (
            onnx.load_tensor(folder / f"test_data_set_{index}/{side}_0.pb") for side in ("input", "output")
        )
        assert (proto.name, wanted.name) == (given.name, gives.name)
        (found,) = session.run(None, {proto.name: onnx.numpy_helper.to_array(proto)})
        assert np.abs(found - onnx.numpy_helper.to_array(wanted)).max() <= bound
    assert not (folder / "test_data_set_25").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist-mlp-int8.onnx", "mnist-mlp-int8.h"])
def test_all_forms_hold_what_the_artifact_carries(name: str, output: Path) -> None:
    with read_artifact(output / name).open() as runner:
        vectors, contract = runner.test_vectors, runner.contract
    folder = output / FOLDER / name
    arrays = np.load(folder / NPZ_FILE)
    assert np.array_equal(arrays["images"], vectors.images)
    assert np.array_equal(arrays["logits"], vectors.expected_logits)
    assert np.array_equal(arrays["trained_logits"], vectors.trained_logits)
    assert tuple(arrays["labels"]) == vectors.labels
    assert arrays["bound"] == vectors.bound
    fields = json.loads((folder / JSON_FILE).read_bytes())
    assert fields["scheme"] == contract.scheme
    assert fields["labels"] == list("0123456789")
    assert fields["input"] == {"name": "image", "shape": [1, 28, 28], "layout": "NCHW", "divide_by": 255}
    for vector, image, logits in zip(fields["vectors"], vectors.images, vectors.expected_logits, strict=True):
        assert np.array_equal(np.reshape(vector["image"], (1, 28, 28)), image)
        assert np.array_equal(np.float32(vector["logits"]), logits)


@pytest.mark.slow
def test_it_is_replaced_and_gives_the_same_bytes(output: Path, reference: Reference) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (output / FOLDER).rglob("*") if path.is_file()}

    before = content()
    assert len(before) == 2 * (2 + 2 * 25)
    export_artifacts(reference, ExportSettings([FORMATS["c"]], [Precision.INT8], test_data=True), output)
    assert content() == before
    assert sorted(path.name for path in output.iterdir()) == [
        *("manifest.json", "mnist-mlp-int8.h", "mnist-mlp-int8.onnx", FOLDER)
    ]


@pytest.mark.slow
def test_who_asks_for_none_can_export_without_the_onnx_package() -> None:
    program = "import sys; sys.modules['onnx'] = None; import mnist_edge.exporting.pipeline"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_of_somebody_else_is_not_replaced(reference: Reference, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER / "mnist-mlp-int8.h"
    folder.mkdir(parents=True)
    (folder / "diary.txt").write_text("mine")
    settings = ExportSettings([FORMATS["c"]], [Precision.INT8], test_data=True)
    with pytest.raises(UserError, match="is not test data of mnist-edge: name another --output"):
        export_artifacts(reference, settings, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    assert (folder / "diary.txt").read_text() == "mine"
