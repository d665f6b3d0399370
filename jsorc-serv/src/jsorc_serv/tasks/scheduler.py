"""The scheduler of beat: django-celery-beat's, while this process has the lease, and for as long as it takes.

A database or lease that is not to be had makes it wait, never end. Import it only where Django is set up.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import schedstate
from django.db import router
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
from django_celery_beat.utils import NEVER_CHECK_TIMEOUT

from jsorc.errors import JsOrcError, ServiceUnavailable
from jsorc.redaction import get_logger
from jsorc_serv.store import OrmStore
from jsorc_serv.tasks.lease import Lease

__all__ = ["LeasedEntry", "LeasedScheduler"]

log = get_logger("jsorc.serv.beat")

_STATEMENTS = 8
"""How many a round of beat may make before its database is given up."""


class LeasedEntry(ModelEntry):  # type: ignore[misc]  # django-celery-beat has no types
    """One schedule in the hands of beat; what it notes in the row touches nothing else of the row."""

    def is_due(self) -> Any:
        """Whether it is to be sent now, and when to ask again."""
        if self.model.one_off and self.model.enabled and self.model.total_run_count:
            # The model itself would forget, as it is saved, that its one time came.
            self._note(enabled=False, total_run_count=0)
            return schedstate(is_due=False, next=NEVER_CHECK_TIMEOUT)
        return super().is_due()

    def save(self) -> None:
        """Notes when it was sent; a change that somebody makes to the row meanwhile stays."""
        self._note(last_run_at=self.model.last_run_at, total_run_count=self.model.total_run_count)

    def _note(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.model, name, value)
        PeriodicTask.objects.filter(pk=self.model.pk).update(**values)


class LeasedScheduler(DatabaseScheduler):  # type: ignore[misc]  # django-celery-beat has no types
    """Sends what is due while this process has the lease.

    Args:
        store: The hook's tables, of which one row is the lease.
        options: What Celery gives a scheduler.
    """

    Entry = LeasedEntry

    def __init__(self, *args: Any, store: OrmStore, lazy: bool = False, **options: Any) -> None:
        self._store = store
        self._lease = Lease(store)
        self._leading = False
        self._complaint: str | None = None
        # Its schedules are set up when it leads, since it may have to wait for the database.
        super().__init__(*args, lazy=True, **options)
        # Else what was sent would be noted minutes later, and sent again after a crash.
        self.sync_every_tasks = 1

    def tick(self, *args: Any, **options: Any) -> float:
        """Makes one round.

        Returns:
            Seconds until the next.
        """
        pause: float = self.max_interval
        try:
            if not self._lead():
                return pause
            with self._store.session(router.db_for_write(PeriodicTask), statements=_STATEMENTS):
                if not self._leading:
                    self._begin()
                pause = super().tick(*args, **options)
        except JsOrcError as error:
            self._complain(error)
        else:
            self._complaint = None
        return pause

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Sends a task, unless the lease was lost while the broker was waited for."""
        if self._lead():
            super().apply_entry(entry, producer=producer)

    def schedule_changed(self) -> bool:
        """Whether any schedule was changed, by whomever, with whatever clock."""
        before = self._last_timestamp
        return bool(super().schedule_changed()) or self._last_timestamp != before

    def install_default_entries(self, data: Any) -> None:
        """Adds Celery's own schedule, where results do not expire by themselves."""
        if not self.app.backend.supports_autoexpire:
            super().install_default_entries(data)

    def close(self) -> None:
        """Notes what was sent, and gives the lease up."""
        super().close()
        try:
            self._lease.release()
        except ServiceUnavailable as error:
            self._complain(error)

    def _lead(self) -> bool:
        held = self._lease.hold()
        if not held and self._leading:
            log.warning("another beat has the lease now; this one waits")
            self._leading = False
        return held

    def _begin(self) -> None:
        """Reads everything anew: what was known is of the time when this process last led, if it did."""
        self._dirty.clear()
        self._schedule, self._heap, self._last_timestamp = None, None, None
        self._initial_read = True
        self.setup_schedule()
        self._leading = True
        log.info("this beat has the lease, and sends what is due")

    def _complain(self, error: JsOrcError) -> None:
        """Logs an error, once for as long as it lasts."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            log.warning("beat waits for its database: %s", error)
