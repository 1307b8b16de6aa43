"""What long commands say of themselves, and where they say nothing."""

import sys

import pytest

from mnist_edge.cli.progress import steps
from mnist_edge.parity.steps import nothing, of_file
from tests.cli.test_output import Stream


def sent(patch: pytest.MonkeyPatch, *, terminal: bool = True, **environment: str) -> bytes:
    """Return what stderr is sent while two steps are done."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        patch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm-256color", "COLUMNS": "80"} | environment).items():
        patch.setenv(name, value)
    stderr, stdout = Stream("ascii", terminal=terminal), Stream("ascii")
    patch.setattr(sys, "stderr", stderr)
    patch.setattr(sys, "stdout", stdout)
    with steps() as on_step:
        of_file("a\x1b[2J\n.onnx", on_step)("answers at batch 1")
        on_step("Δ" + "x" * 200)
    assert stdout.written() == b""
    return stderr.written()


def test_a_terminal_is_told_each_step_on_one_line_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written = sent(monkeypatch)
    assert b"0:00:00" in written
    assert b"\x1b[2J" not in written
    assert b"\n.onnx" not in written
    assert written.endswith(b"\x1b[2K")


@pytest.mark.parametrize(
    "options", [{"terminal": False}, {"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["pipe", "dumb", "no color"]
)
def test_anything_else_is_told_nothing(options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert sent(monkeypatch, **options) == b""  # type: ignore[arg-type]
    nothing("step")
