"""Schedules in Django's database, as django-celery-beat keeps them and Django's admin shows them.

What is checked before is `jsorc_task.schedules`'s; who reads them is `scheduler`. Import it only where Django
is set up.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction
from django.db.models import QuerySet
from django.utils.timezone import make_aware, make_naive
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jsorc_serv.store import OrmStore
from jsorc_task.errors import ScheduleError
from jsorc_task.schedules import CRONTAB_FIELDS, Schedule, Schedules

__all__ = ["DatabaseSchedules"]

_LONGEST_NAME = 200
"""Characters of a task or queue that the tables take."""
_PERIODS = {
    IntervalSchedule.DAYS: 86_400_000_000,
    IntervalSchedule.HOURS: 3_600_000_000,
    IntervalSchedule.MINUTES: 60_000_000,
    IntervalSchedule.SECONDS: 1_000_000,
    IntervalSchedule.MICROSECONDS: 1,
}
"""Microseconds of a period, the longest first."""
_MOST_PERIODS = 2**31 - 1
_STATEMENTS = 12


class DatabaseSchedules(Schedules):
    """The schedules in the database that Django's routers name for them.

    Args:
        app: The Celery application.
        store: The hook's tables, whose connections and deadlines are used.
    """

    def __init__(self, app: Any, store: OrmStore) -> None:
        super().__init__(app)
        self._store = store

    def delete(self, name: str) -> bool:
        """Deletes a schedule; whether there was one."""
        with self._changing() as rows:
            row = rows.filter(name=name).first()
            if row is None:
                return False
            once = row.clocked
            row.delete()
            if once is not None and not once.periodictask_set.exists():
                once.delete()
            return True

    def _create(self, schedule: Schedule) -> bool:
        for what, text in (("task", schedule.task), ("queue", schedule.queue or "")):
            if len(text) > _LONGEST_NAME:
                raise ScheduleError(
                    f"Schedule {schedule.name!r}: the name of its {what} has {len(text)} characters, and the "
                    f"table takes {_LONGEST_NAME}."
                )
        every = _periods(schedule) if schedule.every is not None else None
        with self._changing() as rows:
            if rows.filter(name=schedule.name).exists():
                return False
            try:
                with transaction.atomic(rows.db):
                    rows.create(
                        name=schedule.name,
                        task=schedule.task,
                        args=json.dumps(schedule.args),
                        kwargs=json.dumps(schedule.kwargs),
                        queue=schedule.queue,
                        enabled=schedule.enabled,
                        one_off=schedule.kind == "once",
                        **_when(schedule, every, rows.db),
                    )
            except (IntegrityError, ValidationError):
                if rows.filter(name=schedule.name).exists():  # another one took the name this moment
                    return False
                raise
        return True

    def _read(self, name: str) -> Schedule | None:
        with self._asking() as rows:
            row = rows.filter(name=name).first()
            return _schedule_of(row) if row is not None else None

    def _read_all(self) -> Sequence[Schedule]:
        with self._asking() as rows:
            return [_schedule_of(row) for row in rows.order_by("name")]

    def _switch(self, name: str, enabled: bool) -> None:
        with self._changing() as rows:
            row = rows.select_for_update(of=("self",)).filter(name=name).first()
            if row is not None and not _schedule_of(row).done:
                row.enabled = enabled
                row.save()

    @contextmanager
    def _asking(self) -> Iterator[QuerySet[Any]]:
        with self._store.session(router.db_for_read(PeriodicTask)) as connection:
            yield _rows(connection.alias)

    @contextmanager
    def _changing(self) -> Iterator[QuerySet[Any]]:
        alias = router.db_for_write(PeriodicTask)
        with self._store.session(alias, statements=_STATEMENTS), transaction.atomic(alias):
            yield _rows(alias)


def _rows(alias: str) -> QuerySet[Any]:
    rows: QuerySet[Any] = PeriodicTask.objects.using(alias)
    return rows.select_related("interval", "crontab", "clocked", "solar")


def _periods(schedule: Schedule) -> tuple[int, str]:
    """An interval as the table has it: a whole number of the longest period that divides it."""
    assert schedule.every is not None
    microseconds = round(schedule.every * 1e6)
    for period, length in _PERIODS.items():
        count, rest = divmod(microseconds, length)
        if not rest and count <= _MOST_PERIODS:
            return count, period
    raise ScheduleError(
        f"Schedule {schedule.name!r}: every is {schedule.every!r}; beyond {_MOST_PERIODS / 1e6:.0f} s the "
        "database takes whole seconds only."
    )


def _when(schedule: Schedule, every: tuple[int, str] | None, alias: str) -> dict[str, Any]:
    """The row that says when, which schedules may share."""
    if every is not None:
        return {"interval": _shared(IntervalSchedule, alias, every=every[0], period=every[1])}
    if schedule.crontab is not None:
        fields = dict(zip(CRONTAB_FIELDS, schedule.crontab.split(), strict=True))
        return {"crontab": _shared(CrontabSchedule, alias, timezone=schedule.timezone, **fields)}
    assert schedule.at is not None
    at = schedule.at if settings.USE_TZ else make_naive(schedule.at)
    return {"clocked": ClockedSchedule.objects.using(alias).create(clocked_time=at)}


def _shared(model: Any, alias: str, **fields: Any) -> Any:
    rows = model.objects.using(alias)
    return rows.filter(**fields).first() or rows.create(**fields)


def _schedule_of(row: Any) -> Schedule:
    facts: dict[str, Any]
    if row.interval is not None:
        facts = {"kind": "interval", "every": row.interval.every * _PERIODS[row.interval.period] / 1e6}
    elif row.crontab is not None:
        fields = " ".join(str(getattr(row.crontab, field)).replace(" ", "") for field in CRONTAB_FIELDS)
        facts = {"kind": "crontab", "crontab": fields, "timezone": str(row.crontab.timezone)}
    elif row.clocked is not None:
        facts = {"kind": "once", "at": _aware(row.clocked.clocked_time)}
    else:
        solar = row.solar
        facts = {"kind": "solar", "solar": f"{solar.event} at {solar.latitude}, {solar.longitude}"}
    last = _aware(row.last_run_at)
    done = row.clocked is not None and last is not None and last >= facts["at"]
    return Schedule(
        name=row.name,
        task=row.task,
        args=json.loads(row.args or "[]"),
        kwargs=json.loads(row.kwargs or "{}"),
        queue=row.queue,
        enabled=row.enabled or done,  # beat switches off what it has sent the one time
        last_run_at=last,
        **facts,
    )


def _aware(when: dt.datetime | None) -> dt.datetime | None:
    if when is None:
        return None
    return (when if settings.USE_TZ else make_aware(when)).astimezone(dt.UTC)
