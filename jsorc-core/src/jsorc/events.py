"""Tells listeners of every change of state: in order, once, each on a thread of its own.

A listener that is slow or fails delays nobody but itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jsorc.clock import SYSTEM, Clock
from jsorc.redaction import get_logger

if TYPE_CHECKING:
    from jsorc.service import CommonService, ServiceState

__all__ = ["Announcer"]

log = get_logger("jsorc.events")

BACKLOG = 10_000
"""Events that are kept for a listener that does not keep up; the log says when older ones are dropped."""

Listener = Callable[..., Any]


class Announcer:
    """Hands each change of state to every implementation of `jsorc_state_changed`.

    Args:
        listeners: Gives the names and functions to tell, asked at each change.
        clock: The clock of the deadline of `close`.
    """

    def __init__(self, listeners: Callable[[], list[tuple[str, Listener]]], clock: Clock = SYSTEM) -> None:
        self._listeners = listeners
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def announce(
        self,
        service: CommonService[Any],
        old: ServiceState,
        new: ServiceState,
        error: BaseException | None,
    ) -> None:
        """Queues a change for every listener; it returns at once."""
        listeners = self._listeners()
        if not listeners:
            return
        event = {"service": service, "old": old, "new": new, "error": error}
        with self._lock:
            for name, listener in listeners:
                line = self._lines.get(name)
                if line is None:
                    line = self._lines[name] = _Line(name)
                line.put(listener, event)

    def close(self, timeout: float) -> None:
        """Gives the listeners `timeout` seconds to hear what is queued, then lets them go."""
        deadline = self._clock.monotonic() + timeout
        for line in list(self._lines.values()):
            line.close()
        for line in list(self._lines.values()):
            if not self._clock.wait(line.ended, max(0.0, deadline - self._clock.monotonic())):
                log.warning("listener %s did not hear all changes of state before the stop", line.name)


class _Line:
    """The queue and the thread of one listener."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = threading.Event()
        self._ready = threading.Condition()
        self._events: deque[tuple[Listener, dict[str, Any]]] = deque()
        self._closing = False
        self._dropped = 0
        threading.Thread(target=self._tell, name=f"jsorc-events-{name}", daemon=True).start()

    def put(self, listener: Listener, event: dict[str, Any]) -> None:
        with self._ready:
            if len(self._events) >= BACKLOG:
                self._events.popleft()
                self._dropped += 1
                if self._dropped == 1:
                    log.error(
                        "listener %s is more than %d changes behind; the oldest are dropped",
                        self.name,
                        BACKLOG,
                    )
            self._events.append((listener, event))
            self._ready.notify()

    def close(self) -> None:
        with self._ready:
            self._closing = True
            self._ready.notify()

    def _tell(self) -> None:
        while True:
            with self._ready:
                while not self._events and not self._closing:
                    self._ready.wait()
                if not self._events:
                    self.ended.set()
                    return
                listener, event = self._events.popleft()
            try:
                listener(**event)
            except (Exception, SystemExit):
                log.exception("listener %s failed on %s -> %s", self.name, event["old"], event["new"])
