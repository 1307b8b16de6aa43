"""Numbers: lines of test digits that the model reads correctly alone, so that the reading of lines is measured."""

import pickle
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageOps

from mnist_edge.preprocessing.mnist_v3.number import MAX_NUMBER_SIDE
from mnist_edge.preprocessing.result import DigitGroup, Piece
from mnist_edge.runtime.number import Digit, Number, read_lines, text_of
from mnist_edge.runtime.prediction import Scored, Status
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.runtime.touching import split_group
from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import Box, Images
from tests.conftest import ROOT
from tests.number_pictures import GAPS, crop, draw_line, line_ink

FLOORS = {
    "mlp": {"wide": (60, 0.98), "normal": (60, 0.95), "tight": (60, 0.95), "touching": (60, 0.7)},
    "cnn": {"wide": (200, 0.99), "normal": (100, 0.96), "tight": (100, 0.95), "touching": (40, 0.7)},
}
"""A number of lines of two to six digits, and the share of them that is read without a mistake, at least."""


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer("mlp")


@pytest.fixture(scope="module")
def alone(test_data: Split) -> Callable[[str], Split]:
    """Gives those of the first 2,000 test images that a model reads correctly alone."""
    part = Split(test_data.images[:2000], test_data.labels[:2000])

    @cache
    def read_by(model: str) -> Split:
        answers = Recognizer(model).predict(list(part.images[:, 0].numpy()))
        right = np.flatnonzero([answer.digit for answer in answers] == part.labels.numpy())
        return Split(part.images[right], part.labels[right])

    return read_by


@pytest.fixture(scope="module")
def readable(alone: Callable[[str], Split]) -> Split:
    return alone("mlp")


@pytest.mark.slow
@pytest.mark.parametrize("kind", GAPS)
@pytest.mark.parametrize("model", FLOORS)
def test_lines_are_read(model: str, kind: str, alone: Callable[[str], Split]) -> None:
    recognizer, generator = Recognizer(model), np.random.default_rng(0)
    count, floor = FLOORS[model][kind]
    lines = [draw_line(alone(model), kind, generator, photographed=number % 2 == 1) for number in range(count)]
    read = [recognizer.read(line.picture) for line in lines]
    right = [
        number.text is not None and number.text.replace(" ", "") == line.text
        for number, line in zip(read, lines, strict=True)
    ]
    assert np.mean(right) >= floor


def test_a_number_has_its_digits_in_order_with_boxes(recognizer: Recognizer, readable: Split) -> None:
    line = draw_line(readable, "normal", np.random.default_rng(3), photographed=False)
    number = recognizer.read(line.picture)
    assert number.text == line.text
    assert (number.status is Status.OK) == all(digit.status is Status.OK for digit in number.digits)
    assert number.confidence == pytest.approx(np.prod([digit.confidence for digit in number.digits]))
    lefts = [digit.box[0] for digit in number.digits]
    assert lefts == sorted(lefts)
    ink = 255 - np.asarray(line.picture)
    for digit in number.digits:
        left, top, right, bottom = digit.box
        assert ink[top:bottom, left:right].max() > 250
    assert "".join(digit["label"] for digit in number.to_json()["digits"]) == line.text


def test_the_cnn_reads_numbers_unless_a_model_is_named(readable: Split) -> None:
    line = draw_line(readable, "normal", np.random.default_rng(3), photographed=False)
    for recognizer in (Recognizer(min_confidence=1), pickle.loads(pickle.dumps(Recognizer(min_confidence=1)))):
        number = recognizer.read(line.picture)
        assert (number.text, number.model, number.status) == (line.text, "mnist-cnn-int8.onnx", Status.UNCERTAIN)
        assert recognizer.predict(line.picture).model == "mnist-mlp-int8.onnx"
    changed = Recognizer()
    assert changed.read(line.picture).status is Status.OK
    changed.min_confidence = 1
    assert changed.read(line.picture).status is Status.UNCERTAIN
    named = Recognizer("mlp")
    for recognizer in (named, pickle.loads(pickle.dumps(named))):
        assert recognizer.read(line.picture).model == "mnist-mlp-int8.onnx"


