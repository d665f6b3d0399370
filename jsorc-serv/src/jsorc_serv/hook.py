"""The hook on Django's ORM: a unit of work whose commit is one transaction of SQLite or PostgreSQL.

Staging, encoding and merging are `jsorc.unit_of_work.Hook`'s; the tables and what is done with them are in
`store`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from jsorc.unit_of_work import Hook
from jsorc_serv.store import OrmStore

if TYPE_CHECKING:
    from jsorc.orchestrator import Orchestrator
    from jsorc.unit_of_work import Changes

__all__ = ["OrmHook"]


class OrmHook(Hook):
    """A unit of work on Django's ORM, priority 2 under the name `hook`.

    `JsOrc.src("hook")` makes one; nothing is connected until its first operation. A commit is one
    transaction. Inside one of the caller's (`transaction.atomic`, ATOMIC_REQUESTS) everything, what
    `get_or_create_glob` creates too, is part of that one, and final when the outermost block ends well: where
    it is rolled back, so is a commit that had returned. Reads ask the database that the project's routers
    name for reading; where that is a replica, they see a commit when it does.

    Args:
        store: What all hooks of an orchestrator share.
    """

    __slots__ = ("_store",)

    persistent = True

    def __init__(self, store: OrmStore) -> None:
        super().__init__()
        self._store = store

    @classmethod
    def bind(cls, orchestrator: Orchestrator) -> Callable[[], OrmHook]:
        """Makes the factory that `JsOrc.src("hook")` calls.

        Args:
            orchestrator: Whose settings hold where no Django project has its own.

        Returns:
            A callable without arguments.
        """
        return partial(cls, OrmStore(orchestrator))

    def refuse_deadlock(self) -> None:
        """Raises within a transaction of the calling thread on SQLite, which has one writer at a time."""
        self._store.refuse_deadlock()

    def _load_objects(self, ids: Sequence[str]) -> dict[str, str]:
        return self._store.load_objects(ids)

    def _load_globs(self, names: Sequence[str]) -> dict[str, str]:
        return self._store.load_globs(names)

    def _list_object_ids(self, prefix: str, after: str | None, limit: int | None) -> list[str]:
        return self._store.object_ids(prefix, after, limit)

    def _list_glob_names(self, prefix: str) -> list[str]:
        return self._store.glob_names(prefix)

    def _create_glob(self, name: str, encoded: str) -> str:
        return self._store.create_glob(name, encoded)

    def _apply(self, changes: Changes) -> None:
        self._store.apply(changes)
