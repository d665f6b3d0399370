"""What people get wrong: each mistake has an error that says what was wanted, and no secret in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from kombu.exceptions import EncodeError, OperationalError

from jsorc import Orchestrator
from jsorc.errors import ConfigError, NotRegistered, PluginLoadError, ServiceUnavailable
from jsorc_task.errors import BrokerUnavailable, ScheduleError, SequenceError, TaskArgumentError
from jsorc_task.service import TaskService
from tests.servers import RedisServer
from tests.task import jobs
from tests.task.orchestrators import eventually

Make = Callable[..., Orchestrator]
PASSWORD = "correct-horse-battery"
ADD = "tests.task.jobs.add"


@pytest.fixture
def service(make_orchestrator: Make, redis_server: RedisServer) -> TaskService:
    """A client."""
    return make_orchestrator(redis_server.port, role="client").svc("task", TaskService)


def test_an_unknown_task_is_refused_with_the_nearest_name(service: TaskService) -> None:
    with pytest.raises(NotRegistered, match=r"'tests.task.jobs.ad'.*Did you mean 'tests.task.jobs.add'"):
        service.add_queue("tests.task.jobs.ad")
    with pytest.raises(NotRegistered, match="No task is named"):
        service.schedules.add("nightly", "nothing.like.it", every=60)


@pytest.mark.parametrize("argument", [{1, 2}, object(), lambda: None], ids=["set", "object", "function"])
def test_arguments_that_are_not_json_are_refused(service: TaskService, argument: Any) -> None:
    with pytest.raises(TaskArgumentError, match=r"arguments of tests.task.jobs.add are not JSON") as failure:
        service.add_queue(jobs.add, argument, 1)
    assert isinstance(failure.value, EncodeError)
    with pytest.raises(TaskArgumentError):
        jobs.add.delay(argument, 1)
    with pytest.raises(TaskArgumentError, match="nightly"):
        service.schedules.add("nightly", ADD, every=60, args=[argument, 1])


def test_too_few_arguments_are_refused_as_celery_does(service: TaskService) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        service.add_queue(jobs.add, 1)


@pytest.mark.parametrize(
    "crontab",
    ["* * *", "61 * * * *", "a b c d e", "0 0 30 2 *", "*/0 * * * *", {"minut": 5}, {"minute": 99}, ""],
    ids=str,
)
def test_a_bad_crontab_is_refused(service: TaskService, crontab: Any) -> None:
    with pytest.raises(ScheduleError, match="crontab"):
        service.schedules.add("nightly", ADD, crontab=crontab, args=[1, 2])
    assert service.schedules.list() == []


@pytest.mark.parametrize(
    "at",
    [
        dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1),
        "2020-01-01T00:00:00+00:00",
        "2090-01-01T00:00:00",
        "tomorrow",
        5,
    ],
    ids=["past", "past text", "no zone", "no time", "number"],
)
def test_a_time_in_the_past_or_no_time_is_refused(service: TaskService, at: Any) -> None:
    with pytest.raises(ScheduleError, match="at"):
        service.schedules.add("once", ADD, at=at, args=[1, 2])


@pytest.mark.parametrize("every", [0, -1, 0.5, float("nan"), float("inf"), True, "60"], ids=str)
def test_a_bad_interval_is_refused(service: TaskService, every: Any) -> None:
    with pytest.raises(ScheduleError, match="every"):
        service.schedules.add("often", ADD, every=every, args=[1, 2])


def test_a_duplicate_schedule_name_is_refused_and_the_first_one_kept(service: TaskService) -> None:
    service.schedules.add("nightly", ADD, every=60, args=[1, 2])
    with pytest.raises(ScheduleError, match="a schedule named 'nightly' already"):
        service.schedules.add("nightly", ADD, every=90, args=[3, 4])
    assert service.schedules.get("nightly").every == 60


@pytest.mark.parametrize("name", ["", ":schedule", ":lock", "a\nb", "x" * 201])
def test_a_name_that_cannot_be_one_is_refused(service: TaskService, name: str) -> None:
    with pytest.raises(ScheduleError, match="name a schedule"):
        service.schedules.add(name, ADD, every=60, args=[1, 2])


def test_a_schedule_needs_exactly_one_time(service: TaskService) -> None:
    with pytest.raises(ScheduleError, match="exactly one"):
        service.schedules.add("nightly", ADD, args=[1, 2])
    with pytest.raises(ScheduleError, match="exactly one"):
        service.schedules.add("nightly", ADD, every=5, crontab="* * * * *", args=[1, 2])


def test_asking_for_an_unknown_schedule_names_the_nearest(service: TaskService) -> None:
    service.schedules.add("nightly", ADD, every=60, args=[1, 2])
    for ask in (service.schedules.get, service.schedules.enable, service.schedules.disable):
        with pytest.raises(NotRegistered, match="Did you mean 'nightly'"):
            ask("nightl")
    assert service.schedules.delete("nightl") is False


@pytest.mark.parametrize("setting", ["broker_url", "result_backend"])
def test_a_wrong_password_is_masked_in_the_error(
    make_orchestrator: Make,
    make_redis: Callable[..., RedisServer],
    caplog: pytest.LogCaptureFixture,
    setting: str,
) -> None:
    caplog.set_level("DEBUG")
    server, other = make_redis(password=PASSWORD), make_redis()
    urls = {"broker_url": other.url, "result_backend": other.url}
    urls[setting] = server.url.replace(PASSWORD, "wrong-pass-word")
    orchestrator = make_orchestrator(server.port, role="client", **urls)
    service = orchestrator.svc("task")
    with pytest.raises(ServiceUnavailable, match="refuses the credentials") as failure:
        service.poke()
    shown = f"{failure.value} {service.error} {orchestrator.info()} {caplog.text}"
    assert "wrong-pass-word" not in shown
    assert f"TASK_CONFIG.{setting}" in shown


def test_a_result_that_expired_is_not_waited_for_longer_than_said(
    make_orchestrator: Make, redis_server: RedisServer
) -> None:
    orchestrator = make_orchestrator(redis_server.port, result_expires=1)
    orchestrator.start()
    service = orchestrator.svc("task", TaskService)
    task_id = service.add_queue(jobs.add, 1, 2)
    assert service.get_by_task_id(task_id, wait=True)["result"] == 3
    eventually(lambda: not orchestrator.svc("redis").poke().exists(f"celery-task-meta-{task_id}"))
    found = service.get_by_task_id(task_id, wait=True, timeout=0.5)
    assert (found["status"], found["ready"]) == ("PENDING", False)
    assert "expired" in found["detail"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"broker_url": "nonsense"}, "no scheme"),
        ({"broker_url": "redis://host:port/0"}, "cannot be read as a URL"),
        ({"broker_url": "amqp://127.0.0.1:1//"}, "result_backend"),
        ({"concurrency": 0}, "concurrency"),
        ({"pool": "thread"}, "pool"),
        ({"role": "boss"}, "role"),
        ({"queues": []}, "queues"),
        ({"queues": ["two words"]}, "queues"),
        ({"concurency": 2}, "concurrency"),
        ({"canary_timeout": 50.0}, "ping_timeout"),
        ({"celery": {"task_serializer": "pickle"}}, "pickle"),
        ({"celery": {"accept_content": ["pickle"]}}, "pickle"),
        ({"celery": {"worker_prefetch_multiplyer": 1}}, "worker_prefetch_multiplier"),
        ({"celery": {"task_acks_late": False}}, "TASK_CONFIG.acks_late"),
        ({"modules": ["no.such.module"]}, "there is none"),
        ({"sequence": {"allowed_urls": ["api.example.com"]}}, "beginning of a URL"),
        ({"sequence": {"allowed_addresses": ["localhost"]}}, "an address or a network"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(
    make_orchestrator: Make, redis_server: RedisServer, config: dict[str, Any], said: str
) -> None:
    service = make_orchestrator(redis_server.port, **config).svc("task")
    assert isinstance(service.error, ConfigError), service.error
    assert said in str(service.error)


def test_a_module_that_raises_is_named(
    make_orchestrator: Make, redis_server: RedisServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_jobs.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    service = make_orchestrator(redis_server.port, modules=["broken_jobs"]).svc("task")
    assert isinstance(service.error, PluginLoadError)
    assert "broken_jobs" in str(service.error)


def test_what_is_no_task_is_not_registered(service: TaskService) -> None:
    with pytest.raises(ConfigError, match="neither"):
        service.register_tasks(42)
    with pytest.raises(ConfigError, match="no module"):
        service.register_tasks("no.such.module")


def test_without_a_broker_sending_says_what_mends_it(make_orchestrator: Make, free_port: int) -> None:
    orchestrator = make_orchestrator(free_port)
    service = orchestrator.svc("task")
    with pytest.raises(ServiceUnavailable, match="REDIS_HOST"):
        service.poke()
    service._application().set_default()
    with pytest.raises(BrokerUnavailable, match="REDIS_HOST") as failure:
        jobs.add.delay(1, 2)
    assert isinstance(failure.value, OperationalError)
    assert isinstance(failure.value, ServiceUnavailable)


def test_a_sequence_that_is_none_is_refused_when_it_is_sent_or_scheduled(service: TaskService) -> None:
    with pytest.raises(SequenceError, match="no sequence"):
        service.add_sequence({"steps": []})
    with pytest.raises(SequenceError, match="exactly one of http and task"):
        service.schedules.add(
            "s", "jsorc_task.sequence", every=60, kwargs={"definition": {"steps": [{"name": "a"}]}}
        )
