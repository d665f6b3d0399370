"""The one clock that decides every deadline, probe and backoff.

Whoever waits or measures takes a `Clock`, so that a test can replace it; the wall clock is asked nowhere.
"""

from __future__ import annotations

import threading
import time

__all__ = ["SYSTEM", "Clock"]


class Clock:
    """Monotonic time, and waiting by it.

    A replacement (`jsorc.testing.clock.FakeClock`) overrides both methods together.
    """

    def monotonic(self) -> float:
        """Return seconds that only ever grow; meaningful only as differences."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        """Wait until `event` is set, at most `timeout` seconds.

        Args:
            event: What to wait for.
            timeout: Seconds; None waits without limit, zero and less only look.

        Returns:
            Whether the event is set after waiting.
        """
        return event.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))


SYSTEM = Clock()
"""The system's monotonic clock; it holds no state."""
