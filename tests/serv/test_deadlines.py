"""A PostgreSQL that accepts and never answers: every wait ends, and the hook recovers with the server."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jsorc_serv.deadlines import Watchdog
from tests.serv.postgres import PostgresServer
from tests.serv.processes import Script

STOPPED = """
import json, sys, time
from jsorc import JsOrc

hook = JsOrc.src("hook")
hook.save_obj("a", 1)
hook.commit()
hook.save_obj("a", 2)
print(json.dumps("staged"), flush=True)
while True:
    what = sys.stdin.readline().strip()
    began = time.monotonic()
    try:
        answer = hook.commit() if what == "commit" else JsOrc.src("hook").get_obj("a")
    except Exception as error:
        answer = [type(error).__name__, str(error)]
    print(json.dumps([answer, time.monotonic() - began]), flush=True)
    if what == "end":
        break
"""


@pytest.mark.parametrize("what", ["commit", "read"])
def test_a_server_that_is_stopped_is_given_up_and_recovers(
    what: str, tmp_path: Path, make_postgres: Callable[..., PostgresServer]
) -> None:
    server = make_postgres()
    settings = {"statement_timeout": 0.5, "connect_timeout": 2}
    variables = {f"JSORC_SERV_CONFIG__DATABASE__{key.upper()}": str(value) for key, value in settings.items()}
    with Script(STOPPED, tmp_path, DATABASE_URL=server.url, **variables) as script:
        assert script.hear() == "staged"
        server.signal(signal.SIGSTOP)
        try:
            script.tell(f"{what}\n")
            (kind, message), seconds = script.hear()
            assert kind == "DeadlineExceeded"
            assert seconds < 15
            assert ("Whether the commit took place is unknown" in message) == (what == "commit")
            script.tell("read\n")  # it connects anew, to a server that does not answer either
            (kind, _), seconds = script.hear()
            assert kind in {"DeadlineExceeded", "ServiceUnavailable"}
            assert seconds < 15
        finally:
            server.signal(signal.SIGCONT)
        script.tell("commit\n")
        assert script.hear()[0] is None
        script.tell("end\n")
        assert script.hear()[0] == 2
        assert script.finish().returncode == 0


class Connection:
    """As much of a connection of psycopg as is watched."""

    def __init__(self, ours: socket.socket) -> None:
        self._ours = ours

    def fileno(self) -> int:
        return self._ours.fileno()


def test_who_reads_finds_the_end_at_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        began = time.monotonic()
        with Watchdog().watching(Connection(ours), 0.05) as watch:
            assert ours.recv(1) == b""
        assert watch.expired
        assert 0.04 < time.monotonic() - began < 5


def test_a_short_deadline_is_kept_while_a_long_one_is_waited_for() -> None:
    watchdog = Watchdog()
    ours, theirs = socket.socketpair()
    patient, slow = socket.socketpair()
    with ours, theirs, patient, slow, watchdog.watching(Connection(patient), 60):
        with watchdog.watching(Connection(ours), 0.05) as watch:
            assert ours.recv(1) == b""
        assert watch.expired


def test_a_block_that_ends_in_time_is_left_alone_and_the_thread_ends() -> None:
    watchdog, others = Watchdog(), set(threading.enumerate())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours)
        for _ in range(3):
            with watchdog.watching(connection, 0.05) as watch:
                theirs.send(b"x")
                assert ours.recv(1) == b"x"
            assert not watch.expired
        for thread in set(threading.enumerate()) - others:
            thread.join(5)
            assert not thread.is_alive()
        theirs.send(b"x")
        assert ours.recv(1) == b"x"
