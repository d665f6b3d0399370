"""Schedules in Redis, as RedBeat keeps and reads them.

RedBeat also sees to it that one beat at a time is active among the replicas.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jsorc.errors import ServiceUnavailable
from jsorc.redaction import mask_text
from jsorc_task.schedules import CRONTAB_FIELDS, Schedule, Schedules, crontab_of

__all__ = ["RedBeatSchedules"]

_TIMEOUT = 2.0
_CLAIM = ""


class RedBeatSchedules(Schedules):
    """The schedules in one Redis.

    Args:
        app: The Celery application.
        url: The Redis.
    """

    def __init__(self, app: Any, url: str) -> None:
        super().__init__(app)
        if getattr(app, "redbeat_redis", None) is None:
            # RedBeat's own client would try again for as long as half a minute.
            app.redbeat_redis = redis.Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=_TIMEOUT,
                socket_connect_timeout=_TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from redbeat.schedulers import RedBeatSchedulerEntry, ensure_conf

            ensure_conf(app)
        self._client: Any = app.redbeat_redis
        self._entry: Any = RedBeatSchedulerEntry
        self._index: str = app.redbeat_conf.schedule_key

    def delete(self, name: str) -> bool:
        """Deletes a schedule; whether there was one."""
        with self._answering(), self._client.pipeline() as pipe:
            pipe.zrem(self._index, self._key(name))
            pipe.delete(self._key(name))
            return bool(pipe.execute()[1])

    def _create(self, schedule: Schedule) -> bool:
        entry = self._entry(
            name=schedule.name,
            task=schedule.task,
            schedule=_celery_schedule(schedule),
            args=schedule.args,
            kwargs=schedule.kwargs,
            options={"queue": schedule.queue} if schedule.queue else {},
            enabled=schedule.enabled,
            app=self._app,
        )
        if schedule.kind == "once":
            entry.last_run_at = None  # else it would count as done before its time
        with self._answering():
            # An empty definition claims the name: RedBeat never sees it, since it is not in the index yet.
            if not self._client.hsetnx(entry.key, "definition", _CLAIM):
                return False
            try:
                entry.save()
            except redis.RedisError:
                self._client.delete(entry.key)
                raise
        return True

    def _read(self, name: str) -> Schedule | None:
        with self._answering():
            try:
                return _schedule_of(self._entry.from_key(self._key(name), app=self._app))
            except KeyError:
                return None

    def _read_all(self) -> Sequence[Schedule]:
        found: list[Schedule] = []
        with self._answering():
            for key in self._client.zrange(self._index, 0, -1):
                try:
                    found.append(_schedule_of(self._entry.from_key(key, app=self._app)))
                except KeyError:
                    continue  # deleted this moment
        return found

    def _switch(self, name: str, enabled: bool) -> None:
        with self._answering():
            try:
                entry = self._entry.from_key(self._key(name), app=self._app)
            except KeyError:
                return
            entry.enabled = enabled
            entry.save()

    def _key(self, name: str) -> str:
        return str(self._entry.generate_key(self._app, name))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise ServiceUnavailable(
                mask_text(f"The Redis of the schedules does not answer: {str(error) or type(error).__name__}")
            ) from error


def _celery_schedule(schedule: Schedule) -> Any:
    if schedule.every is not None:
        from celery.schedules import schedule as interval

        return interval(run_every=dt.timedelta(seconds=schedule.every))
    if schedule.crontab is not None:
        return crontab_of(schedule.crontab)
    from redbeat.schedules import rrule

    return rrule("SECONDLY", dtstart=schedule.at, count=1)


def _schedule_of(entry: Any) -> Schedule:
    from redbeat.schedules import rrule

    when = entry.schedule
    facts: dict[str, Any] = {"kind": "interval"}
    if isinstance(when, rrule):
        facts = {"kind": "once", "at": when.dtstart.astimezone(dt.UTC)}
    elif hasattr(when, "_orig_minute"):
        fields = " ".join(str(getattr(when, f"_orig_{field}")) for field in CRONTAB_FIELDS)
        facts = {"kind": "crontab", "crontab": fields}
    else:
        facts["every"] = when.run_every.total_seconds()
    return Schedule(
        name=entry.name,
        task=entry.task,
        args=list(entry.args or ()),
        kwargs=dict(entry.kwargs or {}),
        queue=(entry.options or {}).get("queue"),
        enabled=bool(entry.enabled),
        last_run_at=entry.last_run_at if entry.total_run_count or facts["kind"] == "once" else None,
        **facts,
    )
