import ctypes
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.sandbox import client
from mnist_edge.sandbox.client import open_session
from mnist_edge.sandbox.messages import MAX_HEADER, MAX_REPLY, transmit
from mnist_edge.sandbox.system_calls import CALL_NUMBERS, restrict_system_calls
from mnist_edge.types import AnyArray

MODULE = "tests.sandbox.hostile_session"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")


def test_values_and_arrays_come_back_as_they_were() -> None:
    session = open_session(MODULE, b"data")
    arrays: dict[str, AnyArray] = {
        "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
        "bytes": np.zeros((0, 4), np.uint8),
    }
    values, found = session.call("echo", {"text": "Δ\x1b"}, arrays)
    assert (values["text"], values["length"]) == ("Δ\x1b", 4)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    session.close()


def test_a_child_reads_writes_connects_and_starts_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    session = open_session(MODULE, b"")
    for call, path in (("read", victim), ("write", victim), ("write", tmp_path / "new"), ("read", Path("/etc/passwd"))):
        assert "refused" in session.call(call, {"path": str(path)})[0], (call, path)
    for call in ("connect", "start"):
        assert "refused" in session.call(call)[0], call
    assert victim.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [victim]
    session.close()


@pytest.mark.skipif(platform.machine() not in CALL_NUMBERS, reason="the system calls of this processor are not known")
def test_a_child_alters_no_file_and_no_process(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_bytes(b"precious")
    folder.mkdir()
    secret = ctypes.create_string_buffer(b"secret", 8)
    with subprocess.Popen(["sleep", "30"]) as sleeper:
        session = open_session(MODULE, b"")
        values = {
            "address": ctypes.addressof(secret),
            "path": str(victim),
            "folder": str(folder),
            "parent": os.getpid(),
        }
        assert session.call("alter", {**values, "process": sleeper.pid})[0]["done"] == []
        assert sleeper.poll() is None
        sleeper.kill()
    assert secret.value == b"secret"
    assert victim.read_bytes() == b"precious"
    assert sorted(tmp_path.iterdir()) == [folder, victim]
    assert session.call("thread")[0] == {"found": [7]}  # a runtime may start threads
    session.close()


def test_a_child_goes_on_with_its_limits_where_no_system_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not restrict_system_calls()


def test_too_much_memory_is_an_error_and_the_child_goes_on() -> None:
    session = open_session(MODULE, b"")
    with pytest.raises(ArtifactError, match="too much memory"):
        session.call("fill_memory")
    assert session.call("echo")[0]["length"] == 0
    session.close()


@pytest.mark.parametrize("call", ["crash", "lie"])
def test_a_child_that_crashes_or_sends_what_is_not_plain_is_an_error(call: str) -> None:
    session = open_session(MODULE, b"")
    with pytest.raises(ArtifactError, match="ended the process"):
        session.call(call)
    with pytest.raises(ArtifactError, match="ended the process"):
        session.call("echo")


def test_a_child_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(MODULE, b"")
    process = session.call("echo")[0]["process"]
    monkeypatch.setattr(client, "CALL_SECONDS", 0.5)
    with pytest.raises(ArtifactError, match=r"did not answer within 0\.5 seconds"):
        session.call("hang")
    assert gone(process)


def test_threads_that_open_at_once_have_children_of_their_own() -> None:
    def of_another(_: int) -> bool:
        session = open_session(MODULE, b"")
        assert isinstance(session, client._Sandboxed)
        process = session.call("echo")[0]["process"]
        session.close()
        return bool(process != session._process)

    open_session(MODULE, b"").close()
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(of_another, range(80))) == 0


