import numpy as np
from PIL import Image

from mnist_edge.runtime.visualize import explain, preview
from mnist_edge.preprocessing.mnist_v2.pipeline import prepare, steps
from mnist_edge.runtime.recognizer import Prediction, Status
from tests.conftest import ROOT
from tests.preprocessing.strokes import ink, picture_of

ANSWER = Prediction("five.png", Status.OK, 5, 0.987, (), "model.onnx")


def test_the_sheet_shows_every_step_and_the_answer() -> None:
    picture = Image.open(ROOT / "examples" / "five.png")
    sheet, silent = explain(picture, ANSWER), explain(picture, None)
    tiles = len(steps(picture)) + 1
    assert sheet.mode == "RGB"
    assert sheet.width == 12 + tiles * 236
    assert silent.height < sheet.height
    seen = np.asarray(sheet.crop((sheet.width - 236, 36, sheet.width - 12, 36 + 224)).convert("L"))[4::8, 4::8]
    assert np.abs(seen / 255 - prepare(picture)[0, 0]).max() <= 0.01


def test_the_preview_has_two_pixels_to_a_character() -> None:
    tensor = prepare(picture_of(0.9, ink(1, (60, 80), (20, 10, 20, 60), 6)))
    lines = preview(tensor).split("\n")
    assert [len(line) for line in lines] == [28] * 14
    pixels = np.array([[(c in "▀█", c in "▄█") for c in line] for line in lines]).transpose(0, 2, 1).reshape(28, 28)
    assert np.array_equal(pixels, tensor[0, 0] > 0.5)
