"""Pages in headless Chromium, for tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright

from mnist_edge.formats.page.browser import browser_on_path

needs_chromium = pytest.mark.skipif(browser_on_path() is None, reason="chromium is not installed")

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@contextmanager
def chromium(playwright: Playwright, *arguments: str) -> Iterator[Browser]:
    """Start a browser."""
    browser = playwright.chromium.launch(executable_path=str(browser_on_path()), args=arguments)
    yield browser
    browser.close()


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait until something holds; the page's policy lets nobody evaluate a text in it, so it is asked from outside."""
    for _ in range(500):
        if holds():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it never came to hold")


@contextmanager
def opened(browser: Browser, path: Path, **settings: Any) -> Iterator[Page]:  # noqa: ANN401
    """Open a page from its file, offline; fail where anything stands on the console or anything else is asked for."""
    context = browser.new_context(**{"offline": True, "viewport": {"width": 900, "height": 800}, **settings})
    page = context.new_page()
    page.set_default_timeout(20_000)
    incidents: list[str] = []
    page.on("console", lambda message: incidents.append(message.text))
    page.on("pageerror", lambda error: incidents.append(str(error)))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    assert incidents == []
    assert [url for url in requests if not url.startswith("data:")] == [path.resolve().as_uri()]
    context.close()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder, as any static host does, and return its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


Point = tuple[float, float]


def on_paper(page: Page, points: list[Point]) -> list[Point]:
    """Return points of the unit square as points of the window."""
    box = page.locator("#paper").bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page: Page, points: list[Point]) -> None:
    """Draw a stroke with the mouse, through points of the unit square."""
    (first, *others) = on_paper(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point)
    page.mouse.up()


def touch(page: Page, points: list[Point]) -> None:
    """Draw a stroke with a finger."""
    session = page.context.new_cdp_session(page)
    (first, *others) = on_paper(page, points)

    def send(kind: str, at: list[Point]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in at]})

    send("touchStart", [first])
    for point in others:
        send("touchMove", [point])
    send("touchEnd", [])


def status(page: Page) -> str:
    """Return what the page says of the picture."""
    return page.locator("#status").inner_text()


def label(page: Page) -> str:
    """Return the answer, large."""
    return page.locator("#label").inner_text()
