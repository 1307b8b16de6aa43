"""Draw the sheets of `pictures.md`: what each step of the preprocessing makes of the examples."""

from pathlib import Path

from PIL import Image

from mnist_edge.runtime.visualize import explain
from mnist_edge.runtime.recognizer import Recognizer

ROOT = Path(__file__).parent.parent
SHEETS = {"steps-ruled.png": "nine.jpg", "steps-small.png": "four.jpg", "steps-board.png": "five.png"}


def draw() -> None:
    """Write the sheets to `figures/`."""
    paths = [ROOT / "examples" / name for name in SHEETS.values()]
    for sheet, path, answer in zip(SHEETS, paths, Recognizer().predict(paths), strict=True):
        with Image.open(path) as picture:
            drawn = explain(picture, answer)
        drawn.quantize(64).save(ROOT / "docs" / "figures" / sheet, optimize=True)


if __name__ == "__main__":
    draw()
