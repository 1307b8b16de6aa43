import ast
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.cli import COMMANDS, main, output
from mnist_edge.cli.layout import TextTable, print_tables
from mnist_edge.cli.training_progress import TrainingProgress
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL
from mnist_edge.text import caption, printable, shorten
from mnist_edge.training.loop import StepResult
from mnist_edge.training.train_state import Epoch
from tests import warm
from tests.cli.hostile import UNSAFE
from tests.conftest import DATA, RELEASED, ROOT

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Surrogates too."""


class Stream(io.TextIOWrapper):
    """A stream that keeps what is written to it, and may say that it is a terminal."""

    def __init__(self, encoding: str, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def written(self) -> bytes:
        self.flush()
        self.seek(0)
        return bytes(self.buffer.read())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\0\x7f\x80\x9b\x9f", "\\x00\\x7f\\x80\\x9b\\x9f"),
        ("one\ntwo\r\n", "one\\ntwo\\r\\n"),
        ("\u202a\u202e\u2066\u2069", "\\u202a\\u202e\\u2066\\u2069"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff", "\\udcff"),
        ("a\\nb [bold] <b> ½ Δ 数 🙂 \xa0", "a\\nb [bold] <b> ½ Δ 数 🙂 \xa0"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANY_TEXT)
def test_printable_text_has_nothing_unsafe_and_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert not UNSAFE.search(shown)
    shown.encode("utf-8")
    assert printable(shown) == shown


@given(ANY_TEXT, st.integers(9, 60))
def test_a_long_text_loses_its_middle(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or (short[0], short[-1]) == (text[0], text[-1])
    assert (short == text) == (len(text) <= limit) or " [...] " in text


def test_a_caption_is_not_a_formula() -> None:
    assert caption("$x$\x1b") == r"\$x\$\x1b"
    assert len(caption("x" * 100)) == 60


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "Δ≤→–∞█·… ½数"),
        ("cp1252", "d<=->–inf#·… ½\\u6570"),
        ("ascii", "d<=->-inf#.... \\xbd\\u6570"),
    ],
)
def test_an_encoding_gets_stand_ins_for_what_it_lacks(encoding: str, shown: str) -> None:
    assert output.encodable("Δ≤→–∞█·… ½数", Stream(encoding)) == shown


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "cp437"])
def test_lines_come_out_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {name: Stream(encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    output.say("|Δlogit| ≤ 1\x1b[31m\n∞")
    output.say()
    output.say_json(["Δ", "\udcff\x9b"])
    table = TextTable("→ a", "b – c", line_above="[/b] Δ")
    table.add("█\x9b", "∞")
    print_tables([table])
    output.note("–\x07" + "x" * 5000)

    logits = "Δ" if encoding == "utf-8" else "d"
    stdout, stderr = (stream.written().decode(encoding) for stream in streams.values())
    first, second, rest = stdout.split("\n", 2)
    assert first.startswith(f"|{logits}logit| ")
    assert "\\x1b[31m\\n" in first
    assert second == ""
    assert json.JSONDecoder().raw_decode(rest)[0] == ["Δ", "\udcff\x9b"]
    assert f"[/b] {logits}" in rest
    assert not UNSAFE.search(stdout.replace("\n", ""))
    assert stderr.endswith("x\n")
    assert len(stderr) == 1001


def test_json_has_no_numbers_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.say_json({"found": float("nan")})


def test_markup_and_emoji_codes_in_a_cell_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = TextTable("[/b]", "[red]", line_above="[/i] :smile:" + "x" * 200)
    table.add("[/b].onnx", "[link=file:///]x :boom:")
    table.add("x" * 5000, "")
    print_tables([table])
    title, heading, _, row, long = capsys.readouterr().out.splitlines()
    assert title == "[/i] :smile:" + "x" * 200
    assert heading.split() == ["[/b]", "[red]"]
    assert row.split() == ["[/b].onnx", "[link=file:///]x", ":boom:"]
    assert len(long.split()[0]) < 1000


def shown_on_a_terminal(patch: pytest.MonkeyPatch, **environment: str) -> bytes:
    """Return what a terminal is sent for a table and a bar."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        patch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm-256color"} | environment).items():
        patch.setenv(name, value)
    terminal = Stream("utf-8", terminal=True)
    patch.setattr(sys, "stdout", terminal)
    patch.setattr(sys, "stderr", terminal)
    print_tables([TextTable("heading", line_above="above")])
    with TrainingProgress(1) as progress:
        progress.on_step(StepResult(1, 215, 430, 0.5))
        progress.on_epoch(Epoch(1, 0.5, 0.9))
    return terminal.written()


