"""The page in a real browser: strokes, files, the camera, the keyboard, and what people need who can't see it."""

import base64
import io
import re
import runpy
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Playwright, ViewportSize, expect, sync_playwright

from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.page.exporter import export
from mnist_edge.preprocessing.orientation import orientation_of
from mnist_edge.runtime.recognizer import Recognizer
from tests.conftest import ROOT
from tests.formats.c.networks import made, request_for
from tests.formats.page.chromium import (
    CAMERA,
    chromium,
    draw,
    label,
    needs_chromium,
    on_paper,
    opened,
    serving,
    status,
    touch,
    wait_until,
)
from tests.preprocessing.strokes import STROKES, Points

pytestmark = [needs_chromium, pytest.mark.slow]

NARROW, WIDE = ViewportSize(width=360, height=740), ViewportSize(width=1400, height=900)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as started:
        yield started


@pytest.fixture(scope="module")
def path(exported: list[Artifact]) -> Path:
    """The page of the released MLP."""
    (found,) = (each.path for each in exported if each.format == "page")
    return found


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    with opened(browser, path) as found:
        yield found


def placed(stroke: Points) -> Points:
    """Return a stroke of the unit square in the middle of the paper."""
    return [(0.3 + 0.4 * x, 0.18 + 0.62 * y) for x, y in stroke]


def test_digits_drawn_with_the_mouse_are_read(page: Page) -> None:
    for digit, strokes in STROKES.items():
        for stroke in strokes:
            draw(page, placed(stroke))
        assert label(page) == str(digit)
        assert re.fullmatch(rf"{digit} – (sure|not sure), \d+\.\d %.*", status(page))
        assert re.match(r"Read in \d+\.\d ms\. ", page.locator("#time").inner_text())
        best = page.locator("#bars tr.best")
        assert best.locator("th").inner_text() == str(digit)
        assert page.locator("#bars tr").count() == 10
        page.keyboard.press("Escape")


def test_digits_drawn_with_a_finger_are_read(browser: Browser, path: Path) -> None:
    with opened(browser, path, has_touch=True, is_mobile=True, viewport=NARROW) as page:
        for digit in (3, 7):
            for stroke in STROKES[digit]:
                touch(page, placed(stroke))
            expect(page.locator("#label")).to_have_text(str(digit))
            page.click("#clear")
            wait_until(page, lambda: status(page) == "Nothing to read yet.")
        assert page.evaluate("scrollY") == 0  # drawing moves the pen, not the page


def test_undo_and_clear(page: Page) -> None:
    assert page.locator("#undo").is_disabled()
    draw(page, placed(STROKES[1][0]))
    one = page.locator("#status").inner_text()
    draw(page, [(0.1, 0.1), (0.9, 0.9)])
    assert status(page) != one
    page.click("#undo")
    assert status(page) == one
    page.keyboard.press("Control+z")
    assert status(page) == "Nothing to read yet."
    assert page.locator("#clear").is_disabled()
    draw(page, [(0.5, 0.5), (0.5, 0.5)])
    page.keyboard.press("Escape")
    assert (label(page), status(page)) == ("–", "Nothing to read yet.")
    assert page.locator("#invitation").is_visible()


@pytest.mark.parametrize(("key", "left"), [("Escape", 0), ("Control+z", 1), ("Control+Z", 1)])
def test_a_stroke_that_is_taken_back_while_it_is_drawn_is_gone(page: Page, key: str, left: int) -> None:
    draw(page, placed(STROKES[1][0]))
    before = status(page) if left else "Nothing to read yet."
    page.mouse.move(*on_paper(page, [(0.2, 0.2)])[0])
    page.mouse.down()
    for point in on_paper(page, [(0.4, 0.2), (0.6, 0.3)]):
        page.mouse.move(*point)
    page.keyboard.press(key)
    page.mouse.move(*on_paper(page, [(0.8, 0.8)])[0])
    page.mouse.up()
    assert status(page) == before


def test_a_picture_is_chosen_while_the_pen_of_the_keyboard_is_down(page: Page) -> None:
    page.locator("#paper").focus()
    for key in (" ", "ArrowDown"):
        page.keyboard.press(key)
    choose(page, "seven.png", encoded(seven(), "PNG"))
    assert label(page) == "7"
    page.locator("#paper").focus()
    page.keyboard.press("ArrowDown")
    assert label(page) == "7"
    assert page.locator("#seen").get_attribute("aria-label") == "What the model saw of 7"
    page.keyboard.press("Escape")
    assert page.locator("#seen").get_attribute("aria-label") == "What the model saw"


