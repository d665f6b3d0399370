"""The service on a real Redis: who runs what, where tasks are found, and what becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import current_app

from jsorc import Orchestrator, hookimpl
from jsorc_task.service import TaskService
from tests.servers import RedisServer
from tests.task import jobs
from tests.task.orchestrators import answered, eventually, worker_pid

ROOT = Path(__file__).parents[2]

Make = Callable[..., Orchestrator]


def service_of(orchestrator: Orchestrator) -> TaskService:
    return orchestrator.svc("task", TaskService)


# Adding tasks


def test_a_class_of_tasks_is_registered_while_running(orchestrator: Orchestrator) -> None:
    service = answered(orchestrator)
    before = worker_pid(orchestrator)
    [task] = service.register_tasks(jobs.Greet)
    assert task.name == "tests.greet"
    assert worker_pid(orchestrator) not in (0, before)
    assert service.get_by_task_id(service.add_queue("tests.greet", "Ada"), wait=True)["result"] == "hello Ada"


def test_a_module_of_tasks_is_registered_while_running(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    orchestrator = make_orchestrator(redis_server.port, modules=[])
    orchestrator.start()
    service = service_of(orchestrator)
    names = {task.name for task in service.register_tasks("tests.task.jobs")}
    assert "tests.task.jobs.add" in names
    assert jobs.add.delay(2, 2).get(timeout=30) == 4


# Who runs what


def test_before_start_nothing_is_run_and_tasks_can_be_sent(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    orchestrator = make_orchestrator(redis_server.port)
    service = service_of(orchestrator)
    assert service.details()["role"] == "client"
    assert service.add_queue(jobs.add, 1, 2)
    assert not worker_pid(orchestrator)


def test_of_two_started_processes_one_runs_worker_and_beat(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    first, second = make_orchestrator(redis_server.port), make_orchestrator(redis_server.port)
    first.start()
    second.start()
    assert service_of(first).details().keys() >= {"worker", "beat"}
    assert service_of(first).details()["role"] == "all"
    assert service_of(second).details()["role"] == "client"
    assert not service_of(second).details().keys() & {"worker", "beat"}


def test_when_the_first_goes_the_other_takes_over(make_orchestrator: Make, redis_server: RedisServer) -> None:
    first, second = make_orchestrator(redis_server.port), make_orchestrator(redis_server.port)
    first.start()
    second.start()
    first.stop()
    assert eventually(lambda: worker_pid(second))
    assert service_of(second).details()["role"] == "all"


def test_one_that_was_asked_for_before_start_takes_part_after_it(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    orchestrator = make_orchestrator(redis_server.port)
    assert service_of(orchestrator).is_running()
    orchestrator.start()
    service_of(orchestrator).ping()
    assert worker_pid(orchestrator)


def test_a_reset_keeps_the_lock_and_ends_the_processes_of_before(orchestrator: Orchestrator) -> None:
    before = worker_pid(orchestrator)
    fresh = orchestrator.svc_reset("task")
    assert fresh.details()["role"] == "all"
    assert worker_pid(orchestrator) not in (0, before)
    assert jobs.add.delay(1, 2).get(timeout=30) == 3


@pytest.mark.parametrize(
    ("role", "processes"),
    [("client", set()), ("worker", {"worker"}), ("beat", {"beat"}), ("all", {"worker", "beat"})],
)
def test_a_role_may_be_set(
    make_orchestrator: Make, redis_server: RedisServer, role: str, processes: set[str]
) -> None:
    orchestrator = make_orchestrator(redis_server.port, role=role)
    orchestrator.start()
    assert service_of(orchestrator).details().keys() & {"worker", "beat"} == processes


class Follower:
    """Says who leads."""

    leads: bool | None = False

    @hookimpl
    def jsorc_is_leader(self) -> bool | None:
        return self.leads


def test_beat_runs_only_where_the_leader_is(make_orchestrator: Make, redis_server: RedisServer) -> None:
    orchestrator = make_orchestrator(redis_server.port)
    follower = Follower()
    orchestrator.listen(follower)
    orchestrator.start()
    assert service_of(orchestrator).details().keys() & {"worker", "beat"} == {"worker"}
    follower.leads = True
    eventually(lambda: "beat" in service_of(orchestrator).details())
    follower.leads = False
    eventually(lambda: "beat" not in service_of(orchestrator).details())
    assert service_of(orchestrator).is_running()


def test_the_host_process_is_left_as_it_was(make_orchestrator: Make, redis_server: RedisServer) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1)
    before = sys.stdout, sys.stderr, [signal.getsignal(number) for number in numbers]
    orchestrator = make_orchestrator(redis_server.port)
    orchestrator.start()
    answered(orchestrator)
    assert (sys.stdout, sys.stderr, [signal.getsignal(number) for number in numbers]) == before
    assert jobs.add.delay(1, 2).get(timeout=30) == 3


def test_the_worker_of_a_quiet_service_says_little(
    make_orchestrator: Make, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    orchestrator = make_orchestrator(redis_server.port, quiet=True)
    orchestrator.start()
    answered(orchestrator)
    assert not [record for record in caplog.records if record.name == "jsorc.service.task"]


def test_sixty_probes_leave_no_connection_and_no_key_behind(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    orchestrator = make_orchestrator(redis_server.port, ping_interval=1000.0)
    orchestrator.start()
    client = orchestrator.svc("redis").poke()
    service = service_of(orchestrator)
    for _ in range(10):
        service.ping()
    before = client.info("clients")["connected_clients"], client.dbsize()
    for _ in range(60):
        service.ping()
    after = client.info("clients")["connected_clients"], client.dbsize()
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 2


# The application


def test_it_is_the_default_application(orchestrator: Orchestrator) -> None:
    apps: list[Any] = []
    thread = threading.Thread(target=lambda: apps.append(current_app._get_current_object()))
    thread.start()
    thread.join()
    assert apps == [orchestrator.svc("task").poke()]


def test_tasks_of_the_application_itself_outlive_a_reset(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    orchestrator = make_orchestrator(redis_server.port, role="client")
    app = orchestrator.svc("task").poke()
    orchestrator.svc_reset("task")
    assert orchestrator.svc("task").poke() is app


def test_pickle_is_neither_sent_nor_taken(orchestrator: Orchestrator) -> None:
    app = orchestrator.svc("task").poke()
    assert app.conf.accept_content == ["json"]
    assert app.conf.result_accept_content == ["json"]
    assert app.conf.task_serializer == app.conf.result_serializer == "json"


def test_the_celery_command_finds_the_application(redis_server: RedisServer, tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "CELERY_BROKER_URL": redis_server.url,
        "JSORC_TASK_CONFIG__MODULES": '["tests.task.jobs"]',
    }
    command = [sys.executable, "-m", "celery", "-A", "jsorc_task.app"]
    worker = subprocess.Popen(
        [*command, "worker", "-P", "threads", "-c", "1", "--without-mingle"],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        code = "from jsorc import JsOrc; from tests.task.jobs import add; JsOrc.svc('task')"
        code += "; print(add.delay(2, 3).get(timeout=30))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.strip() == "5", done.stderr
    finally:
        worker.terminate()
        worker.wait(20)


def test_the_tasks_of_a_script_run_in_its_worker(redis_server: RedisServer, tmp_path: Path) -> None:
    script = tmp_path / "shop.py"
    script.write_text(
        "from celery import shared_task\n"
        "from jsorc import JsOrc\n"
        "@shared_task\n"
        "def price(n): return n * 3\n"
        "if __name__ == '__main__':\n"
        "    JsOrc.start()\n"
        "    print(price.name, price.delay(4).get(timeout=30))\n"
        "    JsOrc.stop()\n"
    )
    done = run_script(script, redis_server)
    assert done.stdout.strip() == "shop.price 12", done.stderr


def test_a_script_that_sends_as_it_is_imported_is_told_what_to_do(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    script = tmp_path / "shop.py"
    script.write_text(
        "import logging, threading\n"
        "told = threading.Event()\n"
        "class Listening(logging.StreamHandler):\n"
        "    def emit(self, record):\n"
        "        super().emit(record)\n"
        "        if '__name__' in record.getMessage(): told.set()\n"
        "logging.basicConfig(level='INFO', handlers=[Listening()])\n"
        "from celery import shared_task\n"
        "from jsorc import JsOrc\n"
        "@shared_task\n"
        "def price(n): return n * 3\n"
        "JsOrc.start()\n"
        "price.delay(4)\n"
        "told.wait(50)\n"
        "JsOrc.stop()\n"
    )
    assert 'if __name__ == "__main__":' in run_script(script, redis_server).stderr


def run_script(script: Path, redis_server: RedisServer) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "REDIS_PORT": str(redis_server.port)}
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=script.parent,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_importing_the_plugin_imports_neither_celery_nor_redis() -> None:
    code = "import sys, jsorc_task, jsorc_task.plugin; print({'celery', 'kombu', 'redis'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Changing its settings


def test_its_settings_change_while_it_runs(orchestrator: Orchestrator) -> None:
    answered(orchestrator)
    before = worker_pid(orchestrator)
    orchestrator.svc_config_set("task", {"concurrency": 3})
    service = service_of(orchestrator)
    assert service.is_running()
    assert service.details()["role"] == "all"
    assert worker_pid(orchestrator) not in (0, before)
    assert jobs.add.delay(1, 2).get(timeout=30) == 3


def test_settings_that_cannot_work_change_nothing(orchestrator: Orchestrator) -> None:
    from jsorc.errors import ServiceUnavailable

    before = worker_pid(orchestrator)
    with pytest.raises(ServiceUnavailable):
        orchestrator.svc_config_set("task", {"broker_url": "redis://127.0.0.1:1/0"})
    assert worker_pid(orchestrator) == before
    assert jobs.add.delay(1, 2).get(timeout=30) == 3
