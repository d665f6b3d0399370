"""Persistent instances of contexts: at most one a name, made at the first `get` and kept until destroyed.

Which class a name stands for is the registry's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Contexts"]


class Contexts:
    """The persistent context instances of one orchestrator.

    Args:
        make: Makes a new instance of the context of a name.
        overridden: Where the instances of a name that is overridden are kept, so that they end with the
            override; None for a name that is not.
    """

    def __init__(self, make: Callable[..., Any], overridden: Callable[[str], dict[str, Any] | None]) -> None:
        self._make = make
        self._overridden = overridden
        self._kept: dict[str, Any] = {}
        self._locks: dict[str, threading.RLock] = {}

    def get(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The persistent instance of a name; made with the arguments when there is none yet."""
        with self._lock(name):
            kept = self._home(name)
            if name not in kept:
                kept[name] = self._make(name, *args, **kwargs)
            return kept[name]

    def renew(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A new persistent instance in place of the one before, which stays where making it fails."""
        with self._lock(name):
            kept = self._home(name)
            kept[name] = made = self._make(name, *args, **kwargs)
            return made

    def destroy(self, name: str) -> bool:
        """Forgets the persistent instance; whether there was one."""
        with self._lock(name):
            return self._home(name).pop(name, self) is not self

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held a lock."""
        self._locks = {}

    def _home(self, name: str) -> dict[str, Any]:
        overridden = self._overridden(name)
        return self._kept if overridden is None else overridden

    def _lock(self, name: str) -> threading.RLock:
        # One a name, so that a constructor that takes long holds up nobody else; reentrant, since it may
        # destroy or renew what it is about to replace.
        return self._locks.setdefault(name, threading.RLock())
