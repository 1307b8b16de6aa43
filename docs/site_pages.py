"""The site's pages that are not in docs/: the README, the pages beside it, the model cards and the API reference.

mkdocs calls the `on_` functions (`hooks` in mkdocs.yml). Each page stays where GitHub shows it, with links that work
there; on the way into the site, links are turned to where the pages are in it, and to the repository for the rest.
"""

import ast
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/mnist-edge/mnist-edge"
RAW = "https://raw.githubusercontent.com/mnist-edge/mnist-edge/main/"

ELSEWHERE = {
    "index.md": "README.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "mnist-mlp.md": "release/mnist-mlp.md",
    "mnist-cnn.md": "release/mnist-cnn.md",
}
"""The pages that are not in docs/, by their path in the site."""

_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_CODE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - by name
    """Turn the links of a page, but not what looks like links in its code."""
    path = page.file.src_uri
    source = ELSEWHERE.get(path, f"docs/{path}")
    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(lambda link: in_site(link[0], source), part) for part in parts[::2]]
    return "".join(parts)


def in_site(link: str, source: str) -> str:
    """Return where a link of the file `source` leads, seen from any page, all of which are in one folder."""
    if link.startswith(RAW):
        return in_site(posixpath.relpath(link.removeprefix(RAW), posixpath.dirname(source) or "."), source)
    if "://" in link or link.startswith("#"):
        return link
    target, hash_, anchor = link.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    pages = {file: page for page, file in ELSEWHERE.items()}
    if path in pages:
        return pages[path] + hash_ + anchor
    if path.startswith("docs/"):
        return path.removeprefix("docs/") + hash_ + anchor
    return f"{REPOSITORY}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}{hash_}{anchor}"


def reference() -> str:
    """Return the API reference: a directive for each public name, which mkdocstrings replaces by its docstrings."""
    names = "\n\n".join(f"::: {module}.{name}" for name, module in sorted(public_names().items(), key=_by_kind))
    about = "What `import mnist_edge` offers, from the docstrings. [The Python API](api.md) shows it in use."
    return f"# Reference\n\n{about}\n\n{names}\n"


def public_names() -> dict[str, str]:
    """Return the modules that the public names of `mnist_edge` come from, without importing any."""
    tree = ast.parse((ROOT / "mnist_edge" / "__init__.py").read_text(encoding="utf-8"))
    return {
        name.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
        if name.name != "TYPE_CHECKING"
    }


def _by_kind(entry: tuple[str, str]) -> tuple[bool, str]:
    return entry[0][0].isupper(), entry[0]
