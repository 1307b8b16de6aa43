"""Draw the pictures of this folder: digits of MNIST's test set as they reach a device, made with no two alike.

`seven.png` is dark ink on gray paper, `five.png` chalk on a board, `two.png` ink on a transparent background,
`three.jpg` a photograph taken with the camera on its side, as only its EXIF orientation shows, `nine.jpg` is on
ruled paper with a shadow across it, and `four.jpg` small on a large sheet.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import MNIST

HERE = Path(__file__).parent
Color = tuple[int, int, int]


def draw() -> None:
    """Write the six pictures."""
    digits = MNIST(HERE.parent / "data", train=False, download=True).data.numpy()
    noise = np.random.default_rng(0)

    on_paper(digits[0], (214, 210, 200), (52, 50, 60), (300, 260), noise).save(HERE / "seven.png")
    on_paper(digits[15], (38, 66, 54), (226, 232, 224), (280, 280), noise).save(HERE / "five.png")

    ink = Image.new("RGBA", (160, 160), (20, 40, 140, 0))
    ink.putalpha(enlarged(digits[1], 160))
    ink.save(HERE / "two.png")

    photograph = on_paper(digits[30], (196, 186, 168), (30, 42, 96), (320, 240), noise)
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90° clockwise to see it upright
    photograph.transpose(Image.Transpose.ROTATE_90).save(HERE / "three.jpg", quality=85, exif=exif)

    on_ruled_paper(digits[12], (640, 480), 240, (250, 130), 40, noise).save(HERE / "nine.jpg", quality=85)
    on_ruled_paper(digits[4], (2400, 1800), 130, (1500, 420), 0, noise).save(HERE / "four.jpg", quality=60)


def on_ruled_paper(
    digit: NDArray[np.uint8],
    size: tuple[int, int],
    side: int,
    place: tuple[int, int],
    spacing: int,
    noise: np.random.Generator,
) -> Image.Image:
    """Return a photograph of a digit with sides of `side` pixels at `place`, in the soft shadow of who took it.

    The paper's lines are `spacing` pixels apart; it has none where that is 0.
    """
    rows, columns = np.mgrid[: size[1], : size[0]]
    ink = np.zeros((size[1], size[0]))
    ink[place[1] : place[1] + side, place[0] : place[0] + side] = np.asarray(enlarged(digit, side)) / 255
    lines = (rows + 0.02 * columns) % spacing < 2 if spacing else np.zeros_like(ink)
    shadow = 1 / (1 + np.exp((columns + 0.6 * rows - 0.6 * size[0]) / (0.04 * size[0])))
    light = (0.9 - 0.3 * shadow) * (1 - np.maximum(0.75 * ink, 0.45 * lines))
    grain = noise.normal(0, 0.012, ink.shape)
    colors = (light + grain)[..., np.newaxis] * np.array([1.0, 0.97, 0.9])
    return Image.fromarray((np.clip(colors, 0, 1) * 255).astype(np.uint8))


def enlarged(digit: NDArray[np.uint8], side: int) -> Image.Image:
    """Return a 28×28 digit as a gray picture with sides of `side` pixels."""
    return Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)


def on_paper(
    digit: NDArray[np.uint8], paper: Color, ink: Color, size: tuple[int, int], noise: np.random.Generator
) -> Image.Image:
    """Return a picture of `size` (width, height) with the digit off its middle and the grain of a camera."""
    width, height = size
    picture = Image.new("RGB", size, paper)
    mask = enlarged(digit, min(size) * 3 // 4)
    picture.paste(ink, (width - mask.width - 10, height - mask.height - 30), mask)
    grain = noise.normal(0, 3, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    draw()
