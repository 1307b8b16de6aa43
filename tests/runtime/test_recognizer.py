import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import UserError
from mnist_edge.export.export import Artefact
from mnist_edge.export.parity import Reference
from mnist_edge.runtime.choice import BUILT_IN, default_model
from mnist_edge.runtime.recognizer import Recognizer, Status, softmax
from mnist_edge.runtime.session import open_model
from tests.conftest import ROOT
from tests.export import damage

EXAMPLES = {"five.png": 5, "four.jpg": 4, "nine.jpg": 9, "seven.png": 7, "two.png": 2, "three.jpg": 3}


def test_the_examples_are_read() -> None:
    answers = Recognizer().predict([ROOT / "examples" / name for name in EXAMPLES])
    assert [answer.digit for answer in answers] == list(EXAMPLES.values())
    for answer in answers:
        assert answer.status is Status.OK
        assert answer.confidence == max(answer.probabilities) > 0.9
        assert sum(answer.probabilities) == pytest.approx(1)


def test_mnist_as_png_files_gives_the_answers_of_the_tensors(
    reference: Reference, exported: list[Artefact], tmp_path: Path
) -> None:
    (artefact,) = [a for a in exported if a.path.name == "mnist-mlp.onnx"]
    pixels = (reference.images[:500, 0] * 255).round().astype(np.uint8)
    paths = [tmp_path / f"{index}.png" for index in range(500)]
    for path, picture in zip(paths, pixels, strict=True):
        Image.fromarray(picture).save(path)
    answers = [answer.digit for answer in Recognizer(artefact.path).predict(paths)]
    assert answers == reference.logits[:500].argmax(axis=1).tolist()


def test_a_bad_picture_costs_only_its_own_answer(tmp_path: Path) -> None:
    Image.new("L", (40, 40), 255).save(tmp_path / "blank.png")
    (tmp_path / "text.png").write_text("not a picture")
    good = ROOT / "examples" / "two.png"
    paths = [tmp_path / "missing.png", good, tmp_path / "blank.png", tmp_path / "text.png", good]
    answers = Recognizer().predict(paths)
    assert [answer.status for answer in answers] == ["unreadable", "ok", "no_digit", "unreadable", "ok"]
    assert [answer.digit for answer in answers] == [None, 2, None, None, 2]
    assert all(answer.message for answer in answers if answer.digit is None)
    assert answers[1] == answers[4]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (damage.set_contract(preprocessing=99), "asks for preprocessing 99"),
        (damage.set_contract(polarity="black-on-white"), "asks for polarity"),
        (damage.set_contract(input_range=[0, 255]), "asks for input_range"),
        (damage.set_contract(input_name="picture"), "graph's input is"),
        (damage.set_contract(version=99), "version 99"),
        (damage.set_contract(labels=list("abcdefghij")), "asks for labels"),
        (damage.set_contract(temperature="warm"), "asks for temperature 'warm'"),
        (damage.set_contract(temperature=0.0), "asks for temperature 0.0"),
        (damage.drop_contract, "no mnist-edge contract"),
        (damage.freeze_batch, "graph's input is"),
    ],
)
def test_a_contract_that_the_runner_does_not_know_is_refused(edit: damage.Edit, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(damage.resealed(BUILT_IN.read_bytes(), edit))
    with pytest.raises(UserError, match=message) as caught:
        open_model(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_byte_anywhere_is_one_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also in text, where it is no longer UTF-8."""
    path = tmp_path / "model.onnx"
    sealed = BUILT_IN.read_bytes()
    for position in (*range(0, 4000, 37), *range(len(sealed) - 4000, len(sealed), 37)):
        data = bytearray(sealed)
        data[position] ^= 0x80
        path.write_bytes(data)
        with pytest.raises(UserError, match="cannot use"):
            open_model(path)
    assert capfd.readouterr().out == ""


def test_an_altered_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    data = bytearray(BUILT_IN.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="altered since it was exported"):
        open_model(path)
    path.write_bytes(b"not a model")
    with pytest.raises(UserError, match="onnxruntime cannot load it"):
        open_model(path)


def test_the_temperature_softens_the_confidence(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(damage.resealed(BUILT_IN.read_bytes(), damage.set_contract(temperature=5.0)))
    picture = [ROOT / "examples" / "five.png"]
    (usual,), (soft,) = Recognizer().predict(picture), Recognizer(path).predict(picture)
    assert usual.digit == soft.digit
    assert usual.confidence is not None
    assert soft.confidence is not None
    assert soft.confidence < usual.confidence


def test_softmax_of_large_logits() -> None:
    assert softmax(np.array([1000, 999, -1000], dtype=np.float32)) == pytest.approx([0.731, 0.269, 0], abs=1e-3)


def test_the_default_is_the_latest_onnx_export_else_the_built_in_model(exports: Path, tmp_path: Path) -> None:
    assert default_model(tmp_path) == BUILT_IN
    folder = Path(shutil.copytree(exports, tmp_path / "exports"))
    assert default_model(folder) == folder / "mnist-mlp-int8.onnx"
    (folder / "mnist-mlp-int8.onnx").unlink()
    assert default_model(folder) == folder / "mnist-mlp.onnx"
    (folder / "mnist-mlp.onnx").unlink()
    assert default_model(folder) == BUILT_IN
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="cannot understand"):
        default_model(folder)


def test_predicting_imports_nothing_heavy() -> None:
    """Only onnxruntime, Pillow, numpy, click and the standard library, in a process that can see everything."""
    program = (
        "import sys, mnist_edge.cli\n"
        f"mnist_edge.cli.main(['predict', {str(ROOT / 'examples' / 'two.png')!r}], standalone_mode=False)\n"
        "found = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in found if not name.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['PIL', 'click', 'mnist_edge', 'numpy', 'onnxruntime']"
