"""A clock that stands still until a test moves it.

What is measured by it (deadlines, probes, backoff) then takes no real time; `jsorc.clock` holds the real one.
"""

from __future__ import annotations

import threading

from jsorc.clock import Clock

__all__ = ["FakeClock"]

_LOOK = 0.005
"""Real seconds between two looks at the fake time by a thread that waits for an event as well."""

_ROUNDING = 1e-9
"""Ten steps of 0.1 s must end a wait of 1 s."""


class FakeClock(Clock):
    """Time that moves only by `advance`.

    A thread in `wait` returns as soon as its event is set or the fake time has passed. A test that wants a
    thread to be waiting before it moves the clock calls `await_waiters` first.

    Args:
        start: The first reading, in seconds.

    Example:
        >>> import threading
        >>> clock = FakeClock()
        >>> clock.advance(60)
        >>> clock.monotonic()
        60.0
        >>> clock.wait(threading.Event(), 0)
        False
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._changed = threading.Condition()
        self._due: list[float | None] = []

    def monotonic(self) -> float:
        """Return the fake seconds."""
        with self._changed:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move the time forwards; who waits for a time that has passed returns.

        Raises:
            ValueError: `seconds` is negative: a monotonic clock never goes back.
        """
        if seconds < 0:
            raise ValueError(f"a monotonic clock cannot go back {-seconds} s")
        with self._changed:
            self._now += seconds

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        """Wait until `event` is set or `timeout` fake seconds have passed; return whether it is set."""
        with self._changed:
            due = None if timeout is None else self._now + timeout
            self._due.append(due)
            self._changed.notify_all()
        try:
            while due is None or self.monotonic() < due - _ROUNDING:
                if event.wait(_LOOK):
                    return True
        finally:
            with self._changed:
                self._due.remove(due)
                self._changed.notify_all()
        return event.is_set()

    def waiters(self) -> int:
        """Return how many threads wait by this clock now."""
        with self._changed:
            return len(self._due)

    def next_due(self) -> float | None:
        """Return the earliest fake time that a thread waits for; None when none waits for a time."""
        with self._changed:
            return min((due for due in self._due if due is not None), default=None)

    def await_waiters(self, count: int = 1, timeout: float = 10.0) -> None:
        """Return once at least `count` threads wait by this clock.

        Args:
            count: How many.
            timeout: Real seconds, so that a broken test ends.

        Raises:
            TimeoutError: They did not come.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._due) >= count, timeout):
                raise TimeoutError(f"{len(self._due)} threads wait by this clock, {count} were expected")
