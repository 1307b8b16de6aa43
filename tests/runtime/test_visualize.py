import dataclasses
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist_edge.preprocessing.mnist_v3 import preprocess
from mnist_edge.preprocessing.registry import load_preprocessing
from mnist_edge.runtime.recognizer import Inspection, Recognizer
from mnist_edge.runtime.visualize import MAX_LABEL_LENGTH, on_paper, preview, visualize
from mnist_edge.types import TensorSpec
from tests.conftest import ROOT
from tests.preprocessing.strokes import ink, picture_of


def test_the_sheet_shows_every_stage_and_the_answer() -> None:
    inspection = Recognizer().inspect(ROOT / "examples" / "five.png")
    assert inspection.preprocessing is not None
    sheet = visualize(inspection)
    unanswered = dataclasses.replace(inspection.prediction, label=None)
    silent = visualize(dataclasses.replace(inspection, prediction=unanswered))
    tiles = len(inspection.preprocessing.stages) + 1
    assert sheet.mode == "RGB"
    assert sheet.width == 12 + tiles * 236
    assert silent.height < sheet.height
    seen = np.asarray(sheet.crop((sheet.width - 236, 36, sheet.width - 12, 36 + 224)).convert("L"))[4::8, 4::8]
    assert np.abs(seen / 255 - inspection.preprocessing.tensor[0, 0]).max() <= 0.01


def in_mode(gray: Image.Image, mode: str) -> Image.Image:
    """Return a gray picture in another mode; of high bit depth, in a part of its range, as a camera gives it."""
    values = np.asarray(gray)
    if mode == "F":
        return Image.fromarray(values.astype(np.float32) / 255)
    if mode == "I":
        return Image.fromarray(values.astype(np.int32) * 16)
    if mode.startswith("I;16"):
        return Image.frombytes(mode, gray.size, (values.astype(np.uint16) * 16).astype(f"{'<>'[mode == 'I;16B']}u2"))
    between = {"PA": "P", "RGBa": "RGBA"}.get(mode, "RGB")
    return gray.convert("RGB").convert(between).convert(mode)


@pytest.mark.parametrize("mode", ["1", "P", "I;16", "RGBA"])
def test_a_large_picture_of_any_mode_is_shown(mode: str) -> None:
    inspection = Recognizer().inspect(in_mode(picture_of(0.9, ink(3, (1200, 900), (300, 100, 400, 700), 60)), mode))
    assert inspection.prediction.digit == 3
    assert visualize(inspection).height == 2 * 12 + 224 + 2 * 24
    assert_ink_and_paper_are_seen(inspection)


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBa", "CMYK", "YCbCr", "HSV", "RGBX", "I", "I;16", "I;16B", "F", "1"])
def test_whatever_is_answered_can_be_drawn(mode: str) -> None:
    inspection = Recognizer().inspect(in_mode(picture_of(0.9, ink(3, (90, 120), (25, 20, 40, 80), 8)), mode))
    assert (inspection.prediction.digit, visualize(inspection).mode) == (3, "RGB")
    assert_ink_and_paper_are_seen(inspection)


def test_arrays_are_shown_in_their_range() -> None:
    gray = np.asarray(picture_of(0.9, ink(3, (90, 120), (25, 20, 40, 80), 8)))
    for array in (gray / 255, gray.astype(np.uint16) * 257, gray > 128):
        assert_ink_and_paper_are_seen(Recognizer().inspect(array))


def test_a_model_that_takes_16_bits_as_they_are_is_drawn_what_it_sees() -> None:
    output = TensorSpec("image", (1, 28, 28))
    ramp = Image.fromarray(np.linspace(0, 1023, 1200 * 1000).reshape(1200, 1000).astype(np.uint16))
    ramp.getexif()[0x0112] = 6  # to be turned by a quarter
    answer = Recognizer().predict(Image.new("L", (40, 40)))
    seen = load_preprocessing("resize/1", output).preprocess(ramp)
    tiles = np.asarray(visualize(Inspection(ramp, seen, answer)).convert("L"))
    pictured, given = tiles[60:230, 40:200], tiles[60:230, 276:436]
    assert max(pictured.max(), given.max()) <= 5
    assert on_paper(ramp, sixteen_bits=True).size == (896, 747)


def assert_ink_and_paper_are_seen(inspection: Inspection) -> None:
    """Check that the picture on the sheet has dark ink and light paper."""
    assert inspection.picture is not None
    shown = on_paper(inspection.picture).convert("L")
    dark, light = np.quantile(np.asarray(shown), (0.01, 0.5))
    assert dark < 100
    assert light > 200


def test_the_label_on_the_sheet_is_short_and_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    inspection = Recognizer().inspect(ROOT / "examples" / "five.png")
    drawn: list[str] = []
    real = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, at: tuple[float, float], words: str, **how: Any) -> None:  # noqa: ANN401
        drawn.append(words)
        real(self, at, words, **how)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    for label in ("\x1b\n\u202e" * 100, "5"):
        prediction = dataclasses.replace(inspection.prediction, label=label, confidence=0.5)
        visualize(dataclasses.replace(inspection, prediction=prediction))
        *_, answer = drawn
        shown = answer.removesuffix("  (50.0%)")
        assert len(shown) == len(answer) - 9 <= MAX_LABEL_LENGTH
        assert shown.isprintable()
        assert (shown == label) == (label == "5")
        assert label == "5" or shown.startswith("\\x1b\\n")


def test_what_was_not_seen_cannot_be_drawn() -> None:
    for picture in (Image.new("L", (40, 40), 255), b"not a picture"):
        inspection = Recognizer().inspect(picture)
        with pytest.raises(ValueError, match="no stages to draw: "):
            visualize(inspection)


def test_the_preview_has_two_pixels_to_a_character() -> None:
    tensor = preprocess(picture_of(0.9, ink(1, (60, 80), (20, 10, 20, 60), 6))).tensor
    lines = preview(tensor).split("\n")
    assert [len(line) for line in lines] == [28] * 14
    pixels = np.array([[(c in "▀█", c in "▄█") for c in line] for line in lines]).transpose(0, 2, 1).reshape(28, 28)
    assert np.array_equal(pixels, tensor[0, 0] > 0.5)


def test_the_preview_is_as_large_as_the_input() -> None:
    assert preview(np.ones((1, 1, 3, 5), dtype=np.float32)) == "█████\n▀▀▀▀▀"
