"""Probes: every running service is pinged at its interval, and one that does not answer is reported dead.

Pings run on threads of their own, so that one that hangs delays no other. What follows on a death is
`supervisor`'s and `regeneration`'s.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jsorc.clock import Clock
from jsorc.daemons import Call
from jsorc.errors import DeadlineExceeded, ServiceUnavailable
from jsorc.service import CommonService

__all__ = ["Prober"]

AT_ONCE = 32
"""Pings under way at a time."""
RETRY = 1.0
"""Seconds between probes after the first that timed out."""
SLACK = 64
"""Outdated plans that are kept before they are cleared away."""
SPACING = 0.1
"""Seconds between the beginnings of two probes that reports ask for, however many reports there are."""

Service = CommonService[Any]


@dataclass(slots=True, eq=False)
class Watch:
    """What is known of the probes of one running service."""

    service: Service
    due: float | None = None
    began: float = float("-inf")
    deadline: float = 0.0
    ended: threading.Event | None = None
    reported: bool = False
    timeouts: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=60))


class Prober:
    """The probes of one orchestrator's services; whoever drives it calls `tick`.

    Args:
        clock: The clock of intervals and deadlines.
        died: Told of a service that is dead, and why, on a thread that may take its time.
    """

    def __init__(self, clock: Clock, died: Callable[[Service, BaseException], None]) -> None:
        self.wake = threading.Event()
        """Set when there is something to do before the time that `tick` last returned."""
        self._clock = clock
        self._died = died
        self._lock = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._planned: list[tuple[float, int, Watch]] = []
        self._probing: set[Watch] = set()
        self._order = itertools.count()
        self._next: float | None = None

    def watch(self, service: Service) -> None:
        """Probes a service from now on, in place of any earlier one of its name."""
        with self._lock:
            self._watches[service.name] = watch = Watch(service)
            self._plan(watch, self._clock.monotonic() + service.policy.ping_interval)

    def report(self, service: Service) -> None:
        """Makes the next probe of a service immediate."""
        with self._lock:
            watch = self._watches.get(service.name)
            if watch is None or watch.service is not service:
                return
            if watch in self._probing:
                watch.reported = True  # the probe under way may have had its answer already
            else:
                self._plan_reported(watch)

    def latencies(self, service: Service) -> list[float]:
        """Seconds that the last probes of a service took, the latest last."""
        with self._lock:
            watch = self._watches.get(service.name)
            return list(watch.latencies) if watch is not None and watch.service is service else []

    def clear(self) -> None:
        """Probes nothing any more."""
        with self._lock:
            self._watches.clear()
            self._planned.clear()
            self._probing.clear()
        self.wake.set()

    def tick(self) -> float | None:
        """Begins the probes that are due and gives up those past their deadline; it never waits.

        Returns:
            When to come again, in the clock's seconds, if `wake` is not set before; None: only then.
        """
        now = self._clock.monotonic()
        with self._lock:
            late = [watch for watch in self._probing if now >= watch.deadline]
            self._probing.difference_update(late)
        for watch in late:
            self._timed_out(watch, None)
        while (due := self._next_due()) is not None:
            name = f"jsorc-ping-{due.service.name}"
            Call(functools.partial(self._work, due), name=name, clock=self._clock)
        with self._lock:
            times = [watch.deadline for watch in self._probing]
            if self._planned and len(self._probing) < AT_ONCE:
                times.append(self._planned[0][0])
            self._next = min(times, default=None)
            return self._next

    def _plan(self, watch: Watch, due: float) -> None:
        watch.due = due
        if len(self._planned) > 2 * len(self._watches) + SLACK:
            # What was replaced since would stay until its time comes, and its service with it.
            self._planned = [entry for entry in self._planned if self._is_planned(entry)]
            heapq.heapify(self._planned)
        heapq.heappush(self._planned, (due, next(self._order), watch))
        if self._next is None or due < self._next:
            self.wake.set()

    def _is_planned(self, entry: tuple[float, int, Watch]) -> bool:
        due, _, watch = entry
        return watch.due == due and self._watches.get(watch.service.name) is watch

    def _plan_reported(self, watch: Watch) -> None:
        watch.reported = False
        due = max(self._clock.monotonic(), watch.began + SPACING)
        if watch.due is None or due < watch.due:
            self._plan(watch, due)

    def _next_due(self) -> Watch | None:
        """Takes the next probe that is due and wants a thread; None when there is none, or too many are."""
        now = self._clock.monotonic()
        with self._lock:
            while self._planned and len(self._probing) < AT_ONCE:
                due, _, watch = self._planned[0]
                if watch.due == due and due > now:
                    break
                heapq.heappop(self._planned)
                if watch.due != due:
                    continue
                watch.due = None
                if not self._current(watch):
                    continue
                watch.began, watch.deadline = now, now + watch.service.policy.ping_timeout
                self._probing.add(watch)
                # While an earlier ping hangs there is no thread for another: this one fails at its deadline.
                if watch.ended is None or watch.ended.is_set():
                    watch.service._ping = watch.ended = threading.Event()
                    return watch
        return None

    def _work(self, watch: Watch | None) -> None:
        """Probes one service, and then, on the same thread, whatever else is due."""
        while watch is not None:
            self._probe(watch)
            watch = self._next_due()

    def _probe(self, watch: Watch) -> None:
        service = watch.service
        error: BaseException | None = None
        try:
            if service.ping() is False:
                error = ServiceUnavailable(f"{service.name}: ping() returned False")
        except BaseException as raised:
            error = raised
        assert watch.ended is not None
        watch.ended.set()
        now = self._clock.monotonic()
        with self._lock:
            if watch not in self._probing:
                return  # it was given up, and no later probe waits for its answer
            self._probing.discard(watch)
            watch.latencies.append(now - watch.began)
            if error is None:
                watch.timeouts = 0
                if watch.reported:
                    self._plan_reported(watch)
                else:
                    self._plan(watch, now + service.policy.ping_interval)
                return
        if _is_timeout(error):
            self._timed_out(watch, error)
        elif self._current(watch):
            self._tell(service, error)

    def _timed_out(self, watch: Watch, error: BaseException | None) -> None:
        service, policy = watch.service, watch.service.policy
        with self._lock:
            if not self._current(watch):
                return
            watch.timeouts += 1
            if watch.timeouts < policy.ping_failures:
                self._plan(watch, self._clock.monotonic() + RETRY)
                return
        reason = DeadlineExceeded(
            f"{service.name}: {watch.timeouts} probes in a row had no answer within {policy.ping_timeout:g} s"
        )
        reason.__cause__ = error
        self._tell(service, reason)

    def _tell(self, service: Service, reason: BaseException) -> None:
        # Beside this thread, which has other services to probe: the handlers of a failure may take seconds.
        Call(lambda: self._died(service, reason), name=f"jsorc-failed-{service.name}", clock=self._clock)

    def _current(self, watch: Watch) -> bool:
        return self._watches.get(watch.service.name) is watch and watch.service.is_running()


def _is_timeout(error: BaseException | None) -> bool:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, TimeoutError | DeadlineExceeded):
            return True
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False
