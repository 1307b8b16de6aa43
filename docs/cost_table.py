"""Tables of what each format costs and gives, made from what `mnist-edge benchmark` measured on the built-in models.

They are printed, or with `--write` written into README.md and docs/choosing.md; `make costs` does the latter.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from readme_blocks import README, markdown_table, write_blocks

from mnist_edge.formats.registry import FORMATS
from mnist_edge.percent import percent_down

MEASURED = Path(__file__).parent.parent / "release" / "benchmark.json"
"""What `mnist-edge benchmark --json` printed."""

CHOOSING = Path(__file__).parent / "choosing.md"

HEADER = ("file", "bytes", "answers kept", "accuracy", "first answer", "one image", "memory", "runtime")
BRIEF_HEADER = ("format", "file", "answers kept", "first answer", "one image", "memory", "what runs it")

Row = Mapping[str, Any]


def rows() -> list[Row]:
    """Return what was measured of each file."""
    costs: list[Row] = json.loads(MEASURED.read_text(encoding="utf-8"))["costs"]
    return costs


def full_table(architecture: str) -> str:
    """Return a row for each file of an architecture, as Markdown."""
    found = [row for row in rows() if Path(row["file"]).name.startswith(f"mnist-{architecture}")]
    return markdown_table(HEADER, map(_cells, found))


def brief_table() -> str:
    """Return a row for each format, with its file of the built-in MLP in int8, or else what it has, as Markdown."""
    found = [row for row in rows() if Path(row["file"]).name.startswith("mnist-mlp")]
    return markdown_table(BRIEF_HEADER, (_brief(name, found) for name in FORMATS))


def machine() -> str:
    """Return what it was measured on, in a sentence."""
    report = json.loads(MEASURED.read_text(encoding="utf-8"))
    here = report["machine"]
    return (
        f"Measured on {here['processor']}, {here['cores']} cores, {here['system']} on {here['architecture']}, Python "
        f"{here['python']}: one thread, each file in processes of its own, in turns, medians of {report['rounds']} "
        "rounds."
    )


def _brief(name: str, found: Iterable[Row]) -> tuple[str, ...]:
    files = {row["precision"]: row for row in found if row["format"] == name}
    shown = next(files[precision] for precision in ("int8", "fp16", "fp32") if precision in files)
    cells = dict(zip(HEADER, _cells(shown), strict=True))
    size = f"{shown['bytes'] / 1000:,.0f} kB ({shown['precision']})"
    return (f"`{name}`", size, *(cells[column] for column in BRIEF_HEADER[2:-1]), cells["runtime"])


def _cells(row: Row) -> tuple[str, ...]:
    answers = row["answers"]
    low, high = answers["interval_95"]
    return (
        f"`{Path(row['file']).name}`",
        f"{row['bytes']:,}",
        f"{percent_down(answers['agreement'])}%",
        f"{answers['accuracy']:.2%} ({low:.2%} – {high:.2%})",
        _time(row["cold_start_seconds"]["median"]),
        _time(row["latency_seconds"]["median"]),
        f"{row['peak_memory_bytes']['median'] / 1e6:,.0f} MB",
        f"{row['runtime_bytes'] / 1e6:,.0f} MB" if row["runtime_bytes"] else "nothing",
    )


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:,.1f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.1 else f"{seconds:,.2f} s"


def blocks() -> dict[Path, list[tuple[str, str]]]:
    """Return what stands between markers, by page."""
    return {
        README: [("costs", f"{brief_table()}\n\n{machine()}")],
        CHOOSING: [("costs-mlp", full_table("mlp")), ("costs-cnn", full_table("cnn")), ("machine", machine())],
    }


if __name__ == "__main__":
    for path, contents in blocks().items():
        if "--write" in sys.argv[1:]:
            write_blocks(contents, path)
        else:
            print("\n\n".join(content for _, content in contents))