def test_a_browser_that_lacks_something_says_so(browser: Browser, path: Path) -> None:
    context = browser.new_context(offline=True)
    without = context.new_page()
    without.add_init_script("delete globalThis.WebAssembly")
    without.goto(path.resolve().as_uri())
    expect(without.locator("#status")).to_have_text("This browser can't run WebAssembly: open the page in another one.")
    assert without.locator("#prove").is_disabled()
    full = context.new_page()
    full.add_init_script("WebAssembly.instantiate = () => Promise.reject(new RangeError('out of memory'))")
    full.goto(path.resolve().as_uri())
    expect(full.locator("#status")).to_have_text("The model can't be loaded: out of memory")
    old = context.new_page()
    old.add_init_script("delete globalThis.DecompressionStream")
    old.goto(path.resolve().as_uri())
    old.click("#prove")
    expect(old.locator("#verdict")).to_have_text(
        re.compile("It can't be checked in this browser: .*DecompressionStream")
    )
    context.close()


def test_it_can_be_used_with_the_keyboard_alone(page: Page) -> None:
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "paper":
            break
    for key in (*["ArrowUp"] * 10, " ", *["ArrowDown"] * 20, " "):
        page.keyboard.press(key)
    assert label(page) == "1"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "undo"
    page.keyboard.press("Enter")
    assert status(page) == "Nothing to read yet."
    page.locator("#prove").focus()
    page.keyboard.press("Enter")
    wait_until(page, lambda: page.locator("#verdict").inner_text() == "25 of 25 test vectors passed.")
    focused = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        focused.add(page.evaluate("document.activeElement.id || document.activeElement.tagName.toLowerCase()"))
    assert focused >= {"choose", "camera", "vectors", "summary"}


def test_the_window_may_change_while_somebody_draws(browser: Browser, path: Path) -> None:
    with opened(browser, path, viewport=WIDE) as page:
        first, second = STROKES[4]
        draw(page, placed(first))
        page.set_viewport_size(ViewportSize(width=740, height=360))
        page.locator("#paper").scroll_into_view_if_needed()
        page.set_viewport_size(NARROW)
        draw(page, placed(second))
        assert label(page) == "4"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def choose(page: Page, name: str, data: bytes, kind: str = "image/png") -> None:
    """Choose a file, and wait until the page has said something of it."""
    page.evaluate("document.getElementById('status').textContent = 'waiting'")
    page.set_input_files("#file", files=[FilePayload(name=name, mimeType=kind, buffer=data)])
    wait_until(page, lambda: status(page) != "waiting")


def encoded(picture: Image.Image, kind: str, **settings: Any) -> bytes:  # noqa: ANN401
    data = io.BytesIO()
    picture.save(data, kind, **settings)
    return data.getvalue()


def seven(side: int = 300) -> Image.Image:
    return Image.open(ROOT / "examples" / "seven.png").convert("L").resize((side, side))


