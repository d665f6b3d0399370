"""Row 4: the server is killed in the middle of `commit()` of 10,000 objects, 20 times.

The commit travels through a relay that kills the server when a given part of it has passed; other kills fall
when a given part of it has reached the append-only file. The server is configured as the embedded one is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import redis

from jsorc import Orchestrator
from jsorc.errors import ProvisionError, ServiceUnavailable
from jsorc.provisioning import LocalProcess
from jsorc_redis.hook import RedisHook
from jsorc_redis.service import RedisService
from tests.redis.orchestrators import redis_orchestrator
from tests.servers import free_port

OBJECTS = 10_000
KILLS_ON_THE_WAY = 11
KILLS_WHILE_WRITING = 8
KILLS_AFTER = 1


class Embedded:
    """The server that jsorc-redis would run, started and killed by hand.

    Args:
        folder: Its data.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        service = RedisService(
            {"port": self.port, "embedded": {"data_dir": str(folder), "appendfsync": "always"}}
        )
        try:
            process = service.local_process()
        except ProvisionError as missing:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(missing))
        assert process is not None
        self._process: LocalProcess = process
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._process.prepare is not None
        self._process.data_dir.mkdir(parents=True, exist_ok=True)
        self._process.prepare()
        self._running = subprocess.Popen(self._process.argv)
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._running.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server does not answer; see {self._process.log_file}")

    def _answers(self) -> bool:
        try:
            return self._process.ready()
        except ServiceUnavailable:
            return False

    def kill_when_written(self, size: int) -> threading.Thread:
        """Kills the server when its append-only file has grown by `size` bytes; the thread ends with it."""
        target = self._written() + size
        running = self._running
        assert running is not None

        def watch() -> None:
            while self._written() < target and running.poll() is None:
                pass  # without a pause: the file grows for a millisecond or two
            running.send_signal(signal.SIGKILL)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        return watcher

    def _written(self) -> int:
        written = 0
        for path in self._process.data_dir.rglob("*.aof"):
            with contextlib.suppress(FileNotFoundError):  # the server is rewriting it
                written += path.stat().st_size
        return written

    def kill(self) -> None:
        if self._running is not None:
            self._running.send_signal(signal.SIGKILL)
            self._running.wait()
            self._running = None


class Relay:
    """Passes connections on to the server, and kills it when so many bytes from clients have passed.

    Args:
        server: The server.
    """

    def __init__(self, server: Embedded) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._passed = 0
        self._kill_at: int | None = None
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in (self._listener, *self._sockets):
            _shut(sock)
        for thread in self._threads:
            thread.join(5)
        for sock in (self._listener, *self._sockets):
            sock.close()

    def passed(self) -> int:
        """How many bytes have passed since the last call; nothing is killed any more."""
        with self._lock:
            passed, self._passed, self._kill_at = self._passed, 0, None
            return passed

    def kill_at(self, position: int) -> None:
        """Kills the server when `position` bytes have passed from now on."""
        with self._lock:
            self._passed, self._kill_at = 0, position

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server.port))
            except OSError:
                client.close()
                continue
            self._sockets += (client, server)
            self._spawn(self._pump, client, server, True)
            self._spawn(self._pump, server, client, False)

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while received := source.recv(16_384):
                if counted:
                    self._count(received, target)
                else:
                    target.sendall(received)
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(target)

    def _count(self, received: bytes, target: socket.socket) -> None:
        with self._lock:
            before, self._passed = self._passed, self._passed + len(received)
            reached = self._kill_at is not None and self._passed >= self._kill_at
            if not reached:
                target.sendall(received)
                return
            assert self._kill_at is not None
            target.sendall(received[: self._kill_at - before])
            self._kill_at = None
            self._server.kill()
        raise ConnectionResetError

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Embedded]:
    server = Embedded(tmp_path / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def relay(server: Embedded) -> Iterator[Relay]:
    with Relay(server) as relay:
        yield relay


@pytest.fixture
def orchestrator(relay: Relay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Orchestrator]:
    for name in os.environ:
        if name.startswith(("JSORC_", "REDIS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    orchestrator = redis_orchestrator(host="127.0.0.1", port=relay.port)
    yield orchestrator
    orchestrator.stop()


def staged(orchestrator: Orchestrator, turn: int) -> RedisHook:
    """A unit that rewrites every object, adds one, ends the last turn's, and sets a global."""
    hook = orchestrator.src("hook", RedisHook)
    for number in range(OBJECTS):
        hook.save_obj(f"row:{number:05d}", {"turn": turn, "filling": "x" * 150})
    hook.save_obj(f"turn:{turn}", turn)
    hook.destroy_obj(f"turn:{turn - 1}")
    hook.save_glob("turn", turn)
    return hook


def standing(port: int) -> int:
    """The turn that the store holds, whole."""
    orchestrator = redis_orchestrator(host="127.0.0.1", port=port)
    try:
        hook = orchestrator.src("hook", RedisHook)
        ids = [f"row:{number:05d}" for number in range(OBJECTS)]
        turns = {row["turn"] for row in hook.get_objs(ids).values()}
        assert len(turns) == 1, f"a commit was applied by half: {turns}"
        turn: int = turns.pop()
        assert hook.get_glob("turn") == turn
        assert hook.list_objs() == [*ids, f"turn:{turn}"]
        assert hook.list_glob() == ["turn"]
        assert hook.get_objs([f"turn:{turn - 1}", f"turn:{turn}"]) == {f"turn:{turn}": turn}
        with redis.Redis(port=port) as raw:
            assert raw.dbsize() == OBJECTS + 1 + 1 + 2  # rows and a turn, a global, two indexes
        return turn
    finally:
        orchestrator.stop()


@pytest.mark.timeout(300)
def test_a_commit_is_all_or_nothing_and_nothing_acknowledged_is_lost(
    server: Embedded, relay: Relay, orchestrator: Orchestrator
) -> None:
    staged(orchestrator, 0).commit()
    relay.passed()
    staged(orchestrator, 1).commit()
    size = relay.passed()
    outcomes: list[str] = []
    for kill in range(KILLS_ON_THE_WAY + KILLS_WHILE_WRITING + KILLS_AFTER):
        last, turn = kill + 1, kill + 2
        unit = staged(orchestrator, turn)
        watcher = None
        if kill < KILLS_ON_THE_WAY:  # from the first byte to the last
            relay.kill_at(max(1, size * kill // (KILLS_ON_THE_WAY - 1)))
        elif kill < KILLS_ON_THE_WAY + KILLS_WHILE_WRITING:
            part = kill - KILLS_ON_THE_WAY
            watcher = server.kill_when_written(max(1, size * part // (KILLS_WHILE_WRITING - 1)))
        try:
            unit.commit()
            acknowledged = True
        except ServiceUnavailable:
            acknowledged = False
        relay.passed()
        server.kill()
        if watcher is not None:
            watcher.join()
        server.start()
        found = standing(server.port)
        assert found == turn if acknowledged else found in (last, turn)
        outcomes.append("acknowledged" if acknowledged else "applied" if found == turn else "not applied")
        if not acknowledged:
            orchestrator.svc_reset("redis")
            unit.commit()
            assert standing(server.port) == turn
    assert {"not applied", "acknowledged"} <= set(outcomes), outcomes
