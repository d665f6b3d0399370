"""RedisHook passes the suite that every hook passes, on a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from jsorc import Orchestrator
from jsorc.testing import HookContract
from jsorc.unit_of_work import Hook
from tests.servers import RedisServer


class TestRedisHook(HookContract):
    @pytest.fixture(autouse=True)
    def store(self, redis_server: RedisServer, make_orchestrator: Callable[..., Orchestrator]) -> None:
        self.connect: Callable[[], Orchestrator] = partial(make_orchestrator, port=redis_server.port)
        self.orchestrator = self.connect()
        self.there = threading.local()

    def make_hook(self) -> Hook:
        return self.orchestrator.src("hook", Hook)  # type: ignore[type-abstract]

    def make_hook_elsewhere(self) -> Hook:
        orchestrator = self.there.orchestrator = self.connect()
        return orchestrator.src("hook", Hook)  # type: ignore[type-abstract]

    def leave_elsewhere(self) -> None:
        self.there.orchestrator.stop()
