"""The fixtures that every folder of tests shares: ports, servers, and repetition.

How a server is started is in servers.py; what belongs to one distribution is in the conftest of its folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests import servers
from tests.serv.postgres import PostgresServer
from tests.servers import MissingProgram, RedisServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--count", type=int, default=1, help="run each fault this many times")


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state folder for this test alone: locks, the control socket, the last winner."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def free_port() -> int:
    """A loopback port that nothing listens on."""
    return servers.free_port()


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers: `make_redis(password=…, port=…, config={…})`; all are stopped after the test."""
    started: list[RedisServer] = []

    def make(**options: Any) -> RedisServer:
        server = RedisServer(folder=tmp_path / f"redis-{len(started)}", **options)
        started.append(server)
        return start_or_skip(server)

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def redis_server(make_redis: Callable[..., RedisServer]) -> RedisServer:
    """One empty Redis without a password."""
    return make_redis()


@pytest.fixture
def make_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """Starts servers: `make_postgres(password=…, started=False)`; all are removed after the test."""
    made: list[PostgresServer] = []

    def make(*, started: bool = True, **options: Any) -> PostgresServer:
        server = PostgresServer(**options)
        made.append(server)
        return start_or_skip(server) if started else server

    yield make
    for server in made:
        server.remove()


@pytest.fixture
def start_postgres() -> Callable[[PostgresServer], PostgresServer]:
    """Starts a server that `make_postgres` made, or starts it again on its data."""
    return start_or_skip


Server = TypeVar("Server", RedisServer, PostgresServer)


def start_or_skip(server: Server) -> Server:
    """Start a server; where its program is missing the test is skipped, and under CI it fails."""
    try:
        return server.start()
    except MissingProgram as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
