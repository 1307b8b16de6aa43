"""Draw the sheets of `pictures.md`: what each stage of the preprocessing makes of the examples."""

from pathlib import Path

from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.runtime.visualize import visualize

ROOT = Path(__file__).parent.parent
SHEETS = {"steps-ruled.png": "nine.jpg", "steps-small.png": "four.jpg", "steps-board.png": "five.png"}


def draw() -> None:
    """Write the sheets to `figures/`."""
    recognizer = Recognizer()
    for sheet, name in SHEETS.items():
        drawn = visualize(recognizer.inspect(ROOT / "examples" / name))
        drawn.quantize(64).save(ROOT / "docs" / "figures" / sheet, optimize=True)


if __name__ == "__main__":
    draw()
