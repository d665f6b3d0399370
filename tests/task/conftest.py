"""The fixtures of the tests of jsorc-task: orchestrators that know Redis and tasks, on a server of their own.

Servers and ports come from the conftest above; what the tests run in workers is in jobs.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jsorc import Orchestrator
from tests.servers import RedisServer
from tests.task.orchestrators import task_orchestrator


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folders, for this test alone; no setting from outside."""
    home = tmp_path / "home"
    home.mkdir()
    clean_environment(monkeypatch, home)
    return home


@pytest.fixture
def make_orchestrator(home: Path) -> Iterator[Callable[..., Orchestrator]]:
    """Makes orchestrators, `make_orchestrator(port, **task_config)`; all are stopped after the test."""
    made: list[Orchestrator] = []

    def make(port: int, **config: Any) -> Orchestrator:
        orchestrator = task_orchestrator(port, **config)
        made.append(orchestrator)
        return orchestrator

    yield make
    for orchestrator in reversed(made):
        orchestrator.stop()


@pytest.fixture
def orchestrator(make_orchestrator: Callable[..., Orchestrator], redis_server: RedisServer) -> Orchestrator:
    """One that is started, with a worker."""
    orchestrator = make_orchestrator(redis_server.port)
    orchestrator.start()
    return orchestrator


def clean_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Names the user's folders, all in `home`, and removes each setting from outside."""
    for name in os.environ:
        if name.startswith(("JSORC_", "REDIS_", "CELERY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