def test_a_terminal_gets_our_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"\x1b[1mheading" in shown_on_a_terminal(monkeypatch)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "unknown")])
def test_a_terminal_without_styles_gets_none(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = shown_on_a_terminal(monkeypatch, **{name: value})
    assert b"\x1b" not in written
    assert b"\r" not in written
    assert b"heading" in written
    assert b"validation accuracy" in written


def test_errors_of_click_are_one_line() -> None:
    @click.command()
    @click.argument("kind", type=click.Choice(["a", "b"]))
    def command(kind: str) -> None:
        if kind == "b":
            raise click.ClickException("it failed\x1b[2J\nError: forged")

    def run(*arguments: str) -> str:
        with output.readable_errors():
            command.main(list(arguments), standalone_mode=False)
        return ""

    with pytest.raises(click.ClickException, match="it failed") as failed:
        run("b")
    assert failed.value.format_message() == "it failed\\x1b[2J\\nError: forged"
    assert failed.value.exit_code == 1
    for arguments in (["\x9bX\n"], ["--\x1b]0;t\x07"], ["a", "\u202e" * 5000]):
        with pytest.raises(click.UsageError) as wrong:
            run(*arguments)
        assert wrong.value.exit_code == 2
        assert wrong.value.ctx is not None
        assert not UNSAFE.search(wrong.value.format_message())
        assert len(wrong.value.format_message()) <= 1000
    with pytest.raises(click.MissingParameter) as missing:
        run()
    assert "Choose from:\n" in missing.value.format_message()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "arguments", "shown"),
    [
        ("ascii", ["--help"], "export"),
        ("ascii", ["selfcheck"], "largest |dlogit|"),
        ("cp1252", ["selfcheck", str(DEFAULT_MODEL)], "largest |dlogit|"),
        ("cp1252", ["info", str(DEFAULT_MODEL)], "provenance"),
    ],
)
def test_a_program_on_a_console_of_another_encoding(
    encoding: str, arguments: list[str], shown: str, tmp_path: Path
) -> None:
    done = run_program(encoding, *arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert shown in done.stdout.decode(encoding)


@pytest.mark.slow
def test_a_release_on_a_console_of_another_encoding(tmp_path: Path) -> None:
    encoding = "cp1252"  # of a redirected Windows console
    options = ["--data-dir", str(DATA)]
    model = str(tmp_path / "mnist-mlp-int8.onnx")
    for arguments in (
        ["export", str(RELEASED), "--precision", "int8", "--output", str(tmp_path), *options],
        ["verify", model, "--checkpoint", str(RELEASED), "--layers", *options],
        ["evaluate", model, *options],
    ):
        done = run_program(encoding, *arguments, folder=tmp_path, python=warm.PYTHON)
        assert done.returncode == 0, done.stderr
        done.stdout.decode(encoding)


def run_program(
    encoding: str, *arguments: str, folder: Path, python: Sequence[str] = (sys.executable,)
) -> subprocess.CompletedProcess[bytes]:
    command = [*python, "-m", "mnist_edge", *arguments]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, check=False, cwd=folder, env=environment)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_ascii(name: str) -> None:
    result = CliRunner(charset="ascii").invoke(main, [*filter(None, [name]), "--help"])
    assert result.exit_code == 0
    assert result.stdout.isascii()


def test_everything_is_printed_by_the_functions_for_it() -> None:
    for path in sorted((ROOT / "mnist_edge" / "cli").glob("*.py")):
        if path.name != "output.py":
            assert not prints(path), path


PRINTERS = {"print", "click.echo", "click.secho", "json.dump"}


def prints(path: Path) -> list[str]:
    """Return the calls in a module that print lines without `output`; a count that overwrites itself is not a line."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    lines = [call for call in calls if all(keyword.arg != "nl" for keyword in call.keywords)]
    return [name for name in (ast.unparse(call.func) for call in lines) if name in PRINTERS]


def test_output_imports_nothing_heavy() -> None:
    code = "import sys, mnist_edge.cli.output; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"rich", "numpy", "json", "mnist_edge.formats"} & set(loaded)
