"""Parts of pages that are generated: each stands between `<!-- name -->` and `<!-- /name -->`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, without a line break at its end."""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(header)}", *lines[1:]])


def with_block(page: str, name: str, content: str) -> str:
    """Return a page with the content between the two markers of a block.

    Raises:
        ValueError: the page does not have both markers, once each.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"expected {begin} and {end} once each")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def write_blocks(blocks: Iterable[tuple[str, str]], path: Path = README) -> None:
    """Write contents into a page, each between the markers of its name."""
    page = path.read_text(encoding="utf-8")
    for name, content in blocks:
        page = with_block(page, name, content)
    path.write_text(page, encoding="utf-8")
