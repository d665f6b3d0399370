"""Schedules on a real Redis and a real beat: kept, read, switched, and sent when it is time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from jsorc import Orchestrator
from jsorc.errors import ServiceUnavailable
from jsorc_task.schedules import Schedules
from jsorc_task.service import TaskService
from tests.servers import RedisServer
from tests.task.orchestrators import eventually
from tests.task.schedules_contract import IDLE, NOTE, SchedulesContract

Make = Callable[..., Orchestrator]


def schedules_of(orchestrator: Orchestrator) -> Schedules:
    return orchestrator.svc("task", TaskService).schedules


class TestRedBeatSchedules(SchedulesContract):
    @pytest.fixture
    def schedules(self, make_orchestrator: Make, redis_server: RedisServer) -> Schedules:
        """Those of a client."""
        return schedules_of(make_orchestrator(redis_server.port, role="client"))


@pytest.fixture
def schedules(make_orchestrator: Make, redis_server: RedisServer) -> Schedules:
    """Those of a client."""
    return schedules_of(make_orchestrator(redis_server.port, role="client"))


def test_schedules_outlive_the_process_that_added_them(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    first = make_orchestrator(redis_server.port, role="client")
    schedules_of(first).add("nightly", IDLE, crontab="0 2 * * *")
    first.stop()
    assert (
        schedules_of(make_orchestrator(redis_server.port, role="client")).get("nightly").crontab
        == "0 2 * * *"
    )


def test_without_its_redis_it_says_so(
    make_orchestrator: Make, redis_server: RedisServer, schedules: Schedules
) -> None:
    redis_server.kill()
    with pytest.raises(ServiceUnavailable, match="schedules"):
        schedules.list()


def test_what_is_due_is_sent_and_what_is_disabled_is_not(orchestrator: Orchestrator, tmp_path: Path) -> None:
    schedules = schedules_of(orchestrator)
    often, once, never = tmp_path / "often", tmp_path / "once", tmp_path / "never"
    schedules.add("often", NOTE, every=1, args=[str(often), "tick"])
    schedules.add("once", NOTE, at=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2), args=[str(once), "now"])
    schedules.add("never", NOTE, every=1, args=[str(never), "tick"], enabled=False)
    eventually(lambda: often.exists() and len(often.read_text().splitlines()) >= 4)
    eventually(once.exists)
    assert schedules.get("once").done
    assert schedules.get("often").last_run_at is not None
    assert not never.exists()
    ticks = len(often.read_text().splitlines())
    eventually(lambda: len(often.read_text().splitlines()) > ticks)
    assert once.read_text() == "now\n"


def test_a_second_beat_waits_and_takes_over(
    make_orchestrator: Make, redis_server: RedisServer, tmp_path: Path
) -> None:
    worker = make_orchestrator(redis_server.port, role="all")
    worker.start()
    second = make_orchestrator(redis_server.port, role="beat")
    second.start()
    ticks = tmp_path / "ticks"
    schedules_of(worker).add("often", NOTE, every=1, args=[str(ticks), "tick"])
    eventually(ticks.exists)
    third = make_orchestrator(redis_server.port, role="worker")
    third.start()
    worker.stop()
    before = len(ticks.read_text().splitlines())
    eventually(lambda: len(ticks.read_text().splitlines()) > before + 1)
