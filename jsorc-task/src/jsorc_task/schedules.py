"""Schedules as an application states them, checked: every so often, by crontab, or once.

`Schedules` holds the calls and the checks; where schedules are kept, and by which beat they are read, is an
implementation's: `redbeat_schedules` here.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from celery.schedules import crontab as celery_crontab
from msgspec import Struct

from jsorc.errors import NotRegistered
from jsorc_task.errors import ScheduleError, TaskArgumentError
from jsorc_task.tasks import find

__all__ = ["CRONTAB_FIELDS", "Schedule", "Schedules", "crontab_of"]

CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .@/:-]{0,199}")
_SHORTEST = 1.0


class Schedule(Struct, frozen=True, kw_only=True):
    """One schedule.

    Attributes:
        name: Its name.
        task: The name of the task that is sent.
        kind: Which of the following says when.
        every: Seconds between two times.
        crontab: Five fields, as in a crontab: minute, hour, day of month, month, day of week.
        at: The one time, with its time zone.
        solar: An event of the sun and where, such as `sunset at 52.5, 13.4`; made in Django's admin only.
        timezone: The time zone of the crontab; another than UTC is given in Django's admin only.
        args: Arguments of the task.
        kwargs: Named arguments of the task.
        queue: The queue that it is sent to; None for the task's own.
        enabled: Whether it is in force.
        last_run_at: When it was last sent; None before that.
    """

    name: str
    task: str
    kind: Literal["interval", "crontab", "once", "solar"]
    every: float | None = None
    crontab: str | None = None
    at: dt.datetime | None = None
    solar: str | None = None
    timezone: str = "UTC"
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    queue: str | None = None
    enabled: bool = True
    last_run_at: dt.datetime | None = None

    @property
    def done(self) -> bool:
        """Whether its one time has passed and the task was sent."""
        return (
            self.kind == "once"
            and self.last_run_at is not None
            and self.at is not None
            and (self.last_run_at >= self.at)
        )


class Schedules(ABC):
    """The schedules of one task service.

    Args:
        app: The Celery application, which knows the tasks.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def add(
        self,
        name: str,
        task: Any,
        *,
        every: float | dt.timedelta | None = None,
        crontab: str | Mapping[str, Any] | None = None,
        at: dt.datetime | str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        enabled: bool = True,
    ) -> Schedule:
        """Adds a schedule; exactly one of `every`, `crontab` and `at` says when.

        Args:
            name: Its name, which must be free.
            task: The task, or its name.
            every: An interval, in seconds if it is a number; the first time is one interval from now.
            crontab: Five fields as text, `"*/5 * * * *"`, or some of them by their names; in UTC.
            at: A time in the future, with a time zone; as text, in ISO format.
            args: Arguments of the task.
            kwargs: Named arguments of the task.
            queue: The queue to send it to.
            enabled: Whether it is in force from now on.

        Returns:
            The schedule.

        Raises:
            ScheduleError: The name is taken or cannot be one, the crontab cannot be read or never comes, or
                the time is past.
            NotRegistered: There is no such task.
            TaskArgumentError: An argument is not JSON, or not one that the task takes.
            ServiceUnavailable: Where schedules are kept does not answer.
        """
        if not _NAME.fullmatch(str(name)):
            raise ScheduleError(
                f"{name!r} cannot name a schedule: that takes 1 to 200 letters, digits, spaces and "
                "_ . @ / : -, the first one a letter, a digit or _."
            )
        if sum(given is not None for given in (every, crontab, at)) != 1:
            raise ScheduleError(f"Schedule {name!r} needs exactly one of every, crontab and at.")
        known = find(self._app, task)
        schedule = Schedule(
            name=name,
            task=known.name,
            kind="interval" if every is not None else "crontab" if crontab is not None else "once",
            every=_seconds(name, every) if every is not None else None,
            crontab=_text_of(name, crontab) if crontab is not None else None,
            at=_future(name, at) if at is not None else None,
            args=list(args),
            kwargs=dict(kwargs or {}),
            queue=queue,
            enabled=enabled,
        )
        _check_arguments(schedule)
        _check_signature(known, schedule)
        check = getattr(known, "check_arguments", None)
        if check is not None:
            check(*args, **(kwargs or {}))
        if not self._create(schedule):
            raise ScheduleError(
                f"There is a schedule named {name!r} already. Delete it first, or use another name."
            )
        return schedule

    def get(self, name: str) -> Schedule:
        """The schedule of a name.

        Raises:
            NotRegistered: There is none.
            ServiceUnavailable: Where schedules are kept does not answer.
        """
        found = self._read(name)
        if found is None:
            near = difflib.get_close_matches(name, [other.name for other in self.list()], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise NotRegistered(f"There is no schedule named {name!r}.{hint}")
        return found

    def list(self) -> list[Schedule]:
        """Every schedule, by name.

        Raises:
            ServiceUnavailable: Where schedules are kept does not answer.
        """
        return sorted(self._read_all(), key=lambda schedule: schedule.name)

    @abstractmethod
    def delete(self, name: str) -> bool:
        """Deletes a schedule; whether there was one.

        Raises:
            ServiceUnavailable: Where schedules are kept does not answer.
        """

    def enable(self, name: str) -> Schedule:
        """Puts a schedule in force.

        Raises:
            NotRegistered: There is none of the name.
        """
        self.get(name)
        self._switch(name, True)
        return self.get(name)

    def disable(self, name: str) -> Schedule:
        """Keeps a schedule without sending its task.

        Raises:
            NotRegistered: There is none of the name.
        """
        self.get(name)
        self._switch(name, False)
        return self.get(name)

    @abstractmethod
    def _create(self, schedule: Schedule) -> bool:
        """Keeps a schedule; False when the name is taken, also when another replica takes it this moment."""

    @abstractmethod
    def _read(self, name: str) -> Schedule | None: ...

    @abstractmethod
    def _read_all(self) -> Sequence[Schedule]: ...

    @abstractmethod
    def _switch(self, name: str, enabled: bool) -> None: ...


def crontab_of(text: str) -> celery_crontab:
    """The schedule of Celery for five fields.

    Raises:
        ValueError: They cannot be read.
    """
    fields = text.split()
    if len(fields) != len(CRONTAB_FIELDS):
        raise ValueError(f"it has {len(fields)} fields, not five: {', '.join(CRONTAB_FIELDS)}")
    return celery_crontab(**dict(zip(CRONTAB_FIELDS, fields, strict=True)))


def _seconds(name: str, every: Any) -> float:
    seconds = every.total_seconds() if isinstance(every, dt.timedelta) else every
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not _SHORTEST <= seconds < 1e10:
        raise ScheduleError(f"Schedule {name!r}: every is {every!r}; it must be at least {_SHORTEST:g} s.")
    return float(seconds)


def _text_of(name: str, crontab: str | Mapping[str, Any]) -> str:
    if isinstance(crontab, Mapping):
        unknown = [str(key) for key in crontab if key not in CRONTAB_FIELDS]
        if unknown:
            raise ScheduleError(
                f"Schedule {name!r}: a crontab has no {', '.join(unknown)}; it has "
                f"{', '.join(CRONTAB_FIELDS)}."
            )
        crontab = " ".join(str(crontab.get(field, "*")).replace(" ", "") for field in CRONTAB_FIELDS)
    try:
        # One that never comes, such as the 30th of February, shows only when its next time is asked for.
        crontab_of(crontab).remaining_delta(dt.datetime.now(dt.UTC))
    except Exception as error:  # its parser raises what it likes
        raise ScheduleError(f"Schedule {name!r}: the crontab {crontab!r} cannot be used: {error}") from error
    return " ".join(crontab.split())


def _future(name: str, at: Any) -> dt.datetime:
    try:
        when = dt.datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError as error:
        raise ScheduleError(f"Schedule {name!r}: at is {at!r}, which is no time in ISO format.") from error
    if not isinstance(when, dt.datetime):
        raise ScheduleError(
            f"Schedule {name!r}: at is {at!r}; it must be a datetime, or a text in ISO format."
        )
    if when.tzinfo is None:
        raise ScheduleError(
            f"Schedule {name!r}: at, {when.isoformat()}, has no time zone; add one, such as UTC."
        )
    if when <= dt.datetime.now(dt.UTC):
        raise ScheduleError(f"Schedule {name!r}: at, {when.isoformat()}, is past.")
    # Schedules are kept to the second; never a moment too early.
    when = when.astimezone(dt.UTC)
    return when if not when.microsecond else when.replace(microsecond=0) + dt.timedelta(seconds=1)


def _check_arguments(schedule: Schedule) -> None:
    try:
        json.dumps([schedule.args, schedule.kwargs], allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskArgumentError(
            f"The arguments of {schedule.task} in schedule {schedule.name!r} are not JSON: {error}"
        ) from error


def _check_signature(task: Any, schedule: Schedule) -> None:
    """What Celery checks as a task is sent, which here would be in beat, where nobody sees it."""
    if not (task.typing and hasattr(task, "__header__")):
        return
    try:
        task.__header__(*schedule.args, **schedule.kwargs)
    except TypeError as error:
        raise TaskArgumentError(
            f"The arguments in schedule {schedule.name!r} do not fit the task {schedule.task}: {error}"
        ) from error