def extent(number: Number) -> Box:
    """Return the box around all digits."""
    lefts, tops, rights, bottoms = zip(*(digit.box for digit in number.digits), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def test_boxes_are_in_the_pixels_of_the_picture(recognizer: Recognizer, readable: Split) -> None:
    """Also where a border is cropped, and where the picture is reduced."""
    picture = draw_line(readable, "normal", np.random.default_rng(3), photographed=False).picture
    box = np.array(extent(recognizer.read(picture)))
    framed = recognizer.read(ImageOps.expand(picture, 20, fill=0))
    assert np.abs(np.array(extent(framed)) - box - 20).max() <= 1
    by = 2 * MAX_NUMBER_SIDE // picture.width
    large = recognizer.read(picture.resize((picture.width * by, picture.height * by), Image.Resampling.BICUBIC))
    assert np.abs(np.array(extent(large)) - by * box).max() < by / 2  # half a pixel of the small one


def test_boxes_end_with_the_picture(recognizer: Recognizer, readable: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is reduced by a factor that does not divide its sides, the last pixels stand for fewer of its own."""
    ink = crop(
        next(image for image, label in zip(readable.images, readable.labels, strict=True) if label == 7).numpy()[0]
    )
    digit = Image.fromarray(((1 - ink) * 255).astype(np.uint8)).resize((60, 90), Image.Resampling.BICUBIC)
    picture = Image.new("L", (301, 151), 255)
    for left, top in ((20, 40), (140, 61), (241, 61)):
        picture.paste(digit, (left, top))
    monkeypatch.setattr("mnist_edge.preprocessing.mnist_v3.number.MAX_NUMBER_SIDE", 100)
    for shown in (picture, picture.transpose(Image.Transpose.ROTATE_180)):
        left, top, right, bottom = extent(recognizer.read(shown))
        assert 0 <= left < right <= 301
        assert 0 <= top < bottom <= 151
        assert shown is not picture or (right, bottom) == (301, 151)


def test_lines_of_a_page_are_read_from_top_to_bottom(recognizer: Recognizer, readable: Split) -> None:
    generator = np.random.default_rng(3)
    lines = [draw_line(readable, "wide", generator, photographed=False) for _ in range(3)]
    page = Image.new("L", (max(line.picture.width for line in lines), sum(line.picture.height for line in lines)), 255)
    for number, line in enumerate(lines):
        page.paste(line.picture, (0, number * line.picture.height))
    read = recognizer.read(page)
    assert read.text is not None
    assert read.text.replace(" ", "") == "\n".join(line.text for line in lines)


def test_digits_that_touch_are_uncertain(recognizer: Recognizer, readable: Split) -> None:
    zeros = [crop(image.numpy()) for image in readable.images[readable.labels == 0][:2, 0]]
    ink = line_ink(zeros, (-3, -3), np.random.default_rng(0))
    number = recognizer.read(Image.fromarray(((1 - ink) * 255).astype(np.uint8)))
    assert (len(number.digits), number.status) == (2, Status.UNCERTAIN)
    (left, top, middle, _), (start, _, right, bottom) = (digit.box for digit in number.digits)
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
    assert (left, top, right, bottom) == pytest.approx((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), abs=2)
    assert left < start <= middle + 3 < right


def test_a_picture_of_one_digit_is_a_number_of_one(recognizer: Recognizer) -> None:
    number = recognizer.read(ROOT / "examples" / "seven.png")
    assert (number.text, number.status) == ("7", Status.OK)


def test_a_blank_picture_has_no_number_and_a_broken_file_is_unreadable(recognizer: Recognizer) -> None:
    blank = recognizer.read(Image.new("L", (60, 40), 255))
    assert (blank.status, blank.text, blank.digits) == (Status.NO_DIGIT, None, ())
    broken = recognizer.read(b"no picture")
    assert broken.status is Status.UNREADABLE
    assert broken.message


def digit(label: str, left: int, line: int = 0) -> Digit:
    return Digit(label, 1.0, (left, 0, left + 10, 20), line, Status.OK)


@pytest.mark.parametrize(
    ("lefts", "text"), [((0, 15, 30, 60), "012 3"), ((0, 30, 60, 90), "0123"), ((0, 40), "0 1"), ((0,), "0")]
)
def test_a_gap_that_is_much_wider_than_the_others_is_a_space(lefts: tuple[int, ...], text: str) -> None:
    assert text_of(digit(str(number), left) for number, left in enumerate(lefts)) == text


def test_lines_are_separated_by_a_newline() -> None:
    assert text_of([digit("1", 0), digit("2", 15), digit("3", 0, line=1)]) == "12\n3"


def piece(start: int, stop: int, *, aspect: float = 0.65, strokes: float = 0.0) -> Piece:
    return Piece(start, stop, (start, 0, stop, 1), np.zeros((1, 1, 1, 1), np.float32), aspect, 1.0, strokes)


def says(known: set[tuple[int, int]]) -> dict[tuple[int, int], Scored]:
    """Return what a model says that knows some pieces and is in doubt about the others."""
    pieces = [(start, stop) for stop in range(1, 4) for start in range(stop)]
    return {at: (0, (1.0,), 8.0, True) if at in known else (0, (0.4,), -4.0, False) for at in pieces}


@pytest.mark.parametrize("known", [[(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)], [(0, 3)]])
def test_a_group_is_cut_into_the_pieces_that_the_model_knows(known: list[tuple[int, int]]) -> None:
    answers = says(set(known))
    pieces = [piece(start, stop) for start, stop in answers]
    found = split_group(pieces, lambda asked: answers[asked.start, asked.stop])
    assert [(part.start, part.stop) for part, _ in found] == known


@pytest.mark.parametrize(("aspect", "count"), [(1.0, 1), (1.4, 2)])
def test_a_group_no_wider_than_a_digit_stays_whole_unless_its_pieces_are_clearly_better(
    aspect: float, count: int
) -> None:
    pieces = [piece(0, 1, aspect=aspect / 2), piece(1, 2, aspect=aspect / 2), piece(0, 2, aspect=aspect)]
    found = split_group(pieces, lambda asked: (0, (1.0,), 9.0 if asked.aspect == aspect else 8.0, True))
    assert len(found) == count


def test_a_group_too_wide_for_a_digit_is_uncertain_though_the_model_knows_it_best_whole() -> None:
    def scored(_: Images) -> Scored:
        return 1, (0.1, 0.9), 5.0, True

    whole = DigitGroup((0, 0, 24, 20), np.zeros((1, 1, 28, 28), np.float32), lambda: [piece(0, 1, aspect=1.2)])
    number = read_lines([[whole]], scored, ("0", "1"), None, "model")
    assert (number.text, number.status) == ("1", Status.UNCERTAIN)


@pytest.mark.parametrize(
    ("beside", "text"), [((20, 20), "01"), ((40, 40), "1"), ((12, 12), "01"), ((20, 40), "01"), ((8, 20), "01")]
)
def test_a_group_is_as_wide_as_the_height_of_its_line_says(beside: tuple[int, int], text: str) -> None:
    """As wide as it is high, and better in two pieces; beside digits twice as high, not just one, it is a low digit."""

    def scored(image: Images) -> Scored:
        label, known = int(image.sum()) % 2, image.sum() >= 2
        return label, (1.0 - label, float(label)), 9.0 if known else 1.0, bool(known)

    def image(label: int, *, known: bool) -> Images:
        return np.pad(np.array([[[[label + 2 * known]]]], np.float32), ((0, 0), (0, 0), (1, 1), (1, 1)))

    halves = [Piece(at, at + 1, (0, 0, 1, 1), image(at, known=True), 0.6, 1.0, 0.0) for at in (0, 1)]
    whole = Piece(0, 2, (0, 0, 24, 20), image(1, known=False), 1.2, 1.0, 0.0)
    group = DigitGroup(whole.box, whole.tensor, lambda: [*halves, whole])
    others = [
        DigitGroup((at, 0, at + 5, height), image(0, known=True), list)
        for at, height in zip((40, 50), beside, strict=True)
    ]
    number = read_lines([[group, *others]], scored, ("0", "1"), None, "model")
    assert "".join(digit.label for digit in number.digits) == f"{text}00"
    assert [digit.confidence for digit in number.digits] == [1.0] * len(number.digits)  # of each piece its own


def test_a_group_that_is_known_is_not_cut() -> None:
    def pieces() -> list[Piece]:
        raise AssertionError

    def scored(_: Images) -> Scored:
        return 1, (0.1, 0.9), 5.0, True

    box: Box = (0, 0, 20, 20)
    group = DigitGroup(box, np.zeros((1, 1, 28, 28), np.float32), pieces)
    number = read_lines([[group]], scored, ("0", "1"), None, "model")
    assert (number.text, number.status, number.confidence) == ("1", Status.OK, 0.9)
    lower = [DigitGroup((at, 8, at + 6, 20), group.tensor, pieces) for at in (30, 40)]
    assert read_lines([[group, *lower]], scored, ("0", "1"), None, "model").status is Status.OK


def test_one_digit_that_is_uncertain_makes_the_number_uncertain() -> None:
    def scored(image: Images) -> Scored:
        return 1, (0.1, 0.9), 5.0, not image.any()

    sure, unsure = (np.full((1, 1, 28, 28), value, np.float32) for value in (0, 1))
    groups = [DigitGroup((at, 0, at + 8, 20), image, list) for at, image in ((0, sure), (12, unsure), (24, sure))]
    number = read_lines([groups], scored, ("0", "1"), None, "model")
    assert [digit.status for digit in number.digits] == [Status.OK, Status.UNCERTAIN, Status.OK]
    assert (number.text, number.status) == ("111", Status.UNCERTAIN)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("light", [False, True])
def test_a_number_is_read_in_either_polarity_and_set_upright(
    light: bool, turned: bool, recognizer: Recognizer, readable: Split
) -> None:
    line = draw_line(readable, "wide", np.random.default_rng(3), photographed=False)
    picture = ImageOps.invert(line.picture) if light else line.picture
    if turned:
        picture = picture.transpose(Image.Transpose.ROTATE_90)
        picture.getexif()[0x0112] = 6
    number = recognizer.read(picture)
    assert number.text is not None
    assert number.text.replace(" ", "") == line.text


@pytest.mark.parametrize(("known", "label", "confidence"), [(True, "0", 0.9), (False, "1", 0.74)])
def test_a_digit_in_doubt_is_read_at_five_positions(known: bool, label: str, confidence: float) -> None:
    """Where it is, the model says 0; with the ink a pixel to any side, 1."""
    image = np.zeros((1, 1, 28, 28), np.float32)
    image[0, 0, 14, 14] = 1
    positions = set()

    def scored(asked: Images) -> Scored:
        assert (asked.shape, asked.dtype, asked.sum()) == (image.shape, image.dtype, 1)
        positions.add(divmod(int(asked.argmax()), 28))
        return (0, (0.9, 0.1), 1.0, known) if asked[0, 0, 14, 14] else (1, (0.1, 0.9), 1.0, known)

    narrow = DigitGroup((0, 0, 10, 20), image, list)
    number = read_lines([[narrow]], scored, ("0", "1"), None, "model")
    assert (number.text, number.status) == (label, Status.OK if known else Status.UNCERTAIN)
    assert number.confidence == pytest.approx(confidence)
    sides = {(13, 14), (15, 14), (14, 13), (14, 15)}
    assert positions == {(14, 14)} | (set() if known else sides)


@pytest.mark.parametrize(
    ("width", "least", "status"), [(10, 0.0, "ok"), (10, 0.74, "ok"), (10, 0.75, "uncertain"), (23, 0.7, "uncertain")]
)
def test_min_confidence_is_of_the_confidence_that_is_reported(width: int, least: float, status: str) -> None:
    """Of the mean of five positions; what is too wide for a digit is uncertain whatever the confidence."""
    image = np.zeros((1, 1, 28, 28), np.float32)
    image[0, 0, 14, 14] = 1

    def scored(asked: Images) -> Scored:
        share = 0.1 if asked[0, 0, 14, 14] else 0.905
        return int(share > 0.5), (1 - share, share), 1.0, max(share, 1 - share) >= 0.95

    whole = Piece(0, 1, (0, 0, width, 20), image, width / 20, 1.0, 0.0)
    group = DigitGroup(whole.box, image, lambda: [whole])
    number = read_lines([[group]], scored, ("0", "1"), None, "model", least)
    assert number.confidence == pytest.approx(0.744)
    assert (number.text, number.status) == ("1", status)
