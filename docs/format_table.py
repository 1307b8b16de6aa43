"""The README's table of formats, made from the registry of formats.

It is printed, or with `--write` written into README.md; `make format-table` does the latter.
"""

import sys

from readme_blocks import markdown_table, write_blocks

from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS

HEADER = ("format", "artifact", "precisions", "runs on", "install to export", "install to run")


def table() -> str:
    """Return the formats as a Markdown table, a row each, without a line break at its end."""
    return markdown_table(HEADER, map(row, FORMATS.values()))


def row(spec: FormatSpec) -> tuple[str, ...]:
    """Return the cells of a format."""
    return (
        f"`{spec.name}`",
        f"`*{spec.suffix}`" + (", a folder" if spec.folder else ""),
        ", ".join(spec.precisions),
        spec.runs_on,
        install(spec.export_extra),
        install(spec.run_extra),
    )


def install(extra: str | None) -> str:
    """Return what pip installs for a format."""
    return f"`mnist-edge[{extra}]`" if extra else "`mnist-edge`"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write_blocks([("formats", table())])
    else:
        print(table())
