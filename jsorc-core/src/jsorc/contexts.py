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
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._kept: dict[str, Any] = {}
        # Reentrant: the constructor of one context may ask for another.
        self._lock = threading.RLock()

    def get(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The persistent instance of a name; made with the arguments when there is none yet."""
        with self._lock:
            if name not in self._kept:
                self._kept[name] = self._make(name, *args, **kwargs)
            return self._kept[name]

    def renew(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A new persistent instance in place of the one before, which stays where making it fails."""
        with self._lock:
            self._kept[name] = self._make(name, *args, **kwargs)
            return self._kept[name]

    def destroy(self, name: str) -> bool:
        """Forgets the persistent instance; whether there was one."""
        with self._lock:
            return self._kept.pop(name, self) is not self

    def forget_lock(self) -> None:
        """After a fork, in the child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()
