"""What goes wrong outside the program ends in one line, in child processes with limits, and a bug in its traceback."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from mnist_edge.cli import COMMANDS, main
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL
from tests import warm
from tests.conftest import DATA, RELEASED, ROOT

TWO = str(ROOT / "examples" / "two.png")
FULL = Path("/dev/full")
DATA_DIR = ("--data-dir", str(DATA))

LIGHT = {
    "help": ("--help",),
    "version": ("--version",),
    "formats": ("formats",),
    "predict": ("predict", TWO, "--format", "digits"),
    "selfcheck": ("selfcheck", str(DEFAULT_MODEL)),
}
"""Commands that print something and import no torch."""

HEAVY = {
    "info": ("info", str(DEFAULT_MODEL)),
    "evaluate": ("evaluate", str(DEFAULT_MODEL), *DATA_DIR),
    "verify": ("verify", str(DEFAULT_MODEL), "--checkpoint", str(RELEASED), *DATA_DIR),
    "export": ("export", str(RELEASED), "--output", "new", *DATA_DIR),
    "plot": ("plot", "samples", "--output", "new.png", *DATA_DIR),
}
"""Commands that print something and import much."""

VERDICTS = ("selfcheck", "verify", "export")
"""Commands that print something and whose exit code is a verdict."""

SLOW = {**{f"{name} --help": (name, "--help") for name in COMMANDS}, **HEAVY}
ALL = [*(pytest.param(words, id=name) for name, words in LIGHT.items())] + [
    pytest.param(words, id=name, marks=pytest.mark.slow) for name, words in SLOW.items()
]


def run(
    *words: str,
    python: Sequence[str] = (sys.executable,),
    stdout: int = subprocess.PIPE,
    limits: dict[int, int] | None = None,
    folder: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    def lower() -> None:
        for kind, limit in (limits or {}).items():
            resource.setrlimit(kind, (limit, limit))

    return subprocess.run(
        [*python, "-m", "mnist_edge", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        preexec_fn=lower,
        timeout=300,
        check=False,
    )


def python_for(words: tuple[str, ...]) -> Sequence[str]:
    """Return a fresh interpreter, or for what imports much one that has it imported."""
    return warm.PYTHON if words[0] in SLOW else (sys.executable,)


def assert_one_line(done: subprocess.CompletedProcess[str], message: str = "") -> None:
    """Check that a command failed with one line that begins as click's do."""
    errors = [line for line in done.stderr.splitlines() if not line.startswith("model: ")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("Error: ")
    assert message in errors[0]
    assert done.returncode == 1


@pytest.mark.parametrize("words", ALL)
def test_a_full_disk_behind_stdout_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    with FULL.open("w", encoding="utf-8") as full:
        done = run(*words, python=python_for(words), stdout=full.fileno(), folder=tmp_path)
    assert_one_line(done, "No space left on device")


@pytest.mark.parametrize("words", [each for each in ALL if each.id not in ("evaluate", "plot")])
def test_nobody_who_reads_stdout_is_the_end(words: tuple[str, ...], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(*words, python=python_for(words), stdout=writing, folder=tmp_path)
    finally:
        os.close(writing)
    assert [line for line in done.stderr.splitlines() if not line.startswith("model: ")] == []
    assert done.returncode == (141 if words[0] in VERDICTS and "--help" not in words else 0)


def test_a_verdict_whose_reasons_nobody_reads_is_not_0() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "mnist_edge", "selfcheck", "missing.onnx"]
    try:
        assert subprocess.run(command, stdout=writing, stderr=writing, cwd=ROOT, check=False).returncode == 141
    finally:
        os.close(writing)


@pytest.mark.parametrize("behind", ["nobody", "a full disk"])
def test_what_stderr_does_not_take_costs_no_answer(behind: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stderr = writing if behind == "nobody" else os.open(FULL, os.O_WRONLY)
    words = ["predict", "missing.png", TWO, "lost.png", TWO, "--format", "digits"]
    command = [sys.executable, "-m", "mnist_edge", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT, check=False)
    for descriptor in {writing, stderr}:
        os.close(descriptor)
    assert (done.stdout, done.returncode) == ("-\n2\n-\n2\n", 1)


def test_a_full_disk_behind_both_streams_keeps_the_exit_code() -> None:
    with FULL.open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "mnist_edge", "predict", "missing.png"]
        assert subprocess.run(command, stderr=full, stdout=full, cwd=ROOT, check=False).returncode == 1


WRITERS = {
    "export": ("export", str(RELEASED), "--output", "{}", *DATA_DIR),
    "train": ("train", "--output", "{}.safetensors", "--epochs", "1", *DATA_DIR),
    "html": ("verify", str(DEFAULT_MODEL), "--checkpoint", str(RELEASED), "--html", "{}.html", *DATA_DIR),
    "plot": ("plot", "samples", "--output", "{}.png", *DATA_DIR),
}
"""Commands that write to `{}`."""


@pytest.mark.parametrize("place", ["file/below", "/proc/new", "pipe"])
def test_a_place_that_cannot_be_written_is_one_line(place: str, tmp_path: Path) -> None:
    check_place(("predict", TWO, "--visualize", "{}.png"), place, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("words", [pytest.param(words, id=name) for name, words in WRITERS.items()])
def test_a_place_that_cannot_be_written_is_one_line_for_each_command(words: tuple[str, ...], tmp_path: Path) -> None:
    check_place(words, "file/below", tmp_path)


def check_place(words: tuple[str, ...], place: str, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    os.mkfifo(folder / "pipe.png")
    assert_one_line(
        run(*(word.format(place) for word in words), python=python_for(words), folder=folder), "cannot write"
    )


def test_a_limit_on_the_size_of_files_is_one_line(tmp_path: Path) -> None:
    done = run("predict", TWO, "--visualize", str(tmp_path / "a.png"), limits={resource.RLIMIT_FSIZE: 0})
    assert_one_line(done, "File too large")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("descriptors", [16, 64])
def test_few_descriptors_are_enough_or_one_line(descriptors: int) -> None:
    done = run(*LIGHT["predict"], limits={resource.RLIMIT_NOFILE: descriptors})
    if done.returncode:
        assert_one_line(done, "oo many open files")
    else:
        assert done.stdout == "2\n"


@pytest.mark.slow
def test_few_descriptors_for_an_export_are_enough_or_one_line(tmp_path: Path) -> None:
    done = run(*HEAVY["export"], limits={resource.RLIMIT_NOFILE: 16}, folder=tmp_path)
    if done.returncode:
        assert_one_line(done, "oo many open files")
    else:
        assert (tmp_path / "new" / "mnist-mlp.onnx").exists()


@pytest.mark.parametrize("megabytes", [30, 40])
def test_too_little_memory_to_import_the_runtime_is_one_line(megabytes: int) -> None:
    done = run(*LIGHT["predict"], limits={resource.RLIMIT_AS: megabytes << 20, resource.RLIMIT_CORE: 0})
    assert "Traceback" not in done.stderr
    assert_one_line(done, "there is not enough memory")


@pytest.mark.parametrize("megabytes", [200])
def test_too_little_memory_to_import_torch_is_one_line(megabytes: int) -> None:
    limits = {resource.RLIMIT_AS: megabytes << 20, resource.RLIMIT_CORE: 0}
    assert_one_line(run("evaluate", str(RELEASED), limits=limits), "there is not enough memory")


@pytest.mark.slow
def test_no_folder_for_temporary_files_is_one_line(tmp_path: Path) -> None:
    program = (
        "import tempfile\n"
        f"tempfile._candidate_tempdir_list = lambda: [{str(tmp_path / 'missing')!r}]\n"
        "from mnist_edge.cli import main; main()"
    )
    words = ["export", str(RELEASED), "--quantize", "--output", str(tmp_path / "new"), *DATA_DIR]
    done = subprocess.run([*warm.PYTHON, "-c", program, *words], capture_output=True, text=True, check=False)
    assert_one_line(done, "No usable temporary directory")
    assert list(tmp_path.rglob("*.onnx")) == []


WAITING = """
import sys, time
from pathlib import Path
import mnist_edge.cli.formats
from mnist_edge.atomic import transaction

def wait():
    with transaction() as changes:
        changes.write_folder(Path(sys.argv.pop()), {"x": b"new"})
        print("ready", flush=True)
        time.sleep(60)

mnist_edge.cli.formats.command.callback = lambda **_: wait()
mnist_edge.cli.main()
"""


@pytest.mark.parametrize(
    ("name", "code", "message"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "Error: interrupted\n")]
)
def test_a_signal_ends_a_command_and_removes_what_is_temporary(
    name: signal.Signals, code: int, message: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WAITING.replace("sys.argv.pop()", repr(str(tmp_path / "new"))), "formats"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(name)
        _, errors = process.communicate()
    assert process.returncode == code
    assert errors == message
    assert list(tmp_path.iterdir()) == []


DEAF = """
import time
import mnist_edge.cli.formats
from mnist_edge.cli import interrupts

def wait():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except BaseException:
        time.sleep(60)

interrupts.LONG_GRACE_SECONDS = 0.1
mnist_edge.cli.formats.command.callback = lambda **_: wait()
mnist_edge.cli.main()
"""


AS_ON_WINDOWS = """
import os
import signal

set_blocking, set_wakeup_fd = os.set_blocking, signal.set_wakeup_fd
del os.set_blocking  # which it lacks before Python 3.12

def take_any(descriptor, **options):
    if descriptor != -1:
        set_blocking(descriptor, False)  # where it takes one that blocks
    return set_wakeup_fd(descriptor, **options)

signal.set_wakeup_fd = take_any
"""


IN_A_CALLBACK = """
import time
import weakref
import mnist_edge.cli.formats

class Object:
    pass

def drop(_):
    print("ready", flush=True)
    time.sleep(60)

def wait():
    something = Object()
    reference = weakref.ref(something, drop)
    try:
        del something
        time.sleep(60)
    finally:
        print("tidied up", flush=True)

mnist_edge.cli.formats.command.callback = lambda **_: wait()
mnist_edge.cli.main()
"""


@pytest.mark.parametrize(
    ("name", "code", "message"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "Error: interrupted\n")]
)
@pytest.mark.parametrize(
    ("program", "printed"),
    [(DEAF, ""), (IN_A_CALLBACK, "tidied up\n"), (AS_ON_WINDOWS + DEAF, "")],
    ids=["library", "interpreter", "windows"],
)
def test_a_signal_ends_a_command_also_where_its_exception_is_dropped(
    program: str, printed: str, name: signal.Signals, code: int, message: str
) -> None:
    """By a library, or by the interpreter in a callback, such as the one of a lock of an import."""
    with subprocess.Popen(
        [sys.executable, "-c", program, "formats"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(name)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (code, printed, message)


@pytest.mark.parametrize("where", ["make_context", "invoke"])
def test_ctrl_c_between_the_blocks_that_report_it_is_one_line(where: str) -> None:
    program = (
        "import os, signal\n"
        "from mnist_edge.cli import LazyGroup, main\n"
        f"real = LazyGroup.{where}\n"
        f"def {where}(*arguments, **options):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(*arguments, **options)\n"
        f"LazyGroup.{where} = {where}\n"
        "main()"
    )
    command = [sys.executable, "-c", program, "formats"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (130, "Error: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize("words", [LIGHT["predict"], HEAVY["evaluate"]], ids=["predict", "evaluate"])
def test_ctrl_c_at_any_moment_is_one_line(words: tuple[str, ...]) -> None:
    program = "import mnist_edge.cli, sys; print('ready', flush=True); mnist_edge.cli.main()"
    for step in range(8):
        command = [sys.executable, "-c", program, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.02 * 1.9**step)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate()
        lines = [line for line in errors.splitlines() if not line.startswith("model: ")]
        assert (process.returncode, lines) in [
            (130, ["Error: interrupted"]),
            (-signal.SIGINT, []),  # after the end of the command
            (0, []),
        ], errors


@pytest.mark.parametrize("bug", [TypeError, KeyError, ValueError, RuntimeError, ImportError, AssertionError])
def test_a_bug_keeps_its_traceback(bug: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(failing(bug("a bug"), monkeypatch).exception, bug)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError(28, "No space left on device"), "cannot write: No space left on device"),
        (OSError("No usable temporary directory"), "No usable temporary directory"),
        (MemoryError(), "there is not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), "failed to map segment"),
        (RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory: 9 bytes"), "can't allocate memory"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
    ],
)
def test_a_shortage_is_one_line(error: Exception, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(error, monkeypatch)
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert result.output.startswith("Error: ")
    assert line in result.output


def failing(error: Exception, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def] # noqa: ANN201
    from mnist_edge.cli import formats

    def fail(**_: object) -> None:
        raise error

    callback: Callable[..., None] = fail
    monkeypatch.setattr(formats.command, "callback", callback)
    return CliRunner().invoke(main, ["formats"])


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what the environment is for a sub-command, once `formats` has run."""
    found: dict[str, str] = {}
    monkeypatch.setattr("mnist_edge.cli.formats.command.callback", lambda **_: found.update(os.environ))
    return found


@pytest.mark.parametrize("value", ["abc", "99999999999999", "-1"])
def test_a_time_of_builds_that_is_not_one_is_one_line(value: str, seen: dict[str, str]) -> None:
    result = CliRunner(env={"SOURCE_DATE_EPOCH": value}).invoke(main, ["formats"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: SOURCE_DATE_EPOCH is {value!r}, expected whole seconds since 1970, or nothing\n"
    assert not seen


@pytest.mark.parametrize("value", ["", "1700000000"])
def test_an_empty_time_of_builds_is_none_for_libraries(value: str, seen: dict[str, str]) -> None:
    assert CliRunner(env={"SOURCE_DATE_EPOCH": value}).invoke(main, ["formats"]).exit_code == 0
    assert seen.get("SOURCE_DATE_EPOCH", "") == value
    assert ("SOURCE_DATE_EPOCH" in seen) == bool(value)


def test_figures_are_drawn_whatever_shows_those_of_a_notebook(seen: dict[str, str]) -> None:
    """Jupyter names a backend for its kernel's child processes too, which they may lack."""
    assert CliRunner(env={"MPLBACKEND": "module://not_here"}).invoke(main, ["formats"]).exit_code == 0
    program = "import matplotlib; print(matplotlib.get_backend())"
    done = subprocess.run([sys.executable, "-c", program], env=seen, capture_output=True, text=True, check=True)
    assert done.stdout.lower() == "agg\n"


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("value", [None, "", "1700000000"])
def test_the_environment_is_as_before_when_a_command_has_ended(
    value: str | None, code: int, seen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MPLBACKEND", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    before = dict(os.environ)
    if code:
        monkeypatch.setattr("mnist_edge.cli.formats.command.callback", lambda **_: sys.exit(code))
    with pytest.raises(SystemExit) as ended:
        main(["formats"])
    assert ended.value.code == code
    assert code or seen["MPLBACKEND"] == "agg"
    assert dict(os.environ) == before


@pytest.mark.parametrize("words", [("verify", "x.onnx"), ("info", str(DEFAULT_MODEL)), ("evaluate", str(RELEASED))])
def test_a_current_folder_that_was_deleted_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    assert_one_line(run_in_deleted(words, tmp_path / "gone"), "the current folder no longer exists")


def test_what_needs_no_torch_works_in_a_folder_that_was_deleted(tmp_path: Path) -> None:
    done = run_in_deleted(LIGHT["predict"], tmp_path / "gone")
    assert (done.returncode, done.stdout) == (0, "2\n")


def test_help_is_shown_in_a_folder_that_was_deleted(tmp_path: Path) -> None:
    done = run_in_deleted(("verify", "--help"), tmp_path / "gone")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Check each ARTIFACT against the checkpoint" in done.stdout


def run_in_deleted(words: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    return subprocess.run(
        ["bash", "-c", 'rmdir "$PWD" && exec "$@"', "bash", sys.executable, "-m", "mnist_edge", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
