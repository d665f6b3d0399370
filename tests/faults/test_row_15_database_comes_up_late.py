"""Row 15: the database is down at the start and up after 30 s, by a clock that the test moves.

A listening socket stands for the database, and a plugin of the test for jsorc-serv's.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from jsorc import hookimpl
from jsorc.daemons import Call
from jsorc.errors import DatabaseReady
from jsorc.provisioning import ProvisionResult
from jsorc.regeneration import ANSWER_TIMEOUT
from jsorc.testing.clock import FakeClock
from tests.applications import Application
from tests.services import orchestrator_with, recorded

UP_AFTER = 30.0
MANIFEST = {"kind": "StatefulSet", "metadata": {"name": "db"}}


class Database:
    """Listens once the clock says so, and then until the test ends."""

    def __init__(self, port: int, clock: FakeClock) -> None:
        self._address = ("127.0.0.1", port)
        self._clock = clock
        self._listener: socket.socket | None = None
        self.provisioned: list[Any] = []

    @hookimpl
    def jsorc_database_ready(self) -> bool:
        if self._listener is None and self._clock.monotonic() >= UP_AFTER:
            self._listener = socket.create_server(self._address)
        try:
            with socket.create_connection(self._address, timeout=1):
                return True
        except ConnectionRefusedError:
            return False

    @hookimpl
    def jsorc_provision(self, service: Any, manifest: Any) -> ProvisionResult | None:
        if service is None:
            self.provisioned.append(manifest)
            return ProvisionResult(True, "applied")
        return None

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()


def started(database: Database, clock: FakeClock, cls: Any) -> Any:
    """What a start of a fresh orchestrator ends with, while the clock goes on."""
    orchestrator = orchestrator_with(
        {"thing": cls},
        clock=clock,
        DB_REGEN_CONFIG={"enabled": True},
        DB_REGEN_MANIFEST=MANIFEST,
        JSORC_CONFIG={"control": False},
    )
    orchestrator.listen(database)
    starting = Call(orchestrator.start, name="start")
    while not starting.wait(0.001):
        due, now = clock.next_due(), clock.monotonic()
        # Only the waits between two attempts pass: an answer that is on its way has its time.
        if due is not None and due > now and due - now not in (ANSWER_TIMEOUT, 60.0):
            clock.advance(due - now)
    try:
        return starting.result()
    finally:
        orchestrator.stop()


def test_it_is_provisioned_once_waited_for_and_ends_the_process_once(
    clock: FakeClock, free_port: int
) -> None:
    database = Database(free_port, clock)
    try:
        cls = recorded()
        with pytest.raises(DatabaseReady) as ended:
            started(database, clock, cls)
        assert isinstance(ended.value, SystemExit)
        assert ended.value.code == 75
        assert UP_AFTER <= clock.monotonic() <= UP_AFTER + 60
        assert cls.journal == []
        assert database.provisioned == [MANIFEST]
        assert started(database, clock, cls) is None  # the process that follows finds it connected
        assert cls.journal.count("run") == 1
        assert database.provisioned == [MANIFEST]
    finally:
        database.close()


APPLICATION = """
import os, pathlib, sys
from jsorc import JsOrc, hookimpl
from jsorc.provisioning import ProvisionResult

up = pathlib.Path(os.environ["DATABASE"])

class Plugin:
    @hookimpl
    def jsorc_database_ready(self):
        return up.exists()
    @hookimpl
    def jsorc_provision(self, service, manifest):
        if service is None:
            up.touch()
            return ProvisionResult(True, "applied")

JsOrc.orchestrator.listen(Plugin())
JsOrc.configure(DB_REGEN_CONFIG={"enabled": True}, JSORC_CONFIG={"control": False})
JsOrc.start()
print("started", flush=True)
"""


def test_the_process_itself_ends_with_75_and_its_successor_goes_on(tmp_path: Path) -> None:
    environ = {"DATABASE": str(tmp_path / "up"), "JSORC_PLUGINS_ALLOW": "nothing"}
    with Application(APPLICATION, **environ) as first:
        assert first.await_end() == 75
        assert "Traceback" not in first.text
        assert "started" not in first.output
    with Application(APPLICATION, **environ) as second:
        assert second.await_end() == 0
        assert second.output[-1] == "started"
