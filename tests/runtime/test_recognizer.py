import dataclasses
import errno
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import mnist_edge
from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.checksum import CHECKSUM_KEY, CHECKSUM_PLACEHOLDER
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract, Task
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference
from mnist_edge.preprocessing.mnist_v3 import OUTPUT
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS, DEFAULT_MODEL
from mnist_edge.runtime.prediction import score
from mnist_edge.runtime.recognizer import Prediction, Recognizer, Source, Status
from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import AnyArray, TensorSpec
from tests.conftest import ROOT
from tests.preprocessing.test_array_input import NOT_PICTURES
from tests.runtime import fake_format

TWO = ROOT / "examples" / "two.png"
EXAMPLES = {"five.png": 5, "four.jpg": 4, "nine.jpg": 9, "seven.png": 7, "two.png": 2, "three.jpg": 3}


def with_contract(path: Path, change: Callable[[dict[str, object]], object]) -> Path:
    """Write the built-in model with another contract and a checksum that is right again, as a forger would."""
    graph = onnx.ModelProto.FromString(DEFAULT_MODEL.read_bytes())
    for entry in graph.metadata_props:
        if entry.key == CHECKSUM_KEY:
            entry.value = CHECKSUM_PLACEHOLDER
        if entry.key == CONTRACT_KEY:
            fields = json.loads(entry.value)
            change(fields)
            entry.value = json.dumps(fields, sort_keys=True)
    path.write_bytes(Bundle.of_file(graph.SerializeToString(deterministic=True)).with_checksum().data)
    return path


def in_task(**fields: object) -> Callable[[dict[str, object]], None]:
    return lambda contract: contract["task"].update(fields)  # type: ignore[attr-defined]


def in_input(**fields: object) -> Callable[[dict[str, object]], None]:
    return lambda contract: contract["task"]["input"].update(fields)  # type: ignore[index]


def test_the_examples_are_read() -> None:
    answers = Recognizer().predict([ROOT / "examples" / name for name in EXAMPLES])
    assert [answer.digit for answer in answers] == list(EXAMPLES.values())
    for answer in answers:
        assert answer.status is Status.OK
        assert answer.confidence == max(answer.probabilities) > 0.9
        assert sum(answer.probabilities) == pytest.approx(1)


def test_mnist_as_png_files_gives_the_answers_of_the_tensors(
    reference: Reference, exported: list[Artifact], tmp_path: Path
) -> None:
    (artifact,) = [a for a in exported if a.path.name == "mnist-mlp.onnx"]
    pixels = (reference.images[:500, 0] * 255).round().astype(np.uint8)
    paths = [tmp_path / f"{index}.png" for index in range(500)]
    for path, picture in zip(paths, pixels, strict=True):
        Image.fromarray(picture).save(path)
    answers = [answer.digit for answer in Recognizer(artifact.path).predict(paths)]
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
    ("change", "message"),
    [
        (in_task(preprocessing="mnist/99"), "asks for preprocessing 'mnist/99', this runner gives 'mnist/3'"),
        (in_input(polarity="black-on-white"), "asks for input polarity 'black-on-white', this runner gives"),
        (in_input(range=[0, 255]), "asks for input range"),
        (in_input(name="picture"), "graph's input is"),
        (lambda contract: contract.update(version=99), "version 99"),
        (lambda contract: contract.update(temperature="warm"), "temperature is not a finite number"),
        (lambda contract: contract.update(temperature=0.0), "temperature is not a finite number from"),
        (lambda contract: contract.update(batch=3), "graph's input is"),
    ],
)
def test_a_contract_that_the_runner_cannot_keep_is_refused(
    change: Callable[[dict[str, object]], object], message: str, tmp_path: Path
) -> None:
    path = with_contract(tmp_path / "model.onnx", change)
    with pytest.raises(UserError, match=message) as caught:
        Recognizer(path)
    assert str(caught.value).startswith(f"cannot use {path}: ")
    assert "\n" not in str(caught.value)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Contract:
    """A contract to be changed and written as an artifact of a format that has no model."""
    monkeypatch.setitem(FORMATS, "fake", fake_format.FAKE)
    task = Task("mnist", tuple("0123456789"), OUTPUT, "mnist/3")
    return Contract(task, "mlp", "0" * 64, "fp32", "none")


