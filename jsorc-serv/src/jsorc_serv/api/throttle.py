"""How often somebody may ask: a bucket that fills evenly, for each user, token or address.

The buckets are this process's own; ten processes let ten times as much through.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Throttles"]

MOST = 10_000
"""Buckets that are kept; beyond that the longest unused is forgotten, and with it what was taken from it."""
_MINUTE = 60.0


class Throttles:
    """The buckets of one orchestrator's site.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, kind: str, who: str, a_minute: int) -> float:
        """Takes one from a bucket.

        Args:
            kind: What is asked for: `reads`, `changes` or `logins`.
            who: Who asks.
            a_minute: How many a minute; as many may come at once. 0: no limit.

        Returns:
            0.0, or the seconds until there is one again.
        """
        return self._look(kind, who, a_minute, take=True)

    def wait(self, kind: str, who: str, a_minute: int) -> float:
        """The seconds until there is one in a bucket, without taking it."""
        return self._look(kind, who, a_minute, take=False)

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _look(self, kind: str, who: str, a_minute: int, *, take: bool) -> float:
        if a_minute <= 0:
            return 0.0
        with self._lock:
            now = self._clock()
            left, then = self._buckets.pop((kind, who), (float(a_minute), now))
            left = min(float(a_minute), left + (now - then) * a_minute / _MINUTE)
            enough = left >= 1.0
            self._buckets[kind, who] = (left - 1.0 if enough and take else left, now)
            if len(self._buckets) > MOST:
                self._buckets.popitem(last=False)
        return 0.0 if enough else (1.0 - left) * _MINUTE / a_minute
