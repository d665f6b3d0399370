"""The live picture of one orchestrator: taken at most a few times a second, sent to whoever watches.

A watcher that is slow misses pictures in between and never holds one back; how it is sent is in `page`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from jsorc import Orchestrator, hookimpl
from jsorc_serv.status.picture import for_anybody, picture

__all__ = ["Feed", "Full", "Picture", "feed_of"]

FRESH = 0.2
"""Seconds that a picture serves everybody."""
LOOK = 1.0
"""Seconds between two looks at what nobody announces, such as probes."""
BEAT = 5.0
"""Seconds without news after which a watcher is sent a sign of life."""
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

    async def watch(self, everybody: bool) -> AsyncIterator[str]:
        """Gives events, as EventSource understands them, until the watcher goes or its time is over.

        Args:
            everybody: Whether only the public part is sent.

        Yields:
            `status` with a picture as JSON, or `beat`.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self._watchers[woken] = loop
        try:
            ends = loop.time() + LIFETIME
            sent, told = -1, loop.time()
            yield "retry: 2000\n\n"
            while not self._closed and loop.time() < ends:
                present = await asyncio.to_thread(self.now)
                if present.version != sent:
                    sent, told = present.version, loop.time()
                    yield f"event: status\ndata: {json.dumps(present.seen_by(everybody))}\n\n"
                elif loop.time() - told >= BEAT:
                    told = loop.time()
                    yield "event: beat\ndata:\n\n"
                try:
                    await asyncio.wait_for(woken.wait(), LOOK)
                except TimeoutError:
                    continue
                woken.clear()
        finally:
            self._watchers.pop(woken, None)

    def admit(self) -> None:
        """Refuses a watcher where there are enough.

        Raises:
            Full: There are `MOST` of them.
        """
        if self._closed or len(self._watchers) >= MOST:
            raise Full(f"{MOST} watch already")

    def _take(self) -> Picture:
        assert self._orchestrator is not None, "feed_of() attaches"
        self._stale = False
        whole = picture(self._orchestrator)
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


class _Listener:
    """Hears of the changes of state, which the orchestrator tells on a thread of their own."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    @hookimpl
    def jsorc_state_changed(self) -> None:
        self._feed.news()


def feed_of(orchestrator: Orchestrator) -> Feed:
    """Gives the one feed of an orchestrator."""
    feed = orchestrator.shared(Feed)
    feed.attach(orchestrator)
    return feed
