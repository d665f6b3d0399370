"""The end of the log of changes: entries older than `SERV_CONFIG.audit_days` are removed, now and then.

What is logged, and when, is in `audit`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.utils.timezone import now

from jsorc_serv.api.models import AuditEntry

__all__ = ["Pruner"]

EVERY = 3600.0
"""Seconds after which a process looks again."""
CHUNK = 500
"""Entries that one statement removes, so that nobody waits long for its locks."""
MOST = 20
"""Chunks at once; a log that was never pruned takes several times."""


class Pruner:
    """Looks for what is too old at the first change of a process, and then once an hour at most.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due = float("-inf")

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def prune(self, days: int) -> int:
        """Removes what is too old, if it is time to look.

        Args:
            days: How long an entry is kept; 0: for ever.

        Returns:
            How many entries were removed.

        Raises:
            django.db.Error: The database does not do it; it is tried again when it is time.
        """
        if days == 0 or not self._is_due():
            return 0
        oldest, removed = now() - timedelta(days=days), 0
        for _ in range(MOST):
            old = AuditEntry.objects.filter(at__lt=oldest).order_by("at")
            chunk = list(old.values_list("pk", flat=True)[:CHUNK])
            if chunk:
                removed += AuditEntry.objects.filter(pk__in=chunk).delete()[0]
            if len(chunk) < CHUNK:
                break
        return removed

    def _is_due(self) -> bool:
        with self._lock:
            due = self._clock() >= self._due
            if due:
                self._due = self._clock() + EVERY
            return due
