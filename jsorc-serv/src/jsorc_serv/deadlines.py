"""Ends the wait for a PostgreSQL that does not answer any more: its socket is shut down at a deadline.

A server keeps its own timeouts as long as it runs. One that is stopped keeps none, and libpq then waits for
ever. How long to wait is decided in `store`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Watch", "Watchdog"]


class Watch:
    """One wait that is watched.

    Attributes:
        due: When it is over, by the monotonic clock.
        expired: Whether it was ended.
    """

    __slots__ = ("_socket", "due", "expired")

    def __init__(self, due: float, watched: socket.socket) -> None:
        self.due = due
        self.expired = False
        self._socket = watched

    def end(self) -> None:
        """Shuts the connection down, so that who reads from it finds its end."""
        self.expired = True
        with contextlib.suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """The thread that ends waits; it runs only while there are some."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """In the child of a fork: the thread and the waits are the parent's."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._watches: set[Watch] = set()
        self._sockets: weakref.WeakKeyDictionary[Any, socket.socket] = weakref.WeakKeyDictionary()
        self._awake_at: float | None = None
        """When the thread looks next; None where there is no thread."""

    @contextmanager
    def watching(self, connection: Any, seconds: float) -> Iterator[Watch]:
        """Watches a connection during a block.

        Args:
            connection: A connection of psycopg that is open.
            seconds: How long the block may take.

        Yields:
            What tells whether the block was ended.
        """
        watch = Watch(time.monotonic() + seconds, self._socket_of(connection))
        with self._lock:
            self._watches.add(watch)
            if self._awake_at is None:
                self._awake_at = watch.due
                threading.Thread(target=self._run, name="jsorc-serv-deadlines", daemon=True).start()
            elif watch.due < self._awake_at:
                self._wake.set()
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.discard(watch)

    def _socket_of(self, connection: Any) -> socket.socket:
        """A copy of the connection's socket, whose number could be another file's when it is shut down."""
        with self._lock:
            copy = self._sockets.get(connection)
            if copy is None:
                copy = socket.socket(fileno=os.dup(connection.fileno()))
                self._sockets[connection] = copy
                weakref.finalize(connection, copy.close)
            return copy

    def _run(self) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                for watch in [watch for watch in self._watches if watch.due <= now]:
                    self._watches.remove(watch)
                    watch.end()
                # Short waits are over long before the thread looks, so it is begun anew once in a while only.
                self._awake_at = min((watch.due for watch in self._watches), default=None)
                if self._awake_at is None:
                    return
                self._wake.clear()
                pause = self._awake_at - now
            self._wake.wait(pause)
