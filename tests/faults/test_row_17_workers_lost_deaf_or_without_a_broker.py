"""Row 17: a worker killed in the middle of a task, one alive but deaf, and a broker gone for a while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from jsorc import Orchestrator
from jsorc.errors import ServiceUnavailable
from jsorc_task.service import TaskService
from tests.servers import RedisServer
from tests.task import jobs
from tests.task.conftest import home, make_orchestrator  # noqa: F401 - fixtures
from tests.task.orchestrators import States, answered, eventually, worker_pid

Make = Callable[..., Orchestrator]
ROOT = Path(__file__).parents[2]

GONE_FOR = 20.0


def begun_by(path: Path) -> list[list[int]]:
    """The process of each run of the task, and its parent."""
    return (
        [[int(word) for word in line.split()] for line in path.read_text().splitlines()]
        if path.exists()
        else []
    )


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# It comes first, since it takes longest: what is left can then be shared between two workers.
def test_while_the_broker_is_gone_sending_raises_in_time_and_works_again_after(
    make_orchestrator: Make,  # noqa: F811
    make_redis: Any,
) -> None:
    # The broker is not the service `redis`, since JsOrc would start that one again itself.
    redis_server, broker = make_redis(), make_redis()
    orchestrator = make_orchestrator(redis_server.port, broker_url=broker.url)
    states = States(orchestrator)
    orchestrator.start()
    assert jobs.add.delay(1, 2).get(timeout=30) == 3
    broker.kill()
    gone_at = time.monotonic()
    pause = threading.Event()
    while time.monotonic() < gone_at + GONE_FOR:
        began = time.monotonic()
        with pytest.raises(OperationalError) as failure:
            jobs.add.delay(1, 2)
        assert isinstance(failure.value, ServiceUnavailable)
        assert time.monotonic() - began < 3
        pause.wait(1)
    assert "FAILED" in states.seen
    assert not orchestrator.svc("task").is_running()
    broker.start()
    eventually(lambda: orchestrator.svc("task").is_running(), timeout=60)
    assert jobs.add.delay(1, 2).get(timeout=30) == 3


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_task_is_run_again_when_its_worker_was_killed(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
    tmp_path: Path,
    pool: str,
) -> None:
    orchestrator = make_orchestrator(redis_server.port, pool=pool)
    states = States(orchestrator)
    orchestrator.start()
    begun, go = tmp_path / "begun", tmp_path / "go"
    result = jobs.hold.delay(str(begun), str(go))
    eventually(lambda: begun_by(begun))
    os.kill(worker_pid(orchestrator), signal.SIGKILL)
    states.wait_for("FAILED", timeout=5)  # at the next probe, which the end of the process makes immediate
    assert "SIGKILL" in str(states.errors[-1])
    eventually(lambda: len(begun_by(begun)) == 2)  # long before the visibility timeout, an hour
    go.touch()
    assert result.get(timeout=30) == "done"
    if pool == "prefork":
        assert not runs(begun_by(begun)[0][0])


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # by Celery
def test_a_task_that_was_acknowledged_early_is_reported_lost(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    orchestrator = make_orchestrator(redis_server.port, acks_late=False)
    states = States(orchestrator)
    orchestrator.start()
    begun = tmp_path / "begun"
    service = orchestrator.svc("task", TaskService)
    task_id = service.add_queue(jobs.hold, str(begun), str(tmp_path / "go"))
    eventually(lambda: begun_by(begun))
    os.kill(worker_pid(orchestrator), signal.SIGKILL)
    states.wait_for("FAILED")
    states.wait_for("RUNNING")
    found = eventually(
        lambda: (told := orchestrator.svc("task", TaskService).get_by_task_id(task_id))["ready"] and told
    )
    assert (found["status"], found["error"]["type"]) == ("FAILURE", "WorkerLostError")
    assert len(begun_by(begun)) == 1


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_alive_but_deaf_is_failed_and_replaced(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
    pool: str,
) -> None:
    orchestrator = make_orchestrator(redis_server.port, pool=pool, canary_timeout=2.0)
    states = States(orchestrator)
    orchestrator.start()
    answered(orchestrator)
    deaf = worker_pid(orchestrator)
    os.kill(deaf, signal.SIGSTOP)
    states.wait_for("FAILED", timeout=10)
    assert "deaf" in str(states.errors[-1])
    assert jobs.add.delay(1, 2).get(timeout=30) == 3
    assert worker_pid(orchestrator) != deaf
    eventually(lambda: not runs(deaf))


def test_a_worker_that_is_only_busy_is_left_alone(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    orchestrator = make_orchestrator(redis_server.port, concurrency=1, canary_timeout=0.5)
    states = States(orchestrator)
    orchestrator.start()
    service = answered(orchestrator)
    begun, go = tmp_path / "begun", tmp_path / "go"
    result = jobs.hold.delay(str(begun), str(go))
    eventually(lambda: begun_by(begun))
    for _ in range(3):
        service.ping()
    go.touch()
    assert result.get(timeout=30) == "done"
    assert "FAILED" not in states.seen


@pytest.mark.alone
def test_a_broker_that_hangs_is_not_waited_for(
    make_orchestrator: Make,  # noqa: F811
    redis_server: RedisServer,
) -> None:
    orchestrator = make_orchestrator(redis_server.port)
    states = States(orchestrator)
    orchestrator.start()
    answered(orchestrator)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(OperationalError):
                jobs.add.delay(1, 2)
            assert time.monotonic() - began < 3
        states.wait_for("FAILED", timeout=30)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    eventually(lambda: orchestrator.svc("task").is_running(), timeout=60)
    assert jobs.add.delay(1, 2).get(timeout=30) == 3


_APPLICATION = """
import sys, threading
from jsorc import JsOrc
JsOrc.start()
from tests.task.jobs import hold
hold.delay(*sys.argv[1:3])
threading.Event().wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no parent-death signal here")
def test_no_process_of_a_worker_outlives_the_application_when_that_is_killed(
    redis_server: RedisServer,
    home: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    begun = tmp_path / "begun"
    variables = {
        **os.environ,
        "REDIS_PORT": str(redis_server.port),
        "JSORC_TASK_CONFIG": '{"modules": ["tests.task.jobs"], "concurrency": 2}',
    }
    application = subprocess.Popen(
        [sys.executable, "-c", _APPLICATION, str(begun), str(tmp_path / "go")], cwd=ROOT, env=variables
    )
    try:
        [[child, worker]] = eventually(lambda: begun_by(begun))
        assert runs(child)
        assert runs(worker)
    finally:
        application.kill()
        application.wait()
    eventually(lambda: not runs(worker) and not runs(child), timeout=5)
