"""Draw `page.png`, the README's first picture: the page of the built-in MLP, in Chromium, on a desktop and on a phone.

What stands in it was read by the page from strokes of the mouse; nothing is typed.
"""

import io
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Playwright, ViewportSize, sync_playwright

import mnist_edge
from mnist_edge.formats.page.browser import browser_on_path

ROOT = Path(__file__).parent.parent

DESKTOP, PHONE = ViewportSize(width=920, height=748), ViewportSize(width=360, height=748)
SCALE = 1.5  # pixels of the picture for one of the window
GAP, RADIUS, AROUND = 40, 18, "#e4e4ea"

Stroke = Sequence[tuple[float, float]]


def arc(x: float, y: float, radius: float, start: float, stop: float) -> list[tuple[float, float]]:
    """Return points of a circle's arc; angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (stop - start) * step / 20) for step in range(21)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


FIVE: Sequence[Stroke] = ([(0.64, 0.2), (0.4, 0.2), (0.375, 0.45), *arc(0.475, 0.61, 0.18, 235, 500)],)
FOUR: Sequence[Stroke] = (
    [(0.48, 0.18), (0.4, 0.36), (0.31, 0.58), (0.7, 0.56)],
    [(0.59, 0.36), (0.56, 0.6), (0.54, 0.82)],
)


def main(output: Path) -> None:
    """Write the picture to `output`."""
    with sync_playwright() as playwright:
        draw(playwright, output)


def draw(playwright: Playwright, output: Path) -> None:
    """Export the page, draw on it, and write the picture to `output`."""
    checkpoint = ROOT / "release" / "mnist-mlp.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        (page,) = mnist_edge.export(checkpoint, formats=["page"], output=folder, data_dir=ROOT / "data")
        browser = playwright.chromium.launch(executable_path=os.fspath(browser_on_path() or "chromium"))
        shots = [
            screenshot(browser, page.path, DESKTOP, "light", FIVE, "5"),
            screenshot(browser, page.path, PHONE, "dark", FOUR, "4"),
        ]
        browser.close()
    beside(shots).save(output, optimize=True)


def screenshot(
    browser: Browser, path: Path, viewport: ViewportSize, scheme: str, strokes: Sequence[Stroke], answer: str
) -> Image.Image:
    """Return the window after strokes were drawn, which must be read as `answer`."""
    context = browser.new_context(
        viewport=viewport, color_scheme="dark" if scheme == "dark" else "light", device_scale_factor=SCALE, offline=True
    )
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]")
    box = page.locator("#paper").bounding_box()
    if box is None:
        raise RuntimeError("the page shows no paper")
    for stroke in strokes:
        first, *others = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point, steps=4)
        page.mouse.up()
    page.mouse.move(1, 1)
    page.wait_for_timeout(400)  # until the bars have grown
    if (found := page.locator("#label").inner_text()) != answer:
        raise RuntimeError(f"the page reads {found}, not {answer}")
    image = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    return image.convert("RGB")


def beside(shots: Sequence[Image.Image]) -> Image.Image:
    """Return windows beside each other, with round corners."""
    size = sum(shot.width for shot in shots) + GAP * (len(shots) + 1), max(shot.height for shot in shots) + 2 * GAP
    picture, left = Image.new("RGB", size, AROUND), GAP
    for shot in shots:
        mask = Image.new("L", shot.size)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, shot.width - 1, shot.height - 1), RADIUS, fill=255)
        picture.paste(shot, (left, GAP), mask)
        left += shot.width + GAP
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "page.png")