def exif_of(orientation: int, order: str = "<") -> bytes:
    """Return EXIF data that give an orientation, in either order of bytes, behind the name of a camera."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    fields = struct.pack(f"{order}IHHHI4sHHIHHI", 8, 2, 0x0110, 2, 4, b"abc\0", 0x0112, 3, 1, orientation, 0, 0)
    return start + fields


def exif_with(*fields: tuple[int, int, int]) -> bytes:
    """Return EXIF data of these orientations, each a kind of number, how many there are, and the number."""
    entries = [struct.pack("<HHIi", 0x0112, *field) for field in fields]
    return struct.pack("<4sIH", b"II*\0", 8, len(fields)) + b"".join(entries) + bytes(4)


def turned(picture: Image.Image, kind: str = "JPEG", **settings: Any) -> bytes:  # noqa: ANN401
    """Return a picture as a file that lies on its side and says so in its EXIF data."""
    exif = exif_of(6) if kind == "PNG" else b"Exif\0\0" + exif_of(6)
    return encoded(picture.rotate(90, expand=True), kind, exif=exif, **settings)


def transparent(picture: Image.Image) -> bytes:
    """Return the ink of a picture, on nothing."""
    ink = np.asarray(picture.convert("L"))
    layers = [np.zeros_like(ink)] * 3
    return encoded(Image.fromarray(np.dstack([*layers, 255 - ink])), "PNG")


def test_files_are_read_as_python_reads_them(page: Page, path: Path) -> None:
    recognizer = Recognizer(path)
    large = Image.new("L", (4000, 3000), 235)
    large.paste(seven(700), (1500, 1200))
    examples = [file.read_bytes() for file in sorted((ROOT / "examples").glob("*.*g"))]
    files = [
        *examples,
        turned(seven(), quality=95),
        turned(seven(), "PNG"),
        encoded(seven(), "WEBP", exif=exif_of(1), lossless=True),
        transparent(seven()),
        encoded(large, "PNG"),
        encoded(large.convert("RGB"), "JPEG", quality=90),
        encoded(seven(28), "BMP"),
        encoded(seven(), "GIF"),
        encoded(seven(), "WEBP", lossless=True),
        encoded(seven().convert("RGBA"), "PNG"),
        encoded(Image.new("L", (90, 60), 200), "PNG"),
    ]
    for number, data in enumerate(files):
        kind = Image.open(io.BytesIO(data)).get_format_mimetype() or ""
        choose(page, f"{number}", data, kind)
        expected = recognizer.predict(data)
        assert label(page) == (expected.label or "–"), number
        if expected.confidence is None:
            assert status(page) == "No digit."
        else:
            assert status(page).startswith(f"{expected.label} – {'sure' if expected.status == 'ok' else 'not sure'}")
            shown = float(re.findall(r"(\d+\.\d) %", status(page))[0])
            assert shown == pytest.approx(100 * expected.confidence, abs=2.0)  # decoders of JPEG differ in a step


READ = """async ([text, type]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const answer = await mnistEdge.readFile(new Blob([bytes], { type }));
  return { status: answer.status, label: answer.label ?? null, image: Array.from(answer.image ?? []) };
}"""


def as_on_the_page(page: Page, data: bytes, kind: str) -> dict[str, Any]:
    """Return what the page says of a file to a script."""
    found: dict[str, Any] = page.evaluate(READ, [base64.b64encode(data).decode(), kind])
    return found


def as_in_python(recognizer: Recognizer, data: bytes) -> dict[str, Any]:
    """Return what the runner says of it, in the same form."""
    seen = recognizer.inspect(data)
    assert seen.preprocessing is not None
    image = np.rint(255 * seen.preprocessing.tensor).ravel().astype(int).tolist()
    return {"status": str(seen.prediction.status), "label": seen.prediction.label, "image": image}


def test_opaque_pictures_with_alpha_give_the_image_that_python_sees(page: Page, path: Path) -> None:
    """Large enough to be reduced, where alpha would change the mean of the colors."""
    generator = np.random.default_rng(6)
    colors = np.asarray(seven(1_000))[..., np.newaxis] * (0.9, 0.6, 0.8) + generator.uniform(0, 25, (1_000, 1_000, 3))
    for mode in ("RGB", "RGBA"):
        data = encoded(Image.fromarray(colors.astype(np.uint8)).convert(mode), "PNG", compress_level=1)
        assert as_on_the_page(page, data, "image/png") == as_in_python(Recognizer(path), data)


SLOW = """() => {
  const decode = createImageBitmap;
  globalThis.createImageBitmap = async (blob, options) => {
    if (blob.name.startsWith("slow")) {
      await new Promise((resolve) => { globalThis.goOn = resolve; });
    }
    return decode(blob, options);
  };
}"""

READ_SLOWLY = """([text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  mnistEdge.readFile(new File([bytes], "slow.png")).then(({ label }) => { globalThis.found = label; });
}"""


def press_escape(page: Page) -> None:
    page.keyboard.press("Escape")


def choose_another(page: Page) -> None:
    choose(page, "blank.png", encoded(Image.new("L", (90, 60), 200), "PNG"))


def draw_a_one(page: Page) -> None:
    draw(page, placed(STROKES[1][0]))


def take_back(page: Page) -> None:
    page.keyboard.press("Control+z")


def use_the_camera(page: Page) -> None:
    page.click("#camera")
    wait_until(page, lambda: "choose a picture instead" in status(page))


@pytest.mark.parametrize("go_on", [press_escape, choose_another, draw_a_one, take_back, use_the_camera])
def test_a_file_that_is_read_slowly_takes_the_place_of_nothing_later(page: Page, go_on: Callable[[Page], None]) -> None:
    draw_a_one(page)
    page.evaluate(SLOW)
    page.evaluate(READ_SLOWLY, [base64.b64encode(encoded(seven(), "PNG")).decode()])
    wait_until(page, lambda: page.evaluate("Boolean(globalThis.goOn)"))
    go_on(page)
    before = label(page), status(page)
    page.evaluate("goOn()")
    wait_until(page, lambda: page.evaluate("globalThis.found") == "7")  # the script that asked has its answer
    assert (label(page), status(page)) == before


def test_a_slow_file_that_can_not_be_read_is_not_said_later(page: Page) -> None:
    page.evaluate(SLOW)
    page.set_input_files("#file", files=[FilePayload(name="slow.png", mimeType="image/png", buffer=b"three")])
    wait_until(page, lambda: page.evaluate("Boolean(globalThis.goOn)"))
    draw_a_one(page)
    before = status(page)
    page.evaluate("goOn()")
    page.wait_for_timeout(200)
    assert (label(page), status(page)) == ("1", before)


def test_what_is_not_a_picture_is_said_in_a_line(page: Page) -> None:
    for name, data, kind in (
        ("notes.txt", b"three", "text/plain"),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "image/png"),
        ("empty.png", b"", "image/png"),
        ("seven.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "image/svg+xml"),
    ):
        draw(page, placed(STROKES[7][0]))
        assert label(page) == "7"
        choose(page, name, data, kind)
        expected = "is not a picture that this browser can read: choose a PNG, JPEG, WebP, GIF or BMP."
        assert status(page) == f"“{name}” {expected}"
        assert label(page) == "–"


def webp(exif: bytes, **settings: Any) -> bytes:  # noqa: ANN401
    return encoded(seven(), "WEBP", exif=exif, **{"lossless": True, **settings})


def without_flag(data: bytes) -> bytes:
    """Return a WebP whose header does not say that it has EXIF data."""
    return data[:20] + bytes([data[20] & ~8]) + data[21:]


def behind_the_end(data: bytes) -> bytes:
    """Return a WebP whose EXIF data, its last chunk, lie behind the end that the file states."""
    return data[:4] + struct.pack("<I", data.rindex(b"EXIF") - 8) + data[8:]


def with_another(data: bytes, exif: bytes) -> bytes:
    """Return a WebP with one more chunk of EXIF data, of an even length."""
    whole = data + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


TURNED_WEBP = {
    "lossless": webp(exif_of(3)),
    "lossy": webp(exif_of(8), lossless=False),
    "behind a name": webp(b"Exif\0\0" + exif_of(6)),
    "behind two names": webp(2 * b"Exif\0\0" + exif_of(6)),
    "with the first byte first": webp(exif_of(5, ">")),
    "behind a profile of odd length": webp(exif_of(2), icc_profile=bytes(129)),
    "as a long number": webp(exif_with((4, 1, 6))),
    "as a short number with a sign": webp(exif_with((8, 1, 6))),
    "as a long number with a sign": webp(exif_with((9, 1, 6))),
    "after upright": webp(exif_with((3, 1, 1), (3, 1, 6))),
    "before one that is of another kind": webp(exif_with((3, 1, 6), (2, 1, 1))),
    "before one that is not a single number": webp(exif_with((3, 1, 6), (3, 2, 1))),
    "before other EXIF data": with_another(webp(exif_of(6)), exif_of(1)),
}

UPRIGHT_WEBP = {
    **{f"EXIF data of {exif[:12]!r}": webp(exif) for exif in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"x" * 90)},
    "a truncated field": webp(exif_of(6)[:33]),
    "an orientation that does not exist": webp(exif_of(9)),
    "a negative one": webp(exif_with((8, 1, -6))),
    "no number": webp(exif_with((3, 0, 6))),
    "two numbers": webp(exif_with((3, 2, 6))),
    "a byte": webp(exif_with((1, 1, 6))),
    "upright after turned": webp(exif_with((3, 1, 6), (3, 1, 1))),
    "a header without EXIF data": without_flag(webp(exif_of(6))),
    "EXIF data behind the end": behind_the_end(webp(exif_of(6))),
    "other EXIF data after upright": with_another(webp(exif_of(1)), exif_of(6)),
}


@pytest.mark.parametrize("case", TURNED_WEBP)
def test_a_webp_that_is_turned_by_its_exif_data_is_refused(page: Page, case: str) -> None:
    """Chromium does not turn it: a 6 would be a 9, and sure."""
    with Image.open(io.BytesIO(TURNED_WEBP[case])) as written:
        assert orientation_of(written) in range(2, 9)
    choose(page, "a.webp", TURNED_WEBP[case], "image/webp")
    assert status(page) == "“a.webp” is a WebP that is turned by its EXIF data: save it as PNG or JPEG."
    assert label(page) == "–"


@pytest.mark.parametrize("case", UPRIGHT_WEBP)
def test_a_webp_whose_exif_data_do_not_turn_it_is_read(page: Page, path: Path, case: str) -> None:
    data = UPRIGHT_WEBP[case]
    assert as_on_the_page(page, data, "image/webp") == as_in_python(Recognizer(path), data)


def test_16_bits_are_read_as_in_python_or_refused(page: Page, path: Path) -> None:
    """A canvas keeps the upper 8 of them, in which 12 bits of a camera are nearly black; Python stretches the gray."""
    gray = np.asarray(seven()).astype(np.uint16) * 16
    choose(page, "a.png", encoded(Image.fromarray(gray), "PNG"))
    assert status(page) == "“a.png” has 16 bits of gray, of which a browser keeps 8: save it with 8 bits."
    samples = np.repeat(gray[..., np.newaxis] * 15, 3, axis=2).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 300, 300, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = [struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in parts]
    colors = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    assert as_on_the_page(page, colors, "image/png") == as_in_python(Recognizer(path), colors)


def test_an_animated_png_is_read_as_in_python_or_refused(page: Page, path: Path) -> None:
    """Chromium shows the first frame of the animation, which the picture that others show need not be part of."""
    turned_back = seven().transpose(Image.Transpose.ROTATE_180)
    settings: dict[str, Any] = {"save_all": True, "append_images": [turned_back]}
    first = encoded(seven(), "PNG", **settings)
    assert as_on_the_page(page, first, "image/png") == as_in_python(Recognizer(path), first)
    choose(page, "a.png", encoded(seven(), "PNG", default_image=True, **settings))
    assert status(page) == "“a.png” is an animation that begins with another picture: save the one that is meant."
    assert label(page) == "–"


def test_a_picture_that_is_too_long_is_said_in_a_line(page: Page) -> None:
    choose(page, "long.png", encoded(Image.new("L", (32_768, 1)), "PNG"))
    assert "a side of more than 32767 pixels" in status(page)


def test_several_digits_are_not_sure(page: Page) -> None:
    both = Image.new("L", (700, 300), 255)
    both.paste(seven(), (20, 0))
    both.paste(seven(), (380, 0))
    choose(page, "77.png", encoded(both, "PNG"))
    assert "not sure" in status(page)
    assert status(page).endswith(": there is more than one digit")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(page: Page, event: str) -> None:
    page.evaluate(
        """([event, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
          const made = event === "drop"
            ? new DragEvent(event, { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent(event, { clipboardData: data, bubbles: true, cancelable: true });
          document.body.dispatchEvent(made);
        }""",
        [event, list(encoded(seven(), "PNG"))],
    )
    wait_until(page, lambda: label(page) == "7")
    page.click("#undo")
    assert status(page) == "Nothing to read yet."


def film(picture: Image.Image, file: Path) -> Path:
    """Write a film of one gray picture as YUV4MPEG2, for the browser's fake camera."""
    width, height = picture.size
    frame = b"FRAME\n" + picture.tobytes() + bytes([128]) * (width * height // 2)
    file.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode() + 5 * frame)
    return file


def test_the_camera_is_read(playwright: Playwright, path: Path, tmp_path: Path) -> None:
    scene = Image.new("L", (640, 480), 210)
    scene.paste(seven(), (170, 90))
    file = film(scene, tmp_path / "seven.y4m")
    with (
        chromium(playwright, *CAMERA, f"--use-file-for-fake-video-capture={file}") as browser,
        opened(browser, path, permissions=["camera"]) as page,
    ):
        page.click("#camera")
        wait_until(page, lambda: label(page) == "7")
        assert page.locator("#camera").get_attribute("aria-pressed") == "true"
        page.click("#camera")
        assert page.locator("#camera").get_attribute("aria-pressed") == "false"
        assert page.locator("#video").is_hidden()
        assert label(page) == "7"  # the last picture stays
        draw(page, placed(STROKES[1][0]))
        assert label(page) == "1"
        page.evaluate("document.getElementById('camera').click(); document.getElementById('camera').click()")
        page.wait_for_timeout(500)
        assert page.locator("#camera").get_attribute("aria-pressed") == "false"
        assert page.evaluate("document.getElementById('video').srcObject") is None
        assert label(page) == "1"


def test_without_a_camera_there_is_a_line(page: Page) -> None:
    page.click("#camera")
    wait_until(page, lambda: "choose a picture instead" in status(page))
    assert page.locator("#camera").get_attribute("aria-pressed") == "false"


def test_the_proof_is_shown_in_the_page(page: Page) -> None:
    page.click("#prove")
    page.wait_for_selector("#rows tr")
    assert page.locator("#rows tr").count() == 25
    assert set(page.locator("#rows td:last-child").all_inner_texts()) == {"passed"}
    assert set(page.locator("#rows td:nth-child(4)").all_inner_texts()) == {"0"}
    assert re.search(r"answers 99\.\d\d % of 10,000 test images", page.locator("#claim").inner_text())
    for summary in page.locator("main summary").all():
        summary.click()
    figures = page.locator("#figures").inner_text()
    for name in ("Accuracy", "Same answers", "Checkpoint (SHA-256)", "Checksum of this file", "License"):
        assert name in figures
    assert '"preprocessing": "mnist/3"' in page.locator("#contract").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["phone", "desktop"])
def test_nothing_stands_in_the_way_of_anybody(browser: Browser, path: Path, scheme: Any, viewport: Any) -> None:  # noqa: ANN401
    """axe-core's rules, among them contrast, names and the order of headings."""
    with opened(browser, path, color_scheme=scheme, viewport=viewport, bypass_csp=True) as page:
        for stroke in STROKES[3]:
            draw(page, placed(stroke))
        page.click("#prove")
        page.wait_for_selector("#rows tr")
        for summary in page.locator("main summary").all():
            summary.click()
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["impact"], [node["html"] for node in each["nodes"]][:3]) for each in found] == []


def test_the_module_alone_reads_in_a_page_of_ones_own(
    browser: Browser, exported: list[Artifact], tmp_path: Path
) -> None:
    (folder,) = (each.path for each in exported if each.path.name == "mnist-mlp-int8.web")
    shutil.copytree(folder, tmp_path / "digits.web")
    (tmp_path / "index.html").write_text(
        """<!doctype html><canvas id="canvas" width="200" height="200"></canvas><script type="module">
        import { load } from "./digits.web/index.mjs";
        const context = document.getElementById("canvas").getContext("2d");
        context.fillStyle = "white";
        context.fillRect(0, 0, 200, 200);
        context.fillStyle = "black";
        context.fillRect(90, 30, 16, 140);
        const model = await load();
        const answer = model.predict(context.getImageData(0, 0, 200, 200).data, 200, 200);
        document.body.dataset.answer = `${answer.status} ${answer.label} ${model.selfTest()}`;
        </script>"""
    )
    with serving(tmp_path) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("body[data-answer]")
        assert page.locator("body").get_attribute("data-answer") == "ok 1 0"
        page.close()


def test_the_readmes_picture_can_be_drawn_again(playwright: Playwright, tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "draw_page.py"))
    script["draw"](playwright, tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as drawn, Image.open(ROOT / "docs" / "page.png") as shown:
        assert drawn.size == shown.size
        difference = np.abs(np.asarray(drawn).astype(int) - np.asarray(shown.convert("RGB")).astype(int))
        assert difference.mean() < 12  # the fonts are those of the machine


def test_a_model_of_color_pictures_with_many_labels(browser: Browser, tmp_path: Path) -> None:
    model, images = made("many labels")
    settings = {"label": "kind of thing ", "preprocessing": "resize/1", "polarity": "as-pictured"}
    (bundle,) = export(model, [request_for(model, images, quantized=True, **settings)])
    path = tmp_path / "things.html"
    path.write_bytes(bundle.with_checksum().data)
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    with opened(browser, path, viewport=NARROW) as page:
        assert page.locator("h1").inner_text() == "Draw or choose a picture"
        choose(page, "a.png", encoded(picture, "PNG"))
        expected = Recognizer(path).predict(picture)
        assert label(page) == expected.label
        assert page.locator("#bars tr").count() == 12
        best = page.locator("#bars tr").first.locator("th").inner_text()
        assert best == expected.label
        row = page.locator("#bars tr").first.bounding_box()
        assert row is not None
        assert row["height"] < 40  # one line, however long a label is
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
