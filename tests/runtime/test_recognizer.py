import io
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artefact
from mnist_edge.parity.comparison import Reference
from mnist_edge.preprocessing.mnist_v2 import pipeline as image
from mnist_edge.runtime import ood
from mnist_edge.preprocessing.array_input import as_input
from mnist_edge.runtime.builtin_models import BUILT_IN, BUILT_INS, default_model
from mnist_edge.runtime.prediction import score
from mnist_edge.runtime.recognizer import Prediction, Recognizer, Source, Status
from mnist_edge.formats.onnx.runner import open_model
from mnist_edge.training.datasets.mnist import Split
from tests.conftest import ROOT
from tests.damage import edits

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


def test_the_score_of_large_logits() -> None:
    best, probabilities, evidence = score([999.0, 1000.0, -1000.0], temperature=1.0)
    assert best == 1
    assert probabilities == pytest.approx([0.269, 0.731, 0], abs=1e-3)
    assert evidence == pytest.approx(1000.313, abs=1e-3)


@given(st.lists(st.floats(-50, 50, width=32), min_size=10, max_size=10), st.floats(0.1, 10))
def test_the_score_is_the_softmax_and_the_evidence_that_is_calibrated(logits: list[float], temperature: float) -> None:
    best, probabilities, evidence = score(logits, temperature)
    scaled = np.array(logits) / temperature
    assert logits[best] == max(logits)
    assert probabilities == pytest.approx(np.exp(scaled - scaled.max()) / np.exp(scaled - scaled.max()).sum(), abs=1e-9)
    assert evidence == pytest.approx(doubt.evidence(np.array(logits, dtype=np.float32), temperature))


def test_a_picture_may_come_in_any_form() -> None:
    path = ROOT / "examples" / "seven.png"
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    colours = np.asarray(picture)
    grey = np.asarray(picture.convert("L"))
    with path.open("rb") as file:
        forms: list[Source] = [
            *(str(path), path, path.read_bytes(), file, io.BytesIO(path.read_bytes()), picture, colours, grey),
            *(colours / 255, grey.astype(np.float32) / 255, grey.astype(np.uint16) * 257, grey > 128),
            np.dstack([colours, np.full(grey.shape, 255, dtype=np.uint8)]),
        ]
        answers = Recognizer().predict(forms)
    assert [answer.digit for answer in answers] == [7] * len(forms)
    assert [answer.path for answer in answers] == [str(path)] * 2 + [None] * (len(forms) - 2)
    assert isinstance(Recognizer().predict(path), Prediction)
    assert Recognizer().predict((path, path)) == Recognizer().predict([path, path])


def test_an_array_like_mnists_passes_unchanged(test_data: Split) -> None:
    recognizer = Recognizer()
    for field in test_data.images[:500, 0].numpy():
        expected = recognizer.model.predict(field[np.newaxis, np.newaxis])[0].tolist()
        grey = (field * 255).round().astype(np.uint8)
        for array in (field, field.astype(np.float64), np.asfortranarray(field), grey):
            answer = recognizer.predict(array)
            assert answer.probabilities == score(expected, recognizer.model.contract.temperature)[1]


@given(st.integers(0, 2**32 - 1))
def test_what_is_taken_as_input_is_like_mnist(seed: int) -> None:
    """Of strokes that are placed anywhere, only those are that MNIST's authors would have placed there."""
    random = np.random.default_rng(seed)
    field = np.zeros((28, 28), dtype=np.float32)
    top, left = random.integers(0, 28, 2)
    patch = field[top : top + random.integers(18, 23), left : left + random.integers(1, 23)]
    patch[...] = random.random(patch.shape, dtype=np.float32) * random.choice([1, 1, 1.01])
    if random.random() < 0.2:
        field[tuple(random.integers(0, 28, 2))] = random.choice([np.nan, -0.1, 1.1, np.inf])
    images = as_input(field)
    good = bool(np.isfinite(field).all() and field.min() >= 0 and field.max() <= 1 and image.is_prepared(field))
    assert (images is not None) == good
    if images is not None:
        assert np.array_equal(images[0, 0], field)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(784, dtype=np.uint8), "shape"),
        (np.zeros((3, 28, 28), dtype=np.uint8), "shape"),
        (np.zeros((0, 28), dtype=np.uint8), "shape"),
        (np.zeros((28, 28), dtype=np.int64), "int64 is no picture"),
        (np.zeros((28, 28, 3), dtype=np.uint16), "uint16 is no picture"),
        (np.full((28, 28), 255.0), "divide by the value of white"),
        (np.full((28, 28), np.nan), "divide by the value of white"),
    ],
)
def test_an_array_that_is_no_picture_is_the_callers_error(array: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recognizer().predict(array)


def test_what_is_no_picture_at_all_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="int is no picture"):
        Recognizer().predict(7)  # type: ignore[call-overload]
    (tmp_path / "text.png").write_text("text")
    with (tmp_path / "text.png").open() as file, pytest.raises(TypeError, match="mode 'rb'"):
        Recognizer().predict(file)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="min_confidence is 2"):
        Recognizer(min_confidence=2)


