"""Row 23, for tasks: a process is forked while the service runs, and a worker forks its children."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsorc import Orchestrator
from jsorc.testing.forking import in_child
from jsorc_task.service import TaskService
from jsorc_task.sharing import shared_of
from tests.servers import RedisServer
from tests.task import jobs
from tests.task.conftest import home, make_orchestrator  # noqa: F401 - fixtures
from tests.task.orchestrators import answered, eventually, worker_pid

Make = Callable[..., Orchestrator]


def sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def test_a_forked_child_sends_over_connections_of_its_own_and_runs_no_worker(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
) -> None:
    orchestrator = make_orchestrator(redis_server.port)
    orchestrator.start()
    service = answered(orchestrator)
    assert jobs.add.delay(1, 2).get(timeout=30) == 3
    client = orchestrator.svc("redis").poke()
    mine = sockets()

    def ask() -> list[Any]:
        own = orchestrator.svc("task", TaskService)
        result = jobs.add.delay(2, 3).get(timeout=30)
        opened = len(sockets() - mine)
        return [own is service, own.details()["role"], "worker" in own.details(), result, opened > 0]

    assert in_child(ask) == [False, "client", False, 5, True]
    assert client.ping()
    assert jobs.add.delay(3, 4).get(timeout=30) == 7
    assert service.is_running()
    assert worker_pid(orchestrator)


def test_a_forked_child_does_not_keep_the_lock_of_its_parent(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
) -> None:
    orchestrator = make_orchestrator(redis_server.port)
    orchestrator.start()
    shared = shared_of(orchestrator)
    assert shared.holder is not None
    assert in_child(lambda: [shared.holder is None, len(shared._locks)]) == [True, 0]
    assert shared.holder is not None


def test_the_children_of_a_worker_ask_for_services_of_their_own(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
) -> None:
    orchestrator = make_orchestrator(redis_server.port, pool="prefork", concurrency=2)
    orchestrator.start()
    eventually(lambda: jobs.setting_of_redis.delay().get(timeout=30) == redis_server.port)
    processes = {tuple(jobs.whereabouts.delay().get(timeout=30)) for _ in range(8)}
    assert {parent for _, parent in processes} == {worker_pid(orchestrator)}
    assert jobs.ask_for_task_service.delay().get(timeout=30) == ["client", "True"]
