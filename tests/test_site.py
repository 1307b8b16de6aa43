"""The pages as a site: it is built without a warning, and loads nothing from elsewhere."""

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import mnist_edge
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """Collects what a page loads, what it can be linked by, and its text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.words: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors.add(found.get("id", ""))
        if "src" in found:
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") != "canonical":
            self.loads.append(found["href"])

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def test_every_page_is_in_it_and_loads_only_what_is_in_it(site: Path) -> None:
    names = {page.stem for page in (ROOT / "docs").glob("*.md")}
    names |= {"index", "reference", "CONTRIBUTING", "SECURITY", "CHANGELOG", "mnist-mlp", "mnist-cnn"}
    assert {page.stem for page in site.glob("*.html")} == names | {"404"}
    for page in site.glob("*.html"):
        loads = Page(page).loads
        assert [address for address in loads if "://" in address or address.startswith("//")] == []
        assert all((site / address.lstrip("/").split("?")[0]).exists() for address in loads if page.stem != "404"), page
    styles = " ".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert re.findall(r"url\([\"']?https?:", styles) == []
    assert not [path for path in site.rglob("*") if path.suffix in (".py", ".jinja", ".md")]


def test_the_first_page_is_the_readme_with_its_picture(site: Path) -> None:
    page = Page(site / "index.html")
    assert "proof.png" in page.loads
    assert {"read-digits", "what-to-know"} <= page.anchors


def test_the_reference_has_every_public_name_with_its_docstring(site: Path) -> None:
    page = Page(site / "reference.html")
    pages = runpy.run_path(str(ROOT / "docs" / "site_pages.py"))
    public = set(mnist_edge.__all__) - {"__version__"}
    assert set(pages["public_names"]()) == public
    for name, module in pages["public_names"]().items():
        assert f"{module}.{name}" in page.anchors
    shown = re.sub(r"\s+", " ", " ".join(page.words))
    for name in public:
        summary = (getattr(mnist_edge, name).__doc__ or "").split("\n")[0].split("`")[0].strip()
        assert summary in shown, name


@pytest.mark.parametrize(
    ("link", "source", "expected"),
    [
        ("docs/runner.md#budgets", "README.md", "runner.md#budgets"),
        ("../README.md#the-project", "docs/formats.md", "index.md#the-project"),
        ("../docs/pictures.md", "release/mnist-mlp.md", "pictures.md"),
        ("figures/parity.png", "docs/parity.md", "figures/parity.png"),
        ("data/README.md", "README.md", "https://github.com/mnist-edge/mnist-edge/blob/main/data/README.md"),
        ("release", "README.md", "https://github.com/mnist-edge/mnist-edge/tree/main/release"),
        ("https://raw.githubusercontent.com/mnist-edge/mnist-edge/main/docs/proof.png", "README.md", "proof.png"),
        ("https://example.org/x.md", "README.md", "https://example.org/x.md"),
        ("#here", "docs/parity.md", "#here"),
    ],
)
def test_links_lead_to_where_the_pages_are_in_the_site(link: str, source: str, expected: str) -> None:
    assert runpy.run_path(str(ROOT / "docs" / "site_pages.py"))["in_site"](link, source) == expected