def test_threads_may_share_a_recognizer(test_data: Split) -> None:
    recognizer = Recognizer()
    arrays: list[Source] = [image[0].numpy() for image in test_data.images[:200]]
    expected = recognizer.predict(arrays)
    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(lambda _: recognizer.predict(arrays), range(16)):
            assert answers == expected


def test_a_recognizer_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    shutil.copy(BUILT_INS["cnn"], model)
    recognizer = Recognizer(model, min_confidence=0.25)
    sent = pickle.dumps(recognizer)
    model.unlink()
    received = pickle.loads(sent)
    path = ROOT / "examples" / "five.png"
    assert received.predict(path) == recognizer.predict(path)
    assert received.min_confidence == 0.25
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(recognizer.predict, path).result() == recognizer.predict(path)
    assert pickle.loads(pickle.dumps(recognizer.predict(path))) == recognizer.predict(path)


def test_min_confidence_takes_the_place_of_what_was_calibrated() -> None:
    path = ROOT / "examples" / "five.png"
    usual = Recognizer().predict(path)
    assert usual.confidence is not None
    for least, status in ((usual.confidence, Status.OK), (min(1.0, usual.confidence + 1e-6), Status.UNCERTAIN)):
        assert Recognizer(min_confidence=least).predict(path).status is status


def test_the_likeliest_digits_come_first() -> None:
    answer = Recognizer().predict(ROOT / "examples" / "five.png")
    top = answer.top(3)
    assert top[0] == (5, answer.confidence)
    assert [share for _, share in top] == sorted(answer.probabilities, reverse=True)[:3]


def test_the_package_offers_the_runner_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, mnist_edge\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'numpy', 'onnxruntime', 'PIL', 'click'})\n"
        "from mnist_edge import Prediction, Recognizer, Status\n"
        f"print(Recognizer().predict({str(ROOT / 'examples' / 'two.png')!r}).digit)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n2\n"
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        mnist_edge.Recogniser  # type: ignore[attr-defined] # noqa: B018


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
    """Only onnxruntime, Pillow, numpy, click and the standard library, in a process that can see everything.

    Of these nothing that takes long and is not needed: numpy's own median imports numpy.ma, hashlib brings OpenSSL.
    """
    program = (
        "import sys, mnist_edge.cli\n"
        f"mnist_edge.cli.main(['predict', {str(ROOT / 'examples' / 'two.png')!r}], standalone_mode=False)\n"
        "found = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in found if not name.startswith('_')))\n"
        "print({'numpy.ma', 'hashlib', 'glob', 'csv', 'PIL.ImageOps', 'PIL.JpegImagePlugin'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2] == "['PIL', 'click', 'mnist_edge', 'numpy', 'onnxruntime']"
    assert done.stdout.splitlines()[-1] == "set()"


def test_two_digits_side_by_side_are_uncertain_and_one_of_them_is_not(test_data: Split) -> None:
    digits = test_data.images[:40, 0].numpy()
    recognizer = Recognizer()
    pairs = [np.concatenate([left, right], axis=1) for left, right in zip(digits[::2], digits[1::2], strict=True)]
    statuses = [answer.status for answer in recognizer.predict(pairs)]
    assert statuses.count(Status.UNCERTAIN) >= 18
    assert [answer.status for answer in recognizer.predict(list(digits))].count(Status.OK) >= 38


def test_a_file_that_is_open_as_text_is_a_type_error() -> None:
    with (ROOT / "examples" / "two.png").open() as file, pytest.raises(TypeError, match="expected mode 'rb'"):
        Recognizer().predict(file)  # type: ignore[call-overload]
