"""The control socket: who may ask what, which process has it, and what nobody can do to it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jsorc import Orchestrator, control, redaction
from jsorc.control import ControlServer, ask, socket_path
from jsorc.errors import DeadlineExceeded, JsOrcError, ProvisionError, ServiceUnavailable
from jsorc.testing.forking import in_child
from tests.services import LONG, orchestrator_with, recorded

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")

Serve = Callable[..., ControlServer]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short name, since the path of a socket may not be long."""
    made = Path(tempfile.mkdtemp(prefix="jsorc-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def path(folder: Path) -> Path:
    return socket_path(folder, "default")


@pytest.fixture
def serve(path: Path) -> Iterator[Serve]:
    """Opens a server, `serve(status=…)`; all are closed after the test."""
    opened: list[ControlServer] = []

    def make(**answers: Callable[[], Any]) -> ControlServer:
        opened.append(ControlServer(path, {"status": dict, "regenerate": bool, **answers}))
        opened[-1].open()
        return opened[-1]

    yield make
    for server in opened:
        server.close()


@pytest.fixture
def state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `folder` the state folder of orchestrators; returns where theirs listens."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return socket_path(folder / "jsorc", "default")


@pytest.fixture
def orchestrator(state: Path) -> Iterator[Orchestrator]:
    made = orchestrator_with({"thing": recorded()})
    yield made
    made.stop()


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(LONG)
    client.connect(str(path))
    return client


def exchanged(path: Path, sent: bytes) -> list[Any]:
    """What comes back, line by line, until the server ends the connection."""
    with connected(path) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


def await_that(true: Callable[[], bool]) -> None:
    """Return once something is true that nobody announces."""
    deadline, never = time.monotonic() + LONG, threading.Event()
    while not true():
        assert time.monotonic() < deadline
        never.wait(0.01)


# -- asking


def test_a_started_process_says_how_it_stands(orchestrator: Orchestrator, state: Path) -> None:
    orchestrator.start()
    reply = ask(state, "status")
    assert reply["pid"] == os.getpid()
    assert reply["answer"]["services"]["thing"]["state"] == "RUNNING"
    assert reply["answer"]["namespace"] == "default"


def test_a_started_process_regenerates_when_asked(state: Path) -> None:
    broken = threading.Event()

    def run(service: Any) -> None:
        if not broken.is_set():
            raise ConnectionError("not yet")
        service.app = "app"

    made = orchestrator_with({"thing": recorded(run=run)})
    try:
        made.start()
        broken.set()
        assert ask(state, "regenerate", LONG)["answer"] in (True, False)  # its backoff may just be due
        assert made.svc("thing").has_failed() is False
    finally:
        made.stop()


def test_several_requests_are_answered_on_one_connection(serve: Serve, path: Path) -> None:
    serve(status=lambda: "well", regenerate=lambda: True)
    answers = exchanged(path, b'{"ask": "status"}\n{"ask": "regenerate"}\n')
    assert [answer["answer"] for answer in answers] == ["well", True]


@pytest.mark.parametrize(
    "sent",
    [
        b"status\n",
        b"\n",
        b'{"ask": "stop"}\n',
        b'{"ask": ["status"]}\n',
        b'{"ask": {}}\n',
        b'["status"]\n',
        b"null\n",
        b"\xff\xfe\n",
        b"[" * 4000 + b"\n",
    ],
)
def test_what_is_no_request_is_refused_and_the_client_let_go(serve: Serve, path: Path, sent: bytes) -> None:
    serve(status=lambda: "well")
    (answer,) = exchanged(path, sent + b'{"ask": "status"}\n')
    assert "this is no request" in answer["error"]
    assert ask(path, "status")["answer"] == "well"


def test_a_request_that_is_too_long_is_not_read_to_its_end(serve: Serve, path: Path) -> None:
    serve(status=lambda: "well")
    with connected(path) as client, pytest.raises(ConnectionError):
        client.sendall(b"x" * 10_000_000)
    assert ask(path, "status")["answer"] == "well"


def test_a_client_that_says_nothing_is_let_go(
    serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.05)
    serve()
    with connected(path) as client:
        assert client.recv(100) == b""


def test_clients_that_say_nothing_keep_nobody_from_an_answer(serve: Serve, path: Path) -> None:
    serve(status=lambda: "well")
    silent = [connected(path) for _ in range(3)]
    assert ask(path, "status", 2.0)["answer"] == "well"
    for client in silent:
        client.close()


def test_too_many_clients_are_told_to_come_again(
    serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MOST_CLIENTS", 1)
    serve(status=lambda: "well")
    with connected(path) as first:
        first.sendall(b'{"ask": "status"}\n')
        assert first.recv(100)
        with pytest.raises(JsOrcError, match="ask again later"):
            ask(path, "status")


def test_a_slow_answer_does_not_delay_another(serve: Serve, path: Path) -> None:
    asked, release = threading.Event(), threading.Event()

    def slowly() -> bool:
        asked.set()
        return release.wait(LONG)

    serve(status=lambda: "well", regenerate=slowly)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(ask(path, "regenerate", LONG)["answer"]))
    thread.start()
    assert asked.wait(LONG)
    assert ask(path, "status")["answer"] == "well"
    release.set()
    thread.join(LONG)
    assert answers == [True]


def test_an_error_is_said_to_who_asked_without_secrets(serve: Serve, path: Path) -> None:
    redaction.learn({"password": "hunter2-control"})

    def fail() -> None:
        raise ProvisionError("the login with hunter2-control was refused")

    serve(regenerate=fail)
    with pytest.raises(JsOrcError, match=r"the login with \*+ was refused"):
        ask(path, "regenerate")


def test_an_unexpected_error_is_logged_here_and_named_there(
    serve: Serve, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by zero")

    serve(status=fail)
    with pytest.raises(JsOrcError, match="ZeroDivisionError: by zero"):
        ask(path, "status")
    assert "could not answer status" in caplog.text


# -- the client's side


def test_where_no_process_listens_the_client_says_so(path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match="no started process of this user"):
        ask(path, "status")


def test_a_process_that_does_not_answer_is_given_up_at_the_deadline(path: Path) -> None:
    path.parent.mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"did not answer status within 0\.2 s"):
            ask(path, "status", 0.2)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("answer", [b"", b"no JSON\n", b"\xff\n", b"[]\n", b"null\n", b"[" * 100_000 + b"\n"])
def test_an_answer_that_is_none_is_an_error_of_ours(path: Path, answer: bytes) -> None:
    path.parent.mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as strange:
        strange.bind(str(path))
        strange.listen()

        def reply() -> None:
            client, _ = strange.accept()
            with client:
                client.recv(100)
                client.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(ServiceUnavailable):
            ask(path, "status", LONG)
        thread.join(LONG)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_another_users_socket_is_not_asked(serve: Serve, path: Path) -> None:
    serve()
    os.chown(path, 65534, 65534)
    with pytest.raises(ServiceUnavailable, match=r"belongs to another user \(uid 65534\)"):
        ask(path, "status")


# -- who has the socket


def test_only_this_user_can_reach_it(serve: Serve, path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    serve()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_gone_after_the_stop(orchestrator: Orchestrator, state: Path) -> None:
    orchestrator.start()
    with connected(state) as client:
        client.sendall(b'{"ask": "status"}\n')
        with client.makefile("rb") as lines:
            assert lines.readline()
            orchestrator.stop()
            assert lines.readline() == b""
    assert not state.exists()
    with pytest.raises(ServiceUnavailable, match="no started process"):
        ask(state, "status")


def test_closing_it_leaves_no_thread_and_no_descriptor(path: Path) -> None:
    def held() -> tuple[int, int]:
        descriptors = Path("/proc/self/fd")
        return threading.active_count(), len(list(descriptors.iterdir())) if descriptors.is_dir() else 0

    before = held()
    for _ in range(20):
        server = ControlServer(path, {"status": dict})
        assert server.open()
        with connected(path) as client:
            client.sendall(b'{"ask": "status"}\n')
            assert client.recv(100)
            server.close()
            assert client.recv(100) == b""
    await_that(lambda: all(now <= then + 5 for now, then in zip(held(), before, strict=True)))


PROCESS = """
import sys, threading
from pathlib import Path
from jsorc.control import ControlServer
assert ControlServer(Path(sys.argv[1]), {"status": lambda: "the other"}).open()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the socket."""
    command = [sys.executable, "-c", PROCESS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_the_socket_of_a_dead_process_is_replaced(
    serve: Serve, path: Path, other: subprocess.Popen[str]
) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait(LONG)
    assert path.exists()
    assert serve(status=lambda: "mine").listening
    assert ask(path, "status")["answer"] == "mine"


def test_the_socket_of_a_living_process_is_left_alone_and_logged(
    serve: Serve, path: Path, other: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mine = serve(status=lambda: "mine")
    assert not mine.listening
    assert f"process {other.pid} already serves the control socket {path}" in caplog.text
    mine.close()
    assert ask(path, "status")["answer"] == "the other"


def test_when_its_process_has_ended_another_one_that_was_started_takes_it_over(
    serve: Serve, path: Path, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LOOK_AGAIN", 0.02)
    mine = serve(status=lambda: "mine")
    other.send_signal(signal.SIGKILL)
    other.wait(LONG)
    await_that(lambda: mine.listening)
    assert ask(path, "status")["answer"] == "mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_leaves_it_to_its_parent(orchestrator: Orchestrator, state: Path) -> None:
    orchestrator.start()

    def stop_and_ask() -> list[Any]:
        orchestrator.stop()
        return [orchestrator._control, ask(state, "status")["pid"]]

    assert in_child(stop_and_ask) == [None, os.getpid()]
    assert ask(state, "status")["pid"] == os.getpid()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_that_lives_on_does_not_keep_the_socket(serve: Serve, path: Path) -> None:
    server = serve(status=lambda: "parent")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        server.forget()
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        server.close()
        assert serve(status=lambda: "anew").listening
        assert ask(path, "status")["answer"] == "anew"
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


# -- where there is none


def test_a_path_that_is_too_long_is_a_warning_and_the_process_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / ("x" * 100)))
    made = orchestrator_with({"thing": recorded()})
    made.start()
    try:
        assert made.svc("thing").is_running()
        (warning,) = [line for line in caplog.messages if "no control socket" in line]
        assert "too long" in warning
        assert "set XDG_STATE_HOME to a shorter folder, or JSORC_CONFIG.control to false" in warning
    finally:
        made.stop()
    with pytest.raises(ServiceUnavailable, match="too long"):
        ask(socket_path(made.state_dir, "default"), "status")


def test_a_state_folder_that_cannot_be_made_is_a_warning_and_the_process_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "file"))
    made = orchestrator_with({"thing": recorded()})
    made.start()
    assert made.svc("thing").is_running()
    made.stop()
    assert "no control socket" in caplog.text
    with pytest.raises(ServiceUnavailable, match="no started process"):
        ask(socket_path(made.state_dir, "default"), "status")


def test_the_setting_control_turns_it_off(state: Path) -> None:
    made = orchestrator_with({"thing": recorded()}, JSORC_CONFIG={"control": False})
    made.start()
    assert made._control is None
    assert not state.exists()
    made.stop()


def test_each_namespace_has_its_own(state: Path, folder: Path) -> None:
    made = orchestrator_with({"thing": recorded()}, JSORC_CONFIG={"namespace": "shop"})
    made.start()
    assert ask(socket_path(folder / "jsorc", "shop"), "status")["answer"]["namespace"] == "shop"
    assert not state.exists()
    made.stop()


def test_on_a_platform_without_unix_sockets_it_is_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    server = ControlServer(path, {"status": dict})
    assert not server.open()
    server.close()
    with pytest.raises(ServiceUnavailable, match="no Unix sockets"):
        ask(path, "status")


def test_importing_jsorc_does_not_import_it_and_it_does_not_import_asyncio() -> None:
    code = (
        "import sys, jsorc; assert 'jsorc.control' not in sys.modules; "
        "import jsorc.control; assert 'asyncio' not in sys.modules"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
