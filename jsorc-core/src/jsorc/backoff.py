"""How long to wait before a failed service is tried again: exponential backoff with equal jitter.

The shape is the one that the AWS Architecture Blog describes under "Exponential Backoff And Jitter": half of
the delay is kept, half is drawn, so that replicas spread out without one of them trying at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["Backoff"]


class Backoff:
    """The attempts of one service.

    Args:
        base: Seconds of the first delay.
        cap: Seconds that no delay exceeds.
        reset_after: Seconds of health after which the delays begin anew.
        draw: Gives a float from 0 to 1.
    """

    __slots__ = ("_base", "_cap", "_draw", "_reset_after", "due", "failures", "healthy_since")

    def __init__(
        self,
        base: float = 1.0,
        cap: float = 60.0,
        reset_after: float = 600.0,
        draw: random.Random | None = None,
    ) -> None:
        self._base, self._cap, self._reset_after = base, cap, reset_after
        if draw is None:
            from random import Random  # here, since `import jsorc` is to be fast

            draw = Random()
        self._draw = draw
        self.failures = 0
        """Failures in a row, as far as they count."""
        self.due: float | None = None
        """When the next attempt is due, in the clock's seconds; None when none is."""
        self.healthy_since: float | None = None
        """Since when it is healthy, in the clock's seconds; None when it is not."""

    def failed(self, now: float) -> float:
        """Notes a failure and returns when the next attempt is due."""
        if self.healthy_since is not None and now - self.healthy_since >= self._reset_after:
            self.failures = 0
        self.healthy_since = None
        delay: float = min(self._cap, self._base * 2.0 ** min(self.failures, 32))
        self.due = due = now + delay / 2 + self._draw.random() * delay / 2
        self.failures += 1  # after `due`, for whoever waits for the count and then asks when
        return due

    def forgive(self) -> None:
        """Takes the last failure back: what it lacked was provided since."""
        self.failures = max(0, self.failures - 1)

    def succeeded(self, now: float) -> None:
        """Notes that the service is healthy from now on."""
        self.due = None
        self.healthy_since = now
