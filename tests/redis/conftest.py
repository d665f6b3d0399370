"""The fixtures of the tests of jsorc-redis: services made by hand, and orchestrators that know only Redis.

Servers and ports come from the conftest above.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from jsorc import Orchestrator
from jsorc_redis.config import Config
from jsorc_redis.service import RedisService
from tests.redis.orchestrators import redis_orchestrator


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, for this test alone like every other folder of the user; no outside setting."""
    for name in os.environ:
        if name.startswith(("JSORC_", "REDIS_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    from platformdirs import user_data_path

    return user_data_path()


@pytest.fixture
def make_service() -> Iterator[Callable[..., RedisService]]:
    """Makes a service by hand and starts it: `make_service(port=…)`; other keys have their defaults."""
    made: list[RedisService] = []

    def make(**config: Any) -> RedisService:
        service = RedisService({**to_builtins(Config()), **config})
        service.name = "redis"
        made.append(service)
        service.start()
        return service

    yield make
    for service in made:
        service.on_delete()


@pytest.fixture
def make_orchestrator(data_home: Path) -> Iterator[Callable[..., Orchestrator]]:
    """Makes orchestrators, `make_orchestrator(namespace=…, port=…)`; all are stopped after the test."""
    made: list[Orchestrator] = []

    def make(**config: Any) -> Orchestrator:
        orchestrator = redis_orchestrator(**config)
        made.append(orchestrator)
        return orchestrator

    yield make
    for orchestrator in reversed(made):
        orchestrator.stop()
