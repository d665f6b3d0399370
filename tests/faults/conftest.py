"""Repeats each fault `--count` times, since what happens once may be luck, and keeps each one to itself.

What several rows need is here too: a home of their own, and an orchestrator that runs its own Redis.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc.errors import ProvisionError
from tests.redis.orchestrators import redis_orchestrator
from tests.servers import free_port


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    count = metafunc.config.getoption("--count")
    if count > 1:
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(1, count + 1))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, with its data and state folders, for this test alone; no setting from outside, only Redis."""
    for name in os.environ:
        if name.startswith(("JSORC_", "REDIS_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("JSORC_PLUGINS_ALLOW", "jsorc-redis")
    return home


@pytest.fixture
def make_orchestrator(home: Path) -> Iterator[Callable[..., Orchestrator]]:
    """Makes orchestrators of Redis alone, `make_orchestrator(port=…)`; all are stopped after the test."""
    made: list[Orchestrator] = []

    def make(**config: Any) -> Orchestrator:
        made.append(redis_orchestrator(host="127.0.0.1", **config))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.stop()


@pytest.fixture
def make_embedded(make_orchestrator: Callable[..., Orchestrator]) -> Callable[..., Orchestrator]:
    """Makes orchestrators that will run a Redis of their own, `make_embedded(ping_interval=…)`."""

    def make(**config: Any) -> Orchestrator:
        orchestrator = make_orchestrator(**{"port": free_port(), **config})
        try:
            orchestrator.svc("redis").local_process()
        except ProvisionError as missing:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(missing))
        return orchestrator

    return make


def server_pid(orchestrator: Orchestrator) -> int:
    """The process id of the Redis that an orchestrator runs."""
    (owned,) = orchestrator._local_provisioner().owned()
    return owned.pid
