"""The project's pages: links lead somewhere, and what is said twice is said the same."""

import re
import tomllib
from pathlib import Path

import pytest

from mnist_edge import __version__
from mnist_edge.artifact import contract, manifest, test_vectors
from mnist_edge.cli import COMMANDS
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.c.targets import TARGETS
from mnist_edge.formats.registry import FORMATS
from mnist_edge.training import checkpoint
from tests.conftest import ROOT

PAGES = sorted(page for folder in (".", "docs", "data", "exports", "release") for page in (ROOT / folder).glob("*.md"))


def links_of(page: str) -> list[str]:
    """Return the targets of links and pictures that are not on the web."""
    outside_code = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", outside_code) if "://" not in target]


def anchors_of(page: str) -> set[str]:
    """Return what the headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in links_of(text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), link


def test_the_pictures_of_the_readme_are_shown_on_an_index_too() -> None:
    """There, a page has no files beside it: addresses are whole, of files that the main branch has."""
    homepage = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
    raw = homepage.replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert pictures
    for address in pictures:
        assert address.startswith(raw)
        assert (ROOT / address.removeprefix(raw)).is_file(), address


def test_the_readme_shows_every_room_of_the_package() -> None:
    rooms = {path.parent.name for path in (ROOT / "mnist_edge").glob("*/__init__.py")} | {"models"}
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("\nmnist_edge/ ")[1].split("```")[0]
    assert set(re.findall(r"^[├└]── (\w+)/", tree, re.MULTILINE)) == rooms


def test_the_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [__version__]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[:2] == ["Unreleased", __version__]


def test_the_changelog_names_the_versions_of_the_files() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (said,) = re.findall(
        r"contracts are of version (\d+), checkpoints of version (\d+), test vectors and\s+manifests of version (\d+)",
        changelog,
    )
    assert test_vectors.VERSION == manifest.VERSION
    assert tuple(map(int, said)) == (contract.VERSION, checkpoint.VERSION, manifest.VERSION)


@pytest.mark.parametrize("spec", FORMATS.values(), ids=lambda spec: spec.name)
def test_what_a_file_of_each_format_can_do_is_written_down(spec: FormatSpec) -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("|") and f"`{spec.suffix}`" in row.split("|")[1]]
    rows = [row for row in rows if "| `import` |" not in row]  # weights of others, which have the suffix of TorchScript
    runner = ROOT.joinpath(*spec.module.split("."), "runner.py").read_text(encoding="utf-8")
    assert len(rows) == 1
    assert ("(#the-sandbox)" in rows[0]) == ("from mnist_edge.sandbox.client import" in runner)


def test_the_code_of_every_check_is_explained() -> None:
    making = r'\b(?:Check|as_expected|not_available)\(\s*(?:code=)?f?"([^"]+)"|\bcode, title = f?"([^"]+)"'
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "mnist_edge" / "parity").glob("*.py")]
    made = {re.sub(r"{.*", "", code or other) for text in sources for code, other in re.findall(making, text)}
    table = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split("| code of a check |")[1].split("\n\n")[0]
    explained = {code for row in table.splitlines() for code in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
    assert {"batch_", "target_", "browser_page", "figures"} <= made
    for code in made:
        assert any(name.startswith(code) if code.endswith("_") else name == code for name in explained), code
    for name in explained:
        assert any(name.startswith(code) if code.endswith("_") else name == code for code in made), name


def test_what_each_command_needs_is_written_down() -> None:
    page = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    rows = page.split("| command | extra |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert sorted(name for names, _ in cells for name in re.findall(r"`([^`]+)`", names)) == sorted(COMMANDS)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {name for _, needs in cells for name in re.findall(r"`(\w+)`", needs)}
    assert named <= set(extras)


def test_the_names_of_the_emulated_devices_are_written_down() -> None:
    page = (ROOT / "docs" / "microcontrollers.md").read_text(encoding="utf-8")
    of_headers, of_others = " ".join(page.split()).split("For C headers the names are,")[1].split(";", 1)
    assert tuple(re.findall(r"`([^`]+)`", of_headers)) == FORMATS["c"].targets
    others = {spec.targets for spec in FORMATS.values() if spec.targets and spec.name != "c"}
    assert others == {tuple(re.findall(r"`([^`]+)`", of_others.split(". ")[0]))}
    for spec in FORMATS.values():
        assert spec.targets in ((), FORMATS["c"].targets) or spec.name in of_others.split(". ")[0].lower()
    table = page.split("<!-- targets -->")[1].split("\n\n")[1]
    assert re.findall(r"^\| ([^|]+) \| [\d,]+ of", table, re.MULTILINE) == [target.title for target in TARGETS.values()]


def test_ci_runs_what_contributors_run() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.search(r"^ +run: make test CONSTRAINTS=", workflow, re.MULTILINE)
    for constraints in set(re.findall(r"constraints\S*\.txt", workflow)):
        assert (ROOT / constraints).exists()