def test_any_format_is_run_by_its_own_runner(fake: Contract, tmp_path: Path) -> None:
    recognizer = Recognizer(fake_format.write(tmp_path / "model.fake", fake))
    assert recognizer.artifact.spec is fake_format.FAKE
    assert recognizer.runner.contract == fake
    answer = recognizer.predict(ROOT / "examples" / "two.png")
    assert (answer.digit, answer.model) in {(0, "model.fake"), (1, "model.fake")}
    assert pickle.loads(pickle.dumps(recognizer)).predict(ROOT / "examples" / "two.png") == answer


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch_is_filled_with_the_picture(batch: int, fake: Contract, tmp_path: Path) -> None:
    any_number = Recognizer(fake_format.write(tmp_path / "any.fake", fake))
    fixed = Recognizer(fake_format.write(tmp_path / "fixed.fake", dataclasses.replace(fake, batch=batch)))
    for name in EXAMPLES:
        answer, expected = (one.predict(ROOT / "examples" / name) for one in (fixed, any_number))
        assert answer == dataclasses.replace(expected, model="fixed.fake")


def test_labels_may_be_words(fake: Contract, tmp_path: Path) -> None:
    task = dataclasses.replace(fake.task, labels=("nought", "one"))
    recognizer = Recognizer(fake_format.write(tmp_path / "model.fake", dataclasses.replace(fake, task=task)))
    answer = recognizer.predict(ROOT / "examples" / "two.png")
    assert answer.label in task.labels
    assert answer.digit is None
    assert {label for label, _ in answer.top(5)} == set(task.labels)
    assert answer.to_json()["label"] == answer.label


