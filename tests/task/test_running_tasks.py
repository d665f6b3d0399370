"""Tasks that are sent to a worker on a real Redis, and what becomes of them; one worker serves all tests."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from jsorc import Orchestrator
from jsorc_task.service import TaskService
from tests.conftest import start_or_skip
from tests.servers import RedisServer
from tests.task import jobs
from tests.task.conftest import clean_environment
from tests.task.orchestrators import answered, eventually, task_orchestrator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestrator]:
    """One that is started, with a worker, which the tests here do nothing to."""
    server = RedisServer(folder=tmp_path_factory.mktemp("redis"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        clean_environment(monkeypatch, tmp_path_factory.mktemp("home"))
        try:
            # Its role is set, since the lock that decides it otherwise is in the folder of each test.
            orchestrator = task_orchestrator(start_or_skip(server).port, role="all")
            orchestrator.start()
            answered(orchestrator)
            yield orchestrator
            orchestrator.stop()
        finally:
            server.stop()


def test_a_shared_task_runs_in_another_process_and_its_result_comes_back(running: Orchestrator) -> None:
    assert isinstance(running.svc("task").poke(), Celery)
    assert jobs.add.delay(2, 3).get(timeout=30) == 5
    assert jobs.whereabouts.delay().get(timeout=30)[0] != os.getpid()


def test_a_shared_task_is_sent_from_any_thread(running: Orchestrator) -> None:
    results: list[float] = []
    thread = threading.Thread(target=lambda: results.append(jobs.add.delay(1, 1).get(timeout=30)))
    thread.start()
    thread.join(40)
    assert results == [2]


def test_celerys_retries_work_as_they_do(running: Orchestrator, tmp_path: Path) -> None:
    assert jobs.fail_at_first.delay(str(tmp_path / "counter")).get(timeout=30) == 3


def test_a_revoked_task_is_not_run(running: Orchestrator) -> None:
    service = answered(running)
    result = jobs.add.apply_async((1, 2), countdown=20)
    result.revoke()
    assert service.get_by_task_id(result.id, wait=True)["status"] == "REVOKED"


def test_add_queue_sends_by_name_and_get_by_task_id_waits(running: Orchestrator) -> None:
    service = running.svc("task", TaskService)
    task_id = service.add_queue("tests.task.jobs.add", 2, y=3)
    found = service.get_by_task_id(task_id, wait=True)
    assert found == {"task_id": task_id, "status": "SUCCESS", "ready": True, "result": 5}
    assert service.get_by_task_id(service.add_queue(jobs.add, 1, 1), wait=True)["result"] == 2


def test_what_a_task_raised_is_told(running: Orchestrator) -> None:
    service = running.svc("task", TaskService)
    found = service.get_by_task_id(service.add_queue(jobs.fail, "no milk"), wait=True)
    assert (found["status"], found["error"]) == ("FAILURE", {"type": "ValueError", "message": "no milk"})
    json.dumps(found)


def test_inspect_tasks_tells_what_runs(running: Orchestrator, tmp_path: Path) -> None:
    service = answered(running)
    task_id = service.add_queue(jobs.hold, str(tmp_path / "begun"), str(tmp_path / "go"))
    eventually((tmp_path / "begun").exists)

    def active() -> list[str]:  # a worker of a loaded machine may answer too late; probes run tasks as well
        found = [task for tasks in service.inspect_tasks()["active"].values() for task in tasks]
        return [task["id"] for task in found if task["name"] != "jsorc_task.canary"]

    assert eventually(active) == [task_id]
    (tmp_path / "go").touch()
    assert service.get_by_task_id(task_id, wait=True)["result"] == "done"


def test_a_worker_has_the_settings_that_were_made_in_code(running: Orchestrator) -> None:
    assert jobs.setting_of_redis.delay().get(timeout=30) == running.svc("redis").config["port"]


def test_inside_a_worker_the_service_is_a_client_of_the_same_application(running: Orchestrator) -> None:
    assert jobs.ask_for_task_service.delay().get(timeout=30) == ["client", "True"]
