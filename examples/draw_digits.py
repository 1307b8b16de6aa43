"""Draw the pictures of this folder: digits of MNIST's test set as they reach a device, made with no two alike.

`seven.png` is dark ink on grey paper, `five.png` chalk on a board, `two.png` ink on a transparent ground, and
`three.jpg` a photograph taken with the camera on its side, which only its EXIF orientation tells.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import MNIST

HERE = Path(__file__).parent
Colour = tuple[int, int, int]


def draw() -> None:
    """Write the four pictures."""
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


def enlarged(digit: NDArray[np.uint8], side: int) -> Image.Image:
    """Return a 28×28 digit as a grey picture with sides of `side` pixels."""
    return Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)


def on_paper(
    digit: NDArray[np.uint8], paper: Colour, ink: Colour, size: tuple[int, int], noise: np.random.Generator
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
