"""The life of Django's connections where no request ends them: threads that end, forks, lost servers.

Django keeps one connection a thread and database, and closes it when a request ends. Elsewhere nobody would.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import AbstractContextManager, nullcontext

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from jsorc import redaction
from jsorc_serv.deadlines import Watch, Watchdog

__all__ = ["Connections"]


class Connections:
    """What is to be done with the connections that the hooks of one orchestrator use."""

    def __init__(self) -> None:
        self._inherited: list[BaseDatabaseWrapper] = []
        self._threads = threading.local()
        self._watchdog = Watchdog()

    def usable(self, alias: str) -> BaseDatabaseWrapper:
        """Gives this thread's connection, and closes it first where it is known to be broken.

        Args:
            alias: The database, by its key in DATABASES.

        Returns:
            The connection; it connects at its first query.
        """
        connection = connections[alias]
        ends: dict[str, _End] = self._threads.__dict__
        if alias not in ends or ends[alias].connection is not connection:
            redaction.learn(connection.settings_dict)
            ends[alias] = _End(connection, self)
        if connection.errors_occurred and not connection.in_atomic_block:
            # Not at every call: with CONN_MAX_AGE = 0, Django's default, each would connect anew.
            connection.close_if_unusable_or_obsolete()
        return connection

    def watching(
        self, connection: BaseDatabaseWrapper, seconds: float
    ) -> AbstractContextManager[Watch | None]:
        """Ends what is asked during a block when the server does not answer; SQLite has no server.

        Args:
            connection: This thread's connection, which is made here if it was not.
            seconds: How long the block may take.

        Returns:
            A context manager whose value tells whether the block was ended.
        """
        if connection.vendor != "postgresql":
            return nullcontext()
        connection.ensure_connection()
        return self._watchdog.watching(connection.connection, seconds)

    def after_fork(self) -> None:
        """In the child of a fork: the thread connects anew, and the parent's connection is left alone."""
        for alias in self._threads.__dict__:
            self._inherited.append(connections[alias])
            del connections[alias]
        self._threads = threading.local()
        self._watchdog.after_fork()


class _End:
    """Closes a connection when its thread has ended, which is when the thread's local values are dropped.

    A child of a fork drops those of its parent's threads; it keeps their connections, unused, for ever, since
    closing one would end the parent's session or touch the locks on its file. They are dropped as well when
    their owner is, in the middle of anything; the thread goes on then, and so does its connection.
    """

    def __init__(self, connection: BaseDatabaseWrapper, owner: Connections) -> None:
        self.connection = connection
        self._owner = weakref.ref(owner)
        self._inherited = owner._inherited
        self._process = os.getpid()
        self._thread = threading.get_ident()

    def __del__(self) -> None:
        if os.getpid() != self._process:
            self._inherited.append(self.connection)
        elif (
            self._owner() is not None
            and threading.get_ident() == self._thread
            and self.connection.connection is not None
        ):
            self.connection.close()
