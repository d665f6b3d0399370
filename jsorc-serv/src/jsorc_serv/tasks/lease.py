"""The lease of beat: of all that could send what is scheduled, one at a time does, wherever they run.

Who holds it renews a global of the hook; what is done with it is the scheduler's. The manner is that of the
leader election of Kubernetes' client-go: a record counts as abandoned when it has not changed for a term on
the observer's own monotonic clock, so that no two clocks need to agree.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from typing import TYPE_CHECKING

from jsorc.clock import SYSTEM, Clock
from jsorc.errors import ServiceUnavailable

if TYPE_CHECKING:
    from jsorc_serv.store import OrmStore

__all__ = ["NAME", "TERM", "Lease"]

NAME = "jsorc.beat"
"""The global that is the lease."""
TERM = 5.0
"""Seconds without a change after which others take it."""
_RENEW = TERM / 4
_TRUST = TERM / 2
"""Seconds for which a lease that cannot be renewed is relied on; what is left of the term is a margin."""


class Lease:
    """The lease, as one process sees it.

    Args:
        store: Where it is kept.
        clock: What decides how old it is.
    """

    def __init__(self, store: OrmStore, clock: Clock = SYSTEM) -> None:
        self._store = store
        self._clock = clock
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._count = 0
        self._mine: str | None = None
        """The record, while it is known to be this process's."""
        self._renewed = 0.0
        self._seen: str | None = None
        """Somebody else's record, and since when it has been that."""
        self._seen_at = 0.0

    def hold(self) -> bool:
        """Takes or renews the lease where that is due.

        Returns:
            Whether this process has it at this moment.

        Raises:
            ServiceUnavailable: The database does not answer, and the lease is not known to be held.
        """
        now = self._clock.monotonic()
        age = now - self._renewed
        if self._mine is not None and age < _RENEW:
            return True
        try:
            return self._renew(self._mine, now) if self._mine is not None else self._take(now)
        except ServiceUnavailable:
            if self._mine is not None and age < _TRUST:
                return True
            self._mine = None
            raise

    def release(self) -> None:
        """Gives the lease up, so that another process need not wait for its end.

        Raises:
            ServiceUnavailable: The database does not answer; the others wait.
        """
        if self._mine is not None:
            mine, self._mine = self._mine, None
            self._store.replace_glob(NAME, mine, self._record(None))

    def _take(self, now: float) -> bool:
        found = self._store.load_globs([NAME]).get(NAME)
        if found is None:
            found = self._store.create_glob(NAME, self._record(None))
        holder = json.loads(found)["holder"]
        if holder is None or holder == self._holder:  # the latter: a renewal whose outcome was not heard of
            return self._renew(found, now)
        if found != self._seen:
            self._seen, self._seen_at = found, now
            return False
        return now - self._seen_at >= TERM and self._renew(found, now)

    def _renew(self, known: str, now: float) -> bool:
        renewed = self._record(self._holder)
        kept = self._store.replace_glob(NAME, known, renewed)
        self._mine = renewed if kept else None
        self._renewed = now
        return kept

    def _record(self, holder: str | None) -> str:
        self._count += 1
        return json.dumps({"holder": holder, "count": self._count})
