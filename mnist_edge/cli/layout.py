"""Tables on stdout that fit the terminal: the columns come closer, and where that is not enough each row is a text."""

import sys
from collections.abc import Sequence
from io import StringIO
from shutil import get_terminal_size

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mnist_edge.cli.output import encodable, say_rendered, styled
from mnist_edge.text import printable, shorten, wrap

UNBOUNDED_WIDTH = 10_000
"""Columns assumed where stdout is not a terminal, so that nothing is cut or folded."""

_GAPS = (3, 2, 1)
"""Blanks between columns, the widest that fits."""

_NOTHING = ("", "·")
"""Cells that say nothing outside their table."""


class TextTable:
    """A table whose cells are text: nothing in them is markup, or steers the terminal.

    A heading may have several lines, so what is foreign in it has to be `printable` before.

    Attributes:
        line_above: what the table is about, if anything.
        headings: of the columns, the first one of names.
        rows: a list of cells for each row; an empty one is a line between sections.
    """

    def __init__(self, first: str, *headings: str, line_above: str = "") -> None:
        self.line_above = _shown(line_above)
        self.headings = ["\n".join(map(_shown, heading.split("\n"))) for heading in (first, *headings)]
        self.rows: list[list[str]] = []

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append([_shown(cell) for cell in cells])

    def add_section(self) -> None:
        """Draw a line before the next row."""
        self.rows.append([])

    def to_rich(self, gap: int) -> Table:
        """Return it as rich draws it, with `gap` blanks between columns."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))
        for number, heading in enumerate(self.headings):
            table.add_column(Text(heading), justify="right" if number else "left", no_wrap=True)
        for row in self.rows:
            if row:
                table.add_row(*map(Text, row))
            else:
                table.add_section()
        return table

    def gap(self, width: int) -> int | None:
        """Return how many blanks fit between columns of a terminal so wide, or None where it does not fit."""
        console = Console(file=StringIO(), width=UNBOUNDED_WIDTH, height=1)
        return next((gap for gap in _GAPS if console.measure(self.to_rich(gap)).maximum <= width), None)

    def listing(self, width: int) -> list[str]:
        """Return each row as a name and a text of at most `width` columns, as far as its words allow."""
        lines = []
        for first, *cells in filter(None, self.rows):
            said = [
                f"{heading.replace(chr(10), ' ')} {cell}".strip()
                for heading, cell in zip(self.headings[1:], cells, strict=False)
                if cell not in _NOTHING
            ]
            if len(said) == 1 and not self.headings[1]:
                lines += wrap(f"{first}: {said[0]}", width, indent="  ")
            else:
                lines += wrap(first, width, indent="  ") + wrap(f"  {', '.join(said)}", width, indent="  ")
        return lines


def fits(table: TextTable) -> bool:
    """Say whether stdout is wide enough for a table."""
    return table.gap(_width()) is not None


def print_tables(tables: Sequence[TextTable]) -> None:
    """Print tables to stdout, with an empty line between them."""
    width = _width()
    colored = styled(sys.stdout)
    # What the encoding of stdout lacks is replaced at the end; rich would draw the lines of a table differently.
    console = Console(
        file=StringIO(), force_terminal=colored, color_system="auto" if colored else None, width=width, height=1
    )
    with console.capture() as captured:
        for number, table in enumerate(tables):
            if number:
                console.print()
            for line in wrap(table.line_above, width, indent="  ") if table.line_above else []:
                console.print(Text(line), style="italic", soft_wrap=True)
            gap = table.gap(width)
            if gap is None:
                console.print(Text("\n".join(table.listing(width))), soft_wrap=True)
            else:
                console.print(table.to_rich(gap))
    say_rendered("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _width() -> int:
    return get_terminal_size().columns if sys.stdout.isatty() else UNBOUNDED_WIDTH


def _shown(text: str) -> str:
    return encodable(shorten(printable(text)), sys.stdout)