def test_a_child_that_has_ended_is_not_signaled(monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(MODULE, b"")
    signaled: list[int] = []
    monkeypatch.setattr(os, "kill", lambda process, _: signaled.append(process))
    with pytest.raises(ArtifactError, match="ended the process"):
        session.call("crash")
    assert signaled == []  # its number may be another's by then


def test_a_server_that_takes_too_long_is_replaced_and_its_sessions_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_servers", [])
    monkeypatch.setattr(client, "END_SECONDS", 0.1, raising=False)
    before = open_session(MODULE, b"before")
    stuck = client._server()._process.pid
    with monkeypatch.context() as patch:
        patch.setattr(client, "OPEN_SECONDS", 0.5)
        with pytest.raises(ArtifactError, match="could not be started"):
            open_session("tests.sandbox.stuck_session", b"")
    after = open_session(MODULE, b"after")
    assert [session.call("echo")[0]["length"] for session in (before, after)] == [6, 5]
    for session in (before, after):
        session.close()
    del session, before
    assert gone(stuck)  # with the last of its sessions


@pytest.mark.parametrize("megabytes", [0, 64], ids=["in receive", "in send"])
def test_no_call_is_given_the_answer_of_one_that_was_interrupted(
    megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(MODULE, b"")
    process = session.call("echo")[0]["process"]
    os.kill(process, signal.SIGSTOP)  # so that the call is still waiting when the signal comes
    signal_me = threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))

    def transmit_and_be_interrupted(connection: socket.socket, parts: Sequence[bytes], deadline: float) -> None:
        signal_me.start()
        transmit(connection, parts, deadline)

    monkeypatch.setattr(client, "transmit", transmit_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.call("echo", {"text": "first"}, {"zeros": np.zeros(megabytes << 20, np.uint8)})
    assert gone(process)
    with pytest.raises(ArtifactError, match=r"^a call of it was interrupted, which closed it: open it again$"):
        session.call("echo", {"text": "second"})


class TooLarge:
    """What no memory is left for, as it becomes an array."""

    def __array__(self, *_: object, **__: object) -> AnyArray:
        raise MemoryError


def test_a_call_of_which_nothing_was_sent_leaves_the_session_open() -> None:
    session = open_session(MODULE, b"")
    with pytest.raises(MemoryError):
        session.call("echo", {}, {"pictures": TooLarge()})  # type: ignore[dict-item]
    assert session.call("echo", {"text": "next"})[0]["text"] == "next"
    session.close()


def test_an_interrupted_wait_for_a_call_of_another_thread_leaves_that_call_alone() -> None:
    session = open_session(MODULE, b"")
    process = session.call("echo")[0]["process"]
    os.kill(process, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(session.call, "echo", {"text": "first"})
        while not session._lock.locked():  # type: ignore[attr-defined]
            time.sleep(0.001)
        threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            session.call("echo", {"text": "second"})
        os.kill(process, signal.SIGCONT)
        assert first.result(10)[0]["text"] == "first"
    session.close()


def test_a_session_is_of_the_process_that_opened_it() -> None:
    session = open_session(MODULE, b"")
    process = session.call("echo")[0]["process"]
    reads, writes = os.pipe()
    fork = os.fork()
    if not fork:
        try:
            session.call("echo")
        except ArtifactError as error:
            os.write(writes, str(error).encode())
        session.close()
        del session
        os._exit(0)
    os.close(writes)
    os.waitpid(fork, 0)
    with open(reads, encoding="utf-8") as said:  # noqa: PTH123 - of a descriptor
        assert said.read() == "it was opened by another process: open it in this one"
    assert session.call("echo", {"text": "here"})[0] == {"text": "here", "length": 0, "process": process}
    session.close()


def test_an_answer_that_comes_in_drops_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(MODULE, b"")
    monkeypatch.setattr(client, "CALL_SECONDS", 0.5)
    with pytest.raises(ArtifactError, match=r"did not answer within 0\.5 seconds"):
        session.call("drip")


@pytest.mark.parametrize(("header", "body"), [(1, MAX_REPLY + 1), (MAX_HEADER + 1, 1)])
def test_no_memory_is_taken_for_an_answer_that_is_too_long(
    header: int, body: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(MODULE, b"")
    process = session.call("echo")[0]["process"]
    monkeypatch.setattr(client, "CALL_SECONDS", 5.0)
    with pytest.raises(ArtifactError, match="ended the process"):
        session.call("claim", {"header": header, "body": body})
    assert gone(process)


def test_an_answer_is_kept_once() -> None:
    session = open_session(MODULE, b"")
    array = np.zeros(32 << 20, np.uint8)
    tracemalloc.start()
    session.call("echo", arrays={"zeros": array})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    session.close()
    assert peak < 40 << 20


@pytest.mark.parametrize("side", [2**70, -1, 1.5, '"1"'])
def test_an_array_of_a_wrong_shape_is_an_error(side: object) -> None:
    session = open_session(MODULE, b"")
    with pytest.raises(ArtifactError, match="ended the process"):
        session.call("describe_wrongly", {"side": side})


@pytest.mark.parametrize(
    ("data", "message"), [(b"hang", "did not answer"), (b"crash", "ended the process"), (b"refuse", "it refuses")]
)
def test_what_cannot_be_opened_is_an_error(data: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_session(MODULE, b"").close()  # the server is up: the limit below is for the artifact alone
    monkeypatch.setattr(client, "OPEN_SECONDS", 2.0)
    with pytest.raises(ArtifactError, match=message):
        open_session(MODULE, data)


@pytest.mark.slow
def test_children_end_with_a_parent_that_is_killed() -> None:
    program = (
        "import sys, time\n"
        "from mnist_edge.sandbox.client import open_session\n"
        f"session = open_session({MODULE!r}, b'')\n"
        "print(session.call('echo')[0]['process'], flush=True)\n"
        "session.call('hang')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(child)


def gone(process: int) -> bool:
    """Say whether a process ends within some seconds."""
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_current_folder_that_was_deleted_is_not_the_artifacts_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_servers", [])
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(UserError, match="the current folder no longer exists"):
        open_session(MODULE, b"")
