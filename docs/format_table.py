"""The README's table of formats, made from the registry of formats.

It is printed, or with `--write` written into README.md; `make format-table` does the latter.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- formats -->", "<!-- /formats -->"
HEADER = ("format", "artifact", "precisions", "runs on", "install to export", "install to run")


def table() -> str:
    """Return the formats as a Markdown table, a row each, without a line break at its end."""
    rows = [HEADER, ("---",) * len(HEADER), *map(row, FORMATS.values())]
    return "\n".join(f"|{'|'.join(_cells(cells))}|" for cells in rows)


def row(spec: FormatSpec) -> tuple[str, ...]:
    """Return the cells of a format."""
    return (
        f"`{spec.name}`",
        f"`*{spec.suffix}`" + (", a folder" if spec.folder else ""),
        ", ".join(spec.precisions),
        spec.runs_on,
        install(spec.export_extra, spec.tools),
        install(spec.run_extra, spec.tools),
    )


def install(extra: str | None, tools: Sequence[str]) -> str:
    """Return what pip installs for a format, and the programs that it needs beside that."""
    return " and ".join([f"`mnist-edge[{extra}]`" if extra else "`mnist-edge`", *tools])


def with_table(page: str) -> str:
    """Return a page with the table between its two markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _cells(cells: Sequence[str]) -> list[str]:
    return [cell if cell == "---" else f" {cell} " for cell in cells]


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