def test_a_damaged_byte_anywhere_is_one_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also in text, where it is no longer UTF-8."""
    path = tmp_path / "model.onnx"
    whole = DEFAULT_MODEL.read_bytes()
    for position in (*range(0, 4000, 37), *range(len(whole) - 4000, len(whole), 37)):
        data = bytearray(whole)
        data[position] ^= 0x80
        path.write_bytes(data)
        with pytest.raises(UserError, match="cannot use"):
            Recognizer(path)
    assert capfd.readouterr().out == ""


def test_an_altered_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    data = bytearray(DEFAULT_MODEL.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="altered since it was exported"):
        Recognizer(path)
    path.write_bytes(b"not a model")
    with pytest.raises(UserError, match="it is not an ONNX file, or is damaged"):
        Recognizer(path)
    graph = onnx.ModelProto.FromString(DEFAULT_MODEL.read_bytes())
    del graph.metadata_props[:]
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(UserError, match="no mnist-edge contract"):
        Recognizer(path)


def test_the_temperature_softens_the_confidence(tmp_path: Path) -> None:
    path = with_contract(tmp_path / "model.onnx", lambda contract: contract.update(temperature=5.0))
    picture = [ROOT / "examples" / "five.png"]
    (usual,), (soft,) = Recognizer().predict(picture), Recognizer(path).predict(picture)
    assert usual.digit == soft.digit
    assert usual.confidence is not None
    assert soft.confidence is not None
    assert soft.confidence < usual.confidence


def test_a_picture_may_come_in_any_form() -> None:
    path = ROOT / "examples" / "seven.png"
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    colors = np.asarray(picture)
    gray = np.asarray(picture.convert("L"))
    with path.open("rb") as file:
        forms: list[Source] = [
            *(str(path), path, path.read_bytes(), file, io.BytesIO(path.read_bytes()), picture, colors, gray),
            *(colors / 255, gray.astype(np.float32) / 255, gray.astype(np.uint16) * 257, gray > 128),
            np.dstack([colors, np.full(gray.shape, 255, dtype=np.uint8)]),
        ]
        answers = Recognizer().predict(forms)
    assert [answer.digit for answer in answers] == [7] * len(forms)
    assert [answer.path for answer in answers] == [str(path)] * 2 + [None] * (len(forms) - 2)
    assert isinstance(Recognizer().predict(path), Prediction)
    assert Recognizer().predict((path, path)) == Recognizer().predict([path, path])


def test_a_faint_picture_has_the_same_answer_as_bytes_and_as_floats() -> None:
    gray = np.full((100, 100), 200, dtype=np.uint8)
    gray[30:70, 50:53] = 203
    floats = gray / 255
    forms: list[Source] = [gray, floats, floats.astype(np.float32), np.dstack([floats] * 3)]
    assert [answer.status for answer in Recognizer().predict(forms)] == [Status.NO_DIGIT] * len(forms)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_camera_may_give_more_bits_than_eight(bits: int) -> None:
    with Image.open(ROOT / "examples" / "seven.png") as picture:
        gray = np.asarray(picture.convert("L"), np.float32)
    answer = Recognizer().predict(np.rint(gray / 255 * (2**bits - 1)).astype(np.uint16))
    assert (answer.label, answer.status) == ("7", Status.OK)


class FailingFile(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_lazy_picture_or_file_that_fails_costs_only_its_own_answer() -> None:
    data = (ROOT / "examples" / "two.png").read_bytes()
    cut = Image.open(io.BytesIO(data[: len(data) // 2]))
    closed = Image.open(io.BytesIO(data))
    closed.close()
    sources: list[Source] = [cut, closed, FailingFile(), data]
    answers = Recognizer().predict(sources)
    assert [answer.status for answer in answers] == ["unreadable", "unreadable", "unreadable", "ok"]
    assert answers[2].message == os.strerror(errno.EIO)


@pytest.mark.parametrize("place", ["open_picture", "preprocess"])
def test_memory_that_runs_out_costs_only_one_answer(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    two = ROOT / "examples" / "two.png"
    module = "mnist_edge.runtime.recognizer" if place == "open_picture" else "mnist_edge.preprocessing.mnist_v3"
    original = getattr(sys.modules[module], place)
    calls = []

    def failing(picture: object) -> object:
        calls.append(picture)
        if len(calls) % 2:
            raise MemoryError
        return original(picture)

    monkeypatch.setattr(f"{module}.{place}", failing)
    recognizer = Recognizer()
    first, second = recognizer.predict([two, two])
    assert (first.status, first.message, second.digit) == ("unreadable", "it needs too much memory", 2)
    assert recognizer.inspect(two).prediction.status is Status.UNREADABLE


def test_an_error_in_the_preprocessing_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_edge.preprocessing.mnist_v3.pipeline.crop_border", lambda _: 1 / 0)
    recognizer = Recognizer()
    for call in (recognizer.predict, recognizer.inspect):
        with pytest.raises(ZeroDivisionError):
            call(ROOT / "examples" / "two.png")


def test_logits_that_are_no_numbers_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = Recognizer()
    for value in (np.nan, np.inf, -np.inf):
        logits = np.zeros((1, 10), dtype=np.float32)
        logits[0, 3] = value
        monkeypatch.setattr(recognizer, "_predict", lambda _, logits=logits: logits)
        if value == -np.inf:
            assert recognizer.predict(ROOT / "examples" / "two.png").probabilities[3] == 0
            continue
        with pytest.raises(UserError, match="logits that are not finite"):
            recognizer.predict(ROOT / "examples" / "two.png")


@pytest.mark.parametrize("call", ["predict", "stream", "inspect", "read"])
def test_an_artifact_that_fails_while_it_runs_is_one_error(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ArtifactError("it ended the process that runs it")

    recognizer = Recognizer("mlp")
    monkeypatch.setattr(recognizer, "_predict", fail)
    picture = ROOT / "examples" / "two.png"
    with pytest.raises(UserError) as caught:
        list(recognizer.stream([picture])) if call == "stream" else getattr(recognizer, call)(picture)
    assert str(caught.value) == f"cannot use {DEFAULT_MODEL}: it ended the process that runs it"


def test_an_array_like_mnists_passes_unchanged(test_data: Split) -> None:
    recognizer = Recognizer()
    for field in test_data.images[:500, 0].numpy():
        expected = recognizer.runner.predict(field[np.newaxis, np.newaxis])[0].tolist()
        gray = (field * 255).round().astype(np.uint8)
        for array in (field, field.astype(np.float64), np.asfortranarray(field), gray):
            answer = recognizer.predict(array)
            assert answer.probabilities == score(expected, recognizer.runner.contract.temperature)[1]


@pytest.mark.filterwarnings("ignore:the matrix subclass is not the recommended way")
def test_subclasses_of_an_array_are_arrays_unless_they_hide_pixels(test_data: Split) -> None:
    recognizer = Recognizer()
    gray = np.rint(test_data.images[0, 0].numpy() * 255).astype(np.uint8)
    batch = np.stack([gray, gray])
    expected = recognizer.predict(gray)
    for array in (np.asmatrix(gray), np.ma.array(gray), np.ma.array(gray, mask=gray > 255)):
        assert recognizer.predict(array) == recognizer.inspect(array).prediction == expected
    answers: object = recognizer.predict(np.ma.array(batch))
    assert answers == [expected] * 2
    for hiding in (
        np.ma.array(gray, mask=gray > 0),
        np.ma.array(batch, mask=batch > 0),
        np.ma.array(gray / 2, mask=gray > 0),
    ):
        for call in (recognizer.predict, recognizer.inspect, recognizer.read):
            with pytest.raises(ValueError, match=r"^a masked array hides pixels: fill them first, with filled\(\)$"):
                call(hiding)


def test_an_array_of_images_is_a_batch(test_data: Split) -> None:
    recognizer, images = Recognizer(), test_data.images[:3].numpy()
    expected = [recognizer.predict(image[0]) for image in images]
    for batch in (images, images[:, 0], np.rint(images * 255).astype(np.uint8)):
        answers = recognizer.predict(batch)
        assert isinstance(answers, list)
        assert [answer.digit for answer in answers] == [answer.digit for answer in expected] == [7, 2, 1]
    none: object = recognizer.predict(images[:0])
    assert none == []


@pytest.fixture
def colored(fake: Contract, tmp_path: Path) -> Recognizer:
    """A model of color pictures of 32×32 pixels."""
    tensor = TensorSpec("image", (3, 32, 32), "NCHW", "float32", (0.0, 1.0), "as-pictured")
    task = Task("pictures", ("dark", "light"), tensor, "resize/1")
    return Recognizer(fake_format.write(tmp_path / "model.fake", dataclasses.replace(fake, task=task)))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.bool_])
def test_an_array_with_its_channels_first_is_one_picture(dtype: type, colored: Recognizer) -> None:
    first: AnyArray = np.zeros((3, 32, 32), dtype=dtype)
    first[1] = np.iinfo(dtype).max if dtype is np.uint8 else 1
    last = colored.predict(np.ascontiguousarray(first.transpose(1, 2, 0)))
    assert isinstance(last, Prediction)
    assert colored.predict(first) == colored.inspect(first).prediction == last
    answers: object = colored.predict(np.stack([first, first]))
    assert answers == colored.predict([first, first]) == list(colored.stream([first, first])) == [last, last]


def test_gray_images_for_a_model_of_color_pictures_have_a_channel(colored: Recognizer) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    answers: object = colored.predict(gray[:, np.newaxis])
    assert answers == colored.predict(list(gray))
    with pytest.raises(ValueError, match="shape"):
        colored.predict(gray)  # of three, it would be one picture with its channels first


def test_one_image_with_its_channel_is_one_picture(test_data: Split) -> None:
    recognizer, image = Recognizer(), test_data.images[0].numpy()
    assert recognizer.predict([image]) == [recognizer.inspect(image).prediction] == [recognizer.predict(image[0])]


def test_a_white_that_is_off_by_rounding_is_white(test_data: Split) -> None:
    recognizer, field = Recognizer(), test_data.images[0, 0].numpy().astype(np.float64)
    for array in (np.where(field == field.max(), 1 + 1e-9, field), np.where(field > 0.5, 0, 1 + 1e-9)):
        assert recognizer.inspect(array).prediction == recognizer.predict(array)
        assert recognizer.predict(np.minimum(array, 1)) == recognizer.predict(array)


@pytest.mark.parametrize(("array", "message"), NOT_PICTURES)
def test_an_array_that_is_not_a_picture_is_the_callers_error(array: AnyArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recognizer().predict(array)
    with pytest.raises(ValueError, match=message):
        Recognizer().inspect(array)


def test_an_inspection_is_the_answer_with_what_was_seen(test_data: Split, tmp_path: Path) -> None:
    recognizer = Recognizer()
    Image.new("L", (40, 40), 255).save(tmp_path / "blank.png")
    field = test_data.images[0, 0].numpy()
    pixels = (field * 255).round().astype(np.uint8)
    sources: list[Source] = [ROOT / "examples" / name for name in EXAMPLES]
    sources += [field, pixels, 1 - field, tmp_path / "blank.png", tmp_path / "missing.png"]
    for source in sources:
        inspection = recognizer.inspect(source)
        assert inspection.prediction == recognizer.predict(source)
        answered = inspection.prediction.label is not None
        assert (inspection.preprocessing is not None) == answered
        assert (inspection.picture is not None) == (inspection.prediction.status is not Status.UNREADABLE)
        if inspection.preprocessing is not None:
            logits = recognizer.runner.predict(inspection.preprocessing.tensor)[0].tolist()
            assert score(logits, recognizer.runner.contract.temperature)[1] == inspection.prediction.probabilities


def test_what_is_inspected_is_decoded_and_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = Recognizer()
    calls = []
    for module, name in (("mnist_edge.runtime.pictures", "load"), ("mnist_edge.preprocessing.mnist_v3", "preprocess")):
        original = getattr(sys.modules[module], name)

        def counted(picture: object, name: str = name, original: Callable[[object], object] = original) -> object:
            calls.append(name)
            return original(picture)

        monkeypatch.setattr(f"{module}.{name}", counted)
    Recognizer("mlp").inspect(ROOT / "examples" / "two.png")
    assert calls == ["load", "preprocess"]
    recognizer.inspect(np.zeros((28, 28)))
    assert calls == ["load", "preprocess"]


def test_what_is_not_a_picture_in_any_form_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="int is not a picture"):
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
    shutil.copy(BUILTIN_MODELS["cnn"], model)
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


@pytest.mark.parametrize("change", [{}, {"energy_threshold": 1e6}, {"margin_threshold": 1e6}])
def test_an_answer_below_either_calibrated_threshold_is_uncertain(change: dict[str, float], tmp_path: Path) -> None:
    """The example is far above both, so each of them must be enough."""
    picture = ROOT / "examples" / "seven.png"
    path = with_contract(tmp_path / "model.onnx", lambda contract: contract.update(change))
    answer = Recognizer(path).predict(picture)
    assert (answer.digit, answer.status) == (7, Status.UNCERTAIN if change else Status.OK)
    assert Recognizer(path, min_confidence=0.5).predict(picture).status is Status.OK


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


ONE_PICTURE = [
    *(TWO, str(TWO), b"P5 1 1 255 0", bytearray(b"P5 1 1 255 0"), memoryview(b"P5 1 1 255 0"), io.BytesIO()),
    *(Image.new("L", (28, 28)), np.zeros((28, 28)), np.zeros((30, 30, 3)), np.zeros((5, 30, 30))),
]


@pytest.mark.parametrize("one", ONE_PICTURE, ids=lambda one: type(one).__name__)
def test_one_picture_is_not_a_stream(one: Any) -> None:  # noqa: ANN401 - what type checkers refuse too
    with pytest.raises(TypeError, match="put the one into a list"):
        Recognizer().stream(one)


def test_a_stream_is_of_all_that_predict_takes(test_data: Split) -> None:
    recognizer, images = Recognizer(), test_data.images[:2].numpy()
    expected = recognizer.predict(list(images))
    names = [str(TWO), str(TWO)]
    for several in (images, images[:, 0], list(images), iter(images)):
        assert list(recognizer.stream(several)) == expected
    assert list(recognizer.stream(np.array(names))) == recognizer.predict(names)


def test_it_names_its_model(exports: Path) -> None:
    assert repr(Recognizer()) == f"Recognizer({str(DEFAULT_MODEL)!r})"
    path = exports / "mnist-mlp.onnx"
    assert repr(Recognizer(path, min_confidence=0.5)) == f"Recognizer({str(path)!r}, min_confidence=0.5)"


@pytest.mark.slow
def test_what_the_package_has_is_listed_before_it_is_imported() -> None:
    program = (
        "import sys, pydoc, mnist_edge\n"
        "print(dir(mnist_edge))\n"
        "print('torch' in sys.modules)\n"
        "text = pydoc.render_doc(mnist_edge)\n"
        "print([name for name in mnist_edge.__all__ if name not in text])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [repr(sorted(mnist_edge.__all__)), "False", "['__version__']"]
    assert issubclass(mnist_edge.UserError, Exception)


def test_a_device_without_torch_lists_what_works_there() -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import pydoc, mnist_edge\n"
        "print(*dir(mnist_edge))\n"
        "print('class Recognizer' in pydoc.plain(pydoc.render_doc(mnist_edge)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["Number Prediction Recognizer Status UserError __version__", "True"]


def test_predicting_imports_nothing_heavy() -> None:
    """Only onnxruntime, Pillow, numpy, click and the standard library, in a process that can see everything.

    Of these nothing that takes long and is not needed: numpy's own median imports numpy.ma, hashlib brings OpenSSL, and
    only an artifact that carries code is run in another process.
    """
    program = (
        "import sys, mnist_edge.cli\n"
        f"mnist_edge.cli.main(['predict', {str(ROOT / 'examples' / 'two.png')!r}], standalone_mode=False)\n"
        "found = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in found if not name.startswith('_')))\n"
        "needless = {'numpy.ma', 'hashlib', 'glob', 'csv', 'socket', 'subprocess', 'PIL.ImageOps'}\n"
        "print((needless | {'PIL.JpegImagePlugin'}) & {*sys.modules})"
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
