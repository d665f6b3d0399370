"""The live picture of one orchestrator: taken at most a few times a second, sent to whoever watches.

A watcher that is slow misses pictures in between and never holds one back; how it is sent is in `page`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from jsorc import CommonService, Orchestrator, ServiceState, hookimpl
from jsorc.redaction import mask_text
from jsorc_serv.status.picture import for_anybody, picture

__all__ = ["Feed", "Full", "Picture", "Watch", "feed_of"]

FRESH = 0.2
"""Seconds that a picture serves everybody."""
LOOK = 1.0
"""Seconds between two looks at what nobody announces, such as probes."""
BEAT = 5.0
"""Seconds without news after which a watcher is sent a sign of life."""
REMEMBERED = 30
"""Changes of state that a picture tells of."""
LIFETIME = 300.0
"""Seconds after which a watcher must come again, and show again who it is."""
MOST = 100
"""Watchers at a time."""
_VOLATILE = ("since_seconds", "next_attempt_seconds")
"""What of a service changes by itself; no news is sent for it."""


class Full(Exception):
    """There are as many watchers as there may be."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        version: Grows with everything that is news.
        whole: What somebody sees who has logged in.
        public: What anybody sees where the states are public.
    """

    version: int
    whole: dict[str, Any]
    public: dict[str, Any]

    def seen_by(self, everybody: bool) -> dict[str, Any]:
        """The part for everybody, or the whole."""
        return self.public if everybody else self.whole


class Feed:
    """The pictures of one orchestrator, and who watches them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._orchestrator: Orchestrator | None = None
        self._closed = False
        self._changes: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self.after_fork()

    def after_fork(self) -> None:
        """In the child of a fork: nobody watches there, and another thread may have held the lock."""
        self._lock = threading.Lock()
        self._attaching = threading.Lock()
        self._picture: Picture | None = None
        self._compared: Any = None
        self._taken = float("-inf")
        self._stale = False
        self._watchers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def attach(self, orchestrator: Orchestrator) -> None:
        """Says whose pictures are taken, and hears of its changes from now on; once."""
        with self._attaching:
            if self._orchestrator is None:
                orchestrator.listen(_Listener(self), "jsorc-serv-status")
                self._orchestrator = orchestrator

    def now(self) -> Picture:
        """Gives the present picture, at most a fraction of a second old, and newer than the last news."""
        with self._lock:
            present = self._picture
            if present is None or self._stale or self._clock() - self._taken > FRESH:
                present = self._take()
            return present

    def changed(self, service: CommonService[Any], state: ServiceState, error: BaseException | None) -> None:
        """Takes note of a change of state, however short it lasts; see `news`."""
        why = mask_text(f"{type(error).__name__}: {error}") if error is not None else None
        self._changes.append({"at": time.time(), "service": service.name, "state": str(state), "error": why})
        self.news()

    def news(self) -> None:
        """Tells that something changed: the next picture is a new one, and the watchers are woken."""
        self._stale = True  # before the lock is free: a picture that is being taken may be too old already
        for woken, loop in list(self._watchers.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

    def close(self) -> None:
        """Ends every watcher's stream, so that a server can stop."""
        self._closed = True
        self.news()

    def watch(self, everybody: bool) -> Watch:
        """Lets somebody watch.

        Args:
            everybody: Whether only the public part is sent.

        Returns:
            The events as they come; they end when it is closed.

        Raises:
            Full: There are `MOST` watchers.
        """
        with self._lock:
            if self._closed or len(self._watchers) >= MOST:
                raise Full(f"{MOST} watch already; ask again later")
            watch = Watch(self, everybody)
            self._watchers[watch.woken] = asyncio.get_running_loop()
        return watch

    def leave(self, woken: asyncio.Event) -> None:
        """Forgets a watcher."""
        self._watchers.pop(woken, None)

    @property
    def is_closed(self) -> bool:
        """Whether every stream is to end."""
        return self._closed

    def _take(self) -> Picture:
        assert self._orchestrator is not None, "feed_of() attaches"
        self._stale = False
        whole = {**picture(self._orchestrator), "changes": list(self._changes)}
        compared = {
            **whole,
            "services": [
                {key: value for key, value in service.items() if key not in _VOLATILE}
                for service in whole["services"]
            ],
        }
        before = self._picture
        changed = before is None or compared != self._compared
        version = (before.version if before is not None else 0) + changed
        self._compared, self._taken = compared, self._clock()
        self._picture = Picture(version, whole, for_anybody(whole))
        return self._picture


class Watch:
    """The events of one watcher, as EventSource understands them: `status` with a picture as JSON, or `beat`.

    It counts as a watcher from the beginning until `close`, also if nothing is ever read from it.

    Args:
        feed: Whose pictures it sends.
        everybody: Whether only the public part is sent.
    """

    def __init__(self, feed: Feed, everybody: bool) -> None:
        self.woken = asyncio.Event()
        """Set when there is news."""
        self._feed = feed
        self._everybody = everybody

    def close(self) -> None:
        """Lets the next one watch; Django calls it when the response is over, however it ended."""
        self._feed.leave(self.woken)

    async def __aiter__(self) -> AsyncIterator[str]:
        """Gives events until the feed is closed or the watcher's time is over."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + LIFETIME
        sent, told = -1, loop.time()
        yield "retry: 2000\n\n"
        while not self._feed.is_closed and loop.time() < ends:
            present = await asyncio.to_thread(self._feed.now)
            if present.version != sent:
                sent, told = present.version, loop.time()
                yield f"event: status\ndata: {json.dumps(present.seen_by(self._everybody))}\n\n"
            elif loop.time() - told >= BEAT:
                told = loop.time()
                yield "event: beat\ndata:\n\n"
            try:
                await asyncio.wait_for(self.woken.wait(), LOOK)
            except TimeoutError:
                continue
            self.woken.clear()


class _Listener:
    """Hears of the changes of state, which the orchestrator tells on a thread of their own."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    @hookimpl
    def jsorc_state_changed(
        self, service: CommonService[Any], new: ServiceState, error: BaseException | None
    ) -> None:
        self._feed.changed(service, new, error)


def feed_of(orchestrator: Orchestrator) -> Feed:
    """Gives the one feed of an orchestrator."""
    feed = orchestrator.shared(Feed)
    feed.attach(orchestrator)
    return feed
