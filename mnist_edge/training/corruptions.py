"""Eleven corruptions of test images of 28×28 handwritten digits, white on black, each at five severities.

After MNIST-C (Mu and Gilmer, *MNIST-C: a robustness benchmark for computer vision*, 2019), which has the names.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as transforms

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import UserError
from mnist_edge.training.augment import dilate
from mnist_edge.training.strokes import IMAGE_SIDE

SEVERITIES = (1, 2, 3, 4, 5)
"""From hardly visible to severe."""


@dataclass(frozen=True)
class Corruption:
    """One way to make images worse.

    Attributes:
        unit: what the levels count.
        levels: the amount at severity 1 to 5.
        apply: images, float32 `[N, 1, 28, 28]` in [0, 1], an amount and a generator → images alike, maybe out of range.
    """

    unit: str
    levels: tuple[float, float, float, float, float]
    apply: Callable[[Tensor, float, Generator], Tensor]


def check_corruptible(task: Task) -> None:
    """Return if the images of a task can be corrupted; raises `UserError` where they have another size, or color."""
    if task.input.shape != (1, IMAGE_SIDE, IMAGE_SIDE):
        shape = "×".join(map(str, task.input.shape))
        raise UserError(f"the corruptions are for gray images of {IMAGE_SIDE}×{IMAGE_SIDE} pixels, not {shape}")


def corrupt(images: Tensor, kind: str, severity: int, seed: int = 0) -> Tensor:
    """Return corrupted copies of images, float32 `[N, 1, 28, 28]` in [0, 1].

    `kind` is a key of `CORRUPTIONS`, `severity` is 1 to 5. The same seed gives the same result.
    """
    corruption = CORRUPTIONS[kind]
    generator = Generator().manual_seed(seed)
    return corruption.apply(images, corruption.levels[severity - 1], generator).clamp(0, 1)


def _gaussian_blur(images: Tensor, sigma: float, _: Generator) -> Tensor:
    blurred: Tensor = transforms.gaussian_blur(images, [9, 9], [sigma, sigma])
    return blurred


def _gaussian_noise(images: Tensor, deviation: float, generator: Generator) -> Tensor:
    return images + deviation * torch.randn(images.shape, generator=generator)


def _impulse_noise(images: Tensor, share: float, generator: Generator) -> Tensor:
    drawn = torch.rand(images.shape, generator=generator)
    return torch.where(drawn < share / 2, 0.0, torch.where(drawn > 1 - share / 2, 1.0, images))


def _rotate(images: Tensor, degrees: float, _: Generator) -> Tensor:
    """Rotate every other image counterclockwise and the rest clockwise."""
    rotated = images.clone()
    for start, angle in ((0, degrees), (1, -degrees)):
        rotated[start::2] = transforms.rotate(images[start::2], angle, transforms.InterpolationMode.BILINEAR)
    return rotated


def _translate(images: Tensor, pixels: float, _: Generator) -> Tensor:
    """Move a quarter of the images to each side."""
    moved = images.clone()
    for start, (right, down) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        where = [int(right * pixels), int(down * pixels)]
        moved[start::4] = transforms.affine(images[start::4], angle=0, translate=where, scale=1, shear=[0, 0])
    return moved


def _contrast(images: Tensor, factor: float, _: Generator) -> Tensor:
    return images * factor


def _brightness(images: Tensor, level: float, _: Generator) -> Tensor:
    return level + images * (1 - level)


def _occlusion(images: Tensor, side: float, generator: Generator) -> Tensor:
    """Black out a square that lies within the digit's 20×20 box."""
    pixels = torch.arange(IMAGE_SIDE)
    corner = 4 + torch.rand(2, len(images), 1, generator=generator) * (20 - side)
    inside = [(pixels >= start) & (pixels < start + side) for start in corner.floor()]
    hidden = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hidden, 0.0)


def _thicker(images: Tensor, steps: float, _: Generator) -> Tensor:
    for _step in range(int(steps)):
        images = dilate(images)
    return torch.lerp(images, dilate(images), steps % 1)


def _thinner(images: Tensor, share: float, _: Generator) -> Tensor:
    return torch.lerp(images, -dilate(-images), share)


def _pixelate(images: Tensor, side: float, _: Generator) -> Tensor:
    small = transforms.resize(images, [int(side), int(side)], antialias=True)
    large: Tensor = transforms.resize(small, [IMAGE_SIDE, IMAGE_SIDE], transforms.InterpolationMode.NEAREST)
    return large


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_blur": Corruption("σ in pixels", (0.6, 0.9, 1.2, 1.6, 2.0), _gaussian_blur),
    "gaussian_noise": Corruption("σ of the brightness", (0.1, 0.2, 0.3, 0.4, 0.5), _gaussian_noise),
    "impulse_noise": Corruption("share of pixels", (0.02, 0.05, 0.10, 0.15, 0.20), _impulse_noise),
    "rotate": Corruption("degrees", (10, 20, 30, 40, 50), _rotate),
    "translate": Corruption("pixels", (1, 2, 3, 4, 5), _translate),
    "contrast": Corruption("brightness of the ink", (0.7, 0.5, 0.35, 0.2, 0.1), _contrast),
    "brightness": Corruption("brightness of the background", (0.1, 0.2, 0.3, 0.4, 0.5), _brightness),
    "occlusion": Corruption("side in pixels", (4, 6, 8, 10, 12), _occlusion),
    "thicker": Corruption("pixels to each side", (0.4, 0.8, 1.2, 1.6, 2.0), _thicker),
    "thinner": Corruption("share of a pixel to each side", (0.2, 0.4, 0.6, 0.8, 1.0), _thinner),
    "pixelate": Corruption("pixels a side", (20, 16, 13, 10, 8), _pixelate),
}
"""The corruptions by name."""
