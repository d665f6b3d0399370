"""Row 1: Redis is killed with SIGKILL while nobody uses it.

A probe finds out within one period, what provides it is asked again, and it runs with the same config.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Orchestrator, hookimpl
from jsorc.provisioning import ProvisionResult
from tests.faults.conftest import server_pid
from tests.servers import RedisServer
from tests.services import Listener

pytestmark = pytest.mark.alone

PERIOD = 1.0
BACK_WITHIN = 2.0
SLACK = 0.5
"""Seconds that a busy machine may add."""


def kill_and_watch(orchestrator: Orchestrator, kill: Callable[[], object]) -> None:
    """Kills the server of a started orchestrator and holds what happens to the promises."""
    listener = Listener()
    orchestrator.listen(listener)
    before = orchestrator.svc("redis")
    assert before.is_running(), before.error
    with orchestrator.src("hook") as unit:
        unit.save_obj("kept", {"since": "before the kill"})
    kill()
    killed = time.monotonic()
    listener.await_state("redis", "FAILED")
    assert time.monotonic() - killed < PERIOD + SLACK
    assert before.app is None
    listener.await_state("redis", "RUNNING")
    assert time.monotonic() - killed < PERIOD + BACK_WITHIN + SLACK
    after = orchestrator.svc("redis")
    assert after is not before
    assert after.config == before.config
    with orchestrator.src("hook") as unit:
        assert unit.get_obj("kept") == {"since": "before the kill"}
        unit.save_obj("new", 1)
    assert orchestrator.src("hook").get_obj("new") == 1


def test_the_server_that_jsorc_runs_is_started_again(make_embedded: Callable[..., Orchestrator]) -> None:
    orchestrator = make_embedded(ping_interval=PERIOD)
    orchestrator.start()
    old = server_pid(orchestrator)
    kill_and_watch(orchestrator, lambda: os.kill(old, signal.SIGKILL))
    assert server_pid(orchestrator) != old


def test_a_plugin_that_provisions_is_given_the_manifest_again(
    make_orchestrator: Callable[..., Orchestrator], redis_server: RedisServer
) -> None:
    asked: list[tuple[str, Any]] = []

    class Cluster:
        @hookimpl
        def jsorc_provision(self, service: Any, manifest: Any) -> ProvisionResult:
            asked.append((service.name, manifest))
            redis_server.start()
            return ProvisionResult(True, "applied")

    orchestrator = make_orchestrator(port=redis_server.port, ping_interval=PERIOD)
    orchestrator.listen(Cluster())
    orchestrator.start()
    kill_and_watch(orchestrator, redis_server.kill)
    assert asked == [("redis", "jsorc_redis:manifest.yaml")]
