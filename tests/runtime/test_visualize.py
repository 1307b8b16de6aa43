import dataclasses

import numpy as np
import pytest
from PIL import Image

from mnist_edge.preprocessing.mnist_v3 import preprocess
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.runtime.visualize import preview, visualize
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


@pytest.mark.parametrize("mode", ["1", "P", "I;16", "RGBA"])
def test_a_large_picture_of_any_mode_is_shown(mode: str) -> None:
    drawn = picture_of(0.9, ink(3, (1200, 900), (300, 100, 400, 700), 60))
    picture = Image.fromarray(np.asarray(drawn).astype(np.uint16) * 257) if mode == "I;16" else drawn.convert(mode)
    inspection = Recognizer().inspect(picture)
    assert inspection.prediction.digit == 3
    assert visualize(inspection).height == 2 * 12 + 224 + 2 * 24


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBa", "CMYK", "YCbCr", "HSV", "RGBX", "I", "I;16B", "F", "1"])
def test_whatever_is_answered_can_be_drawn(mode: str) -> None:
    size = (40, 40)
    content = np.random.default_rng(0).bytes(len(Image.new(mode, size).tobytes()))
    inspection = Recognizer().inspect(Image.frombytes(mode, size, content))
    if inspection.preprocessing is not None:
        assert visualize(inspection).mode == "RGB"


def test_the_label_on_the_sheet_is_short_and_printable() -> None:
    inspection = Recognizer().inspect(ROOT / "examples" / "five.png")
    for label in ("\x1b\n\u202e" * 100, "5"):
        prediction = dataclasses.replace(inspection.prediction, label=label)
        assert visualize(dataclasses.replace(inspection, prediction=prediction)).mode == "RGB"


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
