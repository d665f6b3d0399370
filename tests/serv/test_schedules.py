"""Schedules in the database, and the beat that reads them, on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from django.db import connections

from jsorc import Orchestrator, ServiceUnavailable
from jsorc_serv.store import OrmStore
from jsorc_task.errors import ScheduleError
from jsorc_task.schedules import Schedules
from tests.task.schedules_contract import NOTE, SchedulesContract

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def app() -> Celery:
    """An application with a broker in this process, and the tasks of the tests."""
    import tests.task.jobs  # noqa: F401 - tells every application of its tasks

    app = Celery("test", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(task_default_queue=f"queue-{id(app)}", beat_max_loop_interval=1, timezone="UTC")
    return app


@pytest.fixture
def store(database: str, orchestrator: Orchestrator) -> OrmStore:
    return OrmStore(orchestrator)


@pytest.fixture
def schedules(app: Celery, store: OrmStore, database: str) -> Iterator[Schedules]:
    from django_celery_beat.models import ClockedSchedule, PeriodicTask, PeriodicTasks

    from jsorc_serv.tasks.schedules import DatabaseSchedules

    yield DatabaseSchedules(app, store)
    for model in (PeriodicTask, PeriodicTasks, ClockedSchedule):
        model.objects.using(database).all().delete()


@pytest.fixture
def scheduler(app: Celery, store: OrmStore, schedules: Schedules) -> Iterator[Any]:
    """A beat, a round of which is `tick()`."""
    yield (made := make_scheduler(app, store))
    made.close()


def make_scheduler(app: Celery, store: OrmStore) -> Any:
    from jsorc_serv.tasks.scheduler import LeasedScheduler

    return LeasedScheduler(app=app, store=store)


def row(name: str) -> Any:
    from django_celery_beat.models import PeriodicTask

    return PeriodicTask.objects.get(name=name)


def make_due(name: str) -> None:
    """Lets an interval have passed since a schedule was sent."""
    changed = row(name)
    changed.last_run_at = NOW - dt.timedelta(days=400)
    changed.save()


def sent(app: Celery) -> list[list[Any]]:
    """The arguments of each message in the queue, which is empty afterwards."""
    found = []
    with app.connection() as connection, connection.SimpleQueue(app.conf.task_default_queue) as queue:
        while queue.qsize():
            message = queue.get_nowait()
            found.append(message.payload[0])
            message.ack()
    return found


def rounds(scheduler: Any, count: int = 4) -> None:
    for _ in range(count):
        scheduler.tick()


class TestDatabaseSchedules(SchedulesContract):
    @pytest.fixture(autouse=True)
    def close_connections(self, schedules: Schedules, database: str) -> Iterator[None]:
        yield
        connections[database].close()

    def test_what_the_table_cannot_hold_is_refused_and_nothing_is_kept(self, schedules: Schedules) -> None:
        with pytest.raises(ScheduleError, match="whole seconds"):
            schedules.add("long", NOTE, every=10_000.5, args=["x", "due"])
        with pytest.raises(ScheduleError, match="its queue has 201 characters"):
            schedules.add("long", NOTE, every=60, args=["x", "due"], queue="q" * 201)
        assert schedules.list() == []


def test_what_was_made_in_the_admin_is_shown_as_it_is(schedules: Schedules) -> None:
    from django_celery_beat.models import CrontabSchedule, PeriodicTask, SolarSchedule

    crontab = CrontabSchedule.objects.create(minute="0, 30", hour="7", timezone="Europe/Berlin")
    solar = SolarSchedule.objects.create(event="sunset", latitude="52.5", longitude="13.4")
    PeriodicTask.objects.create(name="a", task="anything", crontab=crontab, queue="")
    PeriodicTask.objects.create(name="b", task="anything", solar=solar, kwargs="")
    first, second = schedules.list()
    assert (first.kind, first.crontab, first.timezone) == ("crontab", "0,30 7 * * *", "Europe/Berlin")
    assert (second.kind, second.solar) == ("solar", "sunset at 52.500000, 13.400000")


def test_what_is_due_is_sent_and_noted_at_once(app: Celery, schedules: Schedules, scheduler: Any) -> None:
    schedules.add("hourly", NOTE, every=3600, args=["hourly", "due"])
    schedules.add("not now", NOTE, every=3600, args=["not now", "due"])
    schedules.add("switched off", NOTE, every=3600, args=["off", "due"], enabled=False)
    make_due("hourly")
    rounds(scheduler)
    assert sent(app) == [["hourly", "due"]]
    last = schedules.get("hourly").last_run_at
    assert last is not None
    assert last >= NOW
    assert schedules.get("not now").last_run_at is None


def test_a_beat_that_begins_again_sends_nothing_twice(
    app: Celery, store: OrmStore, schedules: Schedules, scheduler: Any
) -> None:
    schedules.add("hourly", NOTE, every=3600, args=["hourly", "due"])
    make_due("hourly")
    rounds(scheduler)
    scheduler.close()
    again = make_scheduler(app, store)
    rounds(again)
    again.close()
    assert sent(app) == [["hourly", "due"]]


def test_what_happens_once_is_sent_once_and_remembered(
    app: Celery, schedules: Schedules, scheduler: Any
) -> None:
    schedules.add("once", NOTE, at="2090-01-01T00:00:00+00:00", args=["once", "due"])
    rounds(scheduler)
    assert sent(app) == []
    clocked = row("once").clocked
    clocked.clocked_time = NOW  # its time has come
    clocked.save()
    for _ in range(3):
        rounds(scheduler)
        schedules.add(f"another {_}", NOTE, every=3600, args=["x", "due"])  # so that all is read again
    assert sent(app) == [["once", "due"]]
    assert schedules.get("once").done
    assert not row("once").enabled

    schedules.enable("once")
    rounds(scheduler)
    assert sent(app) == []


def test_a_change_is_seen_although_the_clock_of_who_made_it_is_behind(
    app: Celery, schedules: Schedules, scheduler: Any
) -> None:
    from django_celery_beat.models import PeriodicTasks

    schedules.add("first", NOTE, every=3600, args=["x", "due"])
    rounds(scheduler)
    schedules.add("second", NOTE, every=3600, args=["second", "due"])
    make_due("second")
    PeriodicTasks.objects.update(last_update=NOW - dt.timedelta(hours=1))
    rounds(scheduler)
    assert sent(app) == [["second", "due"]]


def test_the_first_schedule_of_all_is_seen(app: Celery, schedules: Schedules, scheduler: Any) -> None:
    rounds(scheduler)
    schedules.add("first", NOTE, every=3600, args=["first", "due"])
    make_due("first")
    rounds(scheduler)
    assert sent(app) == [["first", "due"]]


def test_what_is_switched_off_while_it_is_sent_stays_off(schedules: Schedules, scheduler: Any) -> None:
    schedules.add("hourly", NOTE, every=3600, args=["x", "due"])
    rounds(scheduler, 1)
    entry = scheduler.schedule["hourly"]
    schedules.disable("hourly")
    next(entry).save()
    assert schedules.get("hourly").enabled is False


def test_of_two_beats_the_second_sends_only_when_the_first_has_ended(
    app: Celery, store: OrmStore, schedules: Schedules, scheduler: Any
) -> None:
    second = make_scheduler(app, store)
    schedules.add("hourly", NOTE, every=3600, args=["hourly", "due"])
    rounds(scheduler)
    rounds(second)
    make_due("hourly")
    rounds(second)
    assert sent(app) == []
    scheduler.close()
    rounds(second)
    assert sent(app) == [["hourly", "due"]]
    second.close()


def test_without_its_tables_beat_waits_and_says_what_mends_it_once(
    app: Celery,
    schedules: Schedules,
    scheduler: Any,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    schedules.add("hourly", NOTE, every=3600, args=["hourly", "due"])
    make_due("hourly")
    names = ("django_celery_beat_periodictask", "elsewhere")
    rename(database, *names)
    try:
        assert scheduler.tick() == 1
        rounds(scheduler)
        with pytest.raises(ServiceUnavailable, match=r"manage\.py migrate"):
            schedules.list()
    finally:
        rename(database, *reversed(names))
    assert [record.message for record in caplog.records if "beat waits" in record.message] != []
    assert len([record for record in caplog.records if record.name == "jsorc.serv.beat"]) == 1
    rounds(scheduler)
    assert sent(app) == [["hourly", "due"]]


def rename(alias: str, old: str, new: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")
