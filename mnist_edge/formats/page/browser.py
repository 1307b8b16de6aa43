"""A page in headless Chromium, driven by Playwright, which brings no browser of its own."""

import base64
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.browser_run import BrowserAnswer
from mnist_edge.types import Images, Logits

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Programs that are looked for on the PATH."""

MILLISECONDS = 60_000
"""Most time for one step of the page."""

IMAGES_AT_ONCE = 500
PICTURES_AT_ONCE = 50

_READY = "html[data-ready]"

_BYTES = """
  const bytesOf = (text) => {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let index = 0; index < letters.length; index += 1) {
      bytes[index] = letters.charCodeAt(index);
    }
    return bytes;
  };"""

_PREDICT = f"""([text, count]) => {{
  {_BYTES}
  const values = new Float32Array(bytesOf(text).buffer);
  const size = values.length / count;
  const logits = [];
  for (let start = 0; start < values.length; start += size) {{
    logits.push(...mnistEdge.model.run(values.subarray(start, start + size)));
  }}
  return logits;
}}"""

_READ = f"""async (files) => {{
  {_BYTES}
  const answers = [];
  for (const text of files) {{
    const answer = await mnistEdge.readFile(new Blob([bytesOf(text)], {{ type: "image/png" }}));
    answers.push([answer.status, answer.label ?? null, answer.confidence ?? null]);
  }}
  return answers;
}}"""


def browser_on_path() -> Path | None:
    """Return a browser on the PATH, or None."""
    return next((Path(found) for name in BROWSERS if (found := shutil.which(name))), None)


@contextmanager
def open_page(bundle: Bundle, program: Path | None = None) -> Iterator["ChromiumPage"]:
    """Open a page from a file, without a network; see `mnist_edge.formats.browser_run.BrowserModule`."""
    if importlib.util.find_spec("playwright") is None:
        raise UserError("cannot drive a browser: playwright not installed; pip install 'mnist-edge[browser]'")
    from playwright.sync_api import Error, sync_playwright

    found = program or browser_on_path()
    if found is None or not shutil.which(found):
        raise UserError(
            f"there is no browser {found or 'on the PATH'}: install Chromium (apt install chromium), or name a program "
            "that is one with --browser-path"
        )
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        path.write_bytes(bundle.data)
        try:
            browser = playwright.chromium.launch(executable_path=os.fspath(found), timeout=MILLISECONDS)
        except Error as error:
            raise UserError(f"cannot start {found} ({one_line(error)}): expected Chromium or Chrome") from error
        try:
            page = browser.new_context(offline=True).new_page()
            opened = ChromiumPage(page, f"Chromium {browser.version}")
            page.goto(path.as_uri(), timeout=MILLISECONDS)
            page.wait_for_selector(_READY, timeout=MILLISECONDS)
            yield opened
        except Error as error:
            raise ArtifactError(f"the page failed in the browser ({one_line(error)})") from error
        finally:
            browser.close()


class ChromiumPage:
    """A page that is open; see `mnist_edge.formats.browser_run.OpenPage`."""

    def __init__(self, page: "Page", browser: str) -> None:
        """Listen to a page that has not been loaded yet."""
        self.browser = browser
        self._page = page
        self._incidents: list[str] = []
        page.set_default_timeout(MILLISECONDS)
        page.on("console", lambda message: self._note(f"a message on the console: {message.text}"))
        page.on("pageerror", lambda error: self._note(f"an error: {error.message}"))
        page.on("request", lambda request: self._note_request(request.url))

    @property
    def incidents(self) -> tuple[str, ...]:
        """A line for each error, message on the console, or request beside that for the file itself."""
        return tuple(self._incidents)

    def predict(self, images: Images) -> Logits:
        """Return the logits, float32 `[N, classes]`."""
        rows = np.ascontiguousarray(images.transpose(0, 2, 3, 1), "<f4")
        found = [
            self._page.evaluate(_PREDICT, [base64.b64encode(part.tobytes()).decode(), len(part)])
            for part in (rows[start : start + IMAGES_AT_ONCE] for start in range(0, len(rows), IMAGES_AT_ONCE))
        ]
        return np.array([logit for part in found for logit in part], np.float32).reshape(len(images), -1)

    def read(self, pictures: Sequence[bytes]) -> list[BrowserAnswer]:
        """Return the answers to PNG files, each of which is decoded, prepared, answered and shown."""
        answers: list[Any] = []
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            part = [base64.b64encode(data).decode() for data in pictures[start : start + PICTURES_AT_ONCE]]
            answers += self._page.evaluate(_READ, part)
        return [BrowserAnswer(*answer) for answer in answers]

    def failing_test_vectors(self) -> int:
        """Return how many test vectors the page's own table does not show as passed."""
        self._page.click("#prove")
        self._page.wait_for_selector("#rows tr")
        verdicts = self._page.locator("#rows td:last-child").all_inner_texts()
        return sum(verdict != "passed" for verdict in verdicts)

    def _note(self, incident: str) -> None:
        self._incidents.append(incident[:200])

    def _note_request(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self._note(f"a request to {url}")
