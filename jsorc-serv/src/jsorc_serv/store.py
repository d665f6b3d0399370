"""The tables as the hook uses them: where they are, and each operation as a statement or a transaction.

Staging, encoding and merging are `jsorc.unit_of_work.Hook`'s; what a database's errors mean is in `failures`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.db import Error, router, transaction

from jsorc.errors import ConfigError, DeadlineExceeded, ServiceUnavailable
from jsorc_serv.config import read_config
from jsorc_serv.connections import Connections
from jsorc_serv.failures import explain
from jsorc_serv.readiness import ensure_django

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from jsorc.orchestrator import Orchestrator
    from jsorc.unit_of_work import Changes
    from jsorc_serv.deadlines import Watch
    from jsorc_serv.models import StoredGlob, StoredObject

    Model = type[StoredObject] | type[StoredGlob]

__all__ = ["OrmStore"]

_CREATE_ATTEMPTS = 10
_DELETE_CHUNK = 900
"""Names of one DELETE; Django lets SQLite have 999 parameters."""
_MARGIN = 2.0
"""Seconds that the answer of a living server, that it ended a statement, may take to arrive."""
_WRITE_CHUNK = 5_000
"""Rows of one INSERT on PostgreSQL, which takes 65,535 parameters where they are bound by the server."""


class OrmStore:
    """What the hooks of one orchestrator share.

    Args:
        orchestrator: Whose settings hold where no Django project has its own.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._settings = orchestrator.settings
        self._connections = orchestrator.shared(Connections)
        self._lock = threading.Lock()
        self._prepared: frozenset[str] = frozenset()
        self._statement_timeout: float | None = None

    def load_objects(self, ids: Sequence[str]) -> dict[str, str]:
        """Reads objects in one statement, and so of one moment; missing ones are left out."""
        return self._load(self._models()[0], ids)

    def load_globs(self, names: Sequence[str]) -> dict[str, str]:
        """Reads globals in one statement; missing ones are left out."""
        return self._load(self._models()[1], names)

    def object_ids(self, prefix: str, after: str | None, limit: int | None) -> list[str]:
        """Lists ids in code-point order."""
        return self._names(self._models()[0], prefix, after, limit)

    def glob_names(self, prefix: str) -> list[str]:
        """Lists the names of globals in code-point order."""
        return self._names(self._models()[1], prefix, None, None)

    def create_glob(self, name: str, encoded: str) -> str:
        """Creates a global unless it exists.

        Returns:
            The text that stands afterwards.

        Raises:
            ServiceUnavailable: The database does not answer; the global may have been created.
        """
        model = self._models()[1]
        with self.session(self._write_alias(), statements=4) as connection:
            table = connection.ops.quote_name(model._meta.db_table)
            insert = f"INSERT INTO {table} (id, text) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING"  # noqa: S608
            for _ in range(_CREATE_ATTEMPTS):
                if (standing := _read(connection, model, [name]).get(name)) is not None:
                    return standing
                with transaction.atomic(connection.alias), connection.cursor() as cursor:
                    cursor.execute(insert, [name, encoded])
                    if cursor.rowcount == 1:
                        return encoded
        raise ServiceUnavailable(
            f"the global {name!r} is created and destroyed by others all the time; try again"
        )

    def replace_glob(self, name: str, old: str, new: str) -> bool:
        """Changes the text of a global, if it is still the one that is expected.

        Returns:
            Whether it was.

        Raises:
            ServiceUnavailable: The database does not answer; the global may have been changed.
        """
        model = self._models()[1]
        with self.session(self._write_alias(), statements=3) as connection:
            rows = model._base_manager.using(connection.alias).filter(id=name, text=old)
            return rows.update(text=new) == 1

    def apply(self, changes: Changes) -> None:
        """Makes all changes in one transaction, or within the caller's.

        Raises:
            ServiceUnavailable: The database does not take them; everything was applied or nothing.
            ConfigError: The tables are in two databases, which no transaction spans.
        """
        objects, globs = self._models()
        with (
            self.session(self._write_alias(), commit=True, statements=_statements(changes)) as connection,
            transaction.atomic(connection.alias),
        ):
            _write(connection, objects, changes.objects, changes.destroyed_objects)
            _write(connection, globs, changes.globs, changes.destroyed_globs)

    def refuse_deadlock(self) -> None:
        """Raises where another thread's write would wait for a transaction of this one.

        Raises:
            ServiceUnavailable: This thread is within a transaction on SQLite.
        """
        connection = self._connections.usable(self._write_alias())
        if connection.vendor == "sqlite" and connection.in_atomic_block:
            raise ServiceUnavailable(
                "this would wait for the transaction that it is asked in, since SQLite has one writer at a "
                "time: ask outside transaction.atomic, from transaction.on_commit, or, under "
                "ATOMIC_REQUESTS, in a view that is decorated with @transaction.non_atomic_requests"
            )

    def ask(self) -> None:
        """Asks the database for an answer, and closes this thread's connection; nothing is migrated.

        Raises:
            ServiceUnavailable: It does not answer.
        """
        with self.session(self._write_alias(), prepare=False) as connection:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            finally:
                if not connection.in_atomic_block:
                    connection.close()

    def _load(self, model: Model, names: Sequence[str]) -> dict[str, str]:
        with self.session(router.db_for_read(model)) as connection:
            return _read(connection, model, names)

    def _names(self, model: Model, prefix: str, after: str | None, limit: int | None) -> list[str]:
        with self.session(router.db_for_read(model)) as connection:
            rows = model._base_manager.using(connection.alias).order_by("id")
            if prefix:
                rows = rows.filter(id__gte=prefix)
                if (end := _end_of(prefix)) is not None:
                    rows = rows.filter(id__lt=end)
            if after is not None and after >= prefix:
                rows = rows.filter(id__gt=after)
            return list(rows.values_list("id", flat=True)[:limit])

    def _models(self) -> tuple[type[StoredObject], type[StoredGlob]]:
        ensure_django(self._settings)
        from jsorc_serv.models import StoredGlob, StoredObject

        return StoredObject, StoredGlob

    def _write_alias(self) -> str:
        objects, globs = self._models()
        alias = router.db_for_write(objects)
        other = router.db_for_write(globs)
        if alias != other:
            raise ConfigError(
                f"the database routers keep stored objects in {alias!r} and globals in {other!r}, and a "
                "commit cannot span two databases: send both models of jsorc_serv to one"
            )
        return alias

    @contextmanager
    def session(
        self, alias: str, *, commit: bool = False, prepare: bool = True, statements: int = 1
    ) -> Iterator[BaseDatabaseWrapper]:
        """This thread's connection; it has time for so many statements, and what goes wrong is explained.

        Args:
            alias: The database, by its key in DATABASES.
            commit: Whether staged work is written, whose fate an error then tells.
            prepare: Whether the tables are looked after first.
            statements: How many statements there may be.

        Raises:
            ServiceUnavailable: The database does not answer, or refuses.
            ConfigError: It is of a kind that is not known.
        """
        connection = self._connections.usable(alias)
        watch: Watch | None = None
        try:
            if prepare and alias not in self._prepared:
                self._prepare(connection)
            with self._connections.watching(connection, statements * self._patience()) as watch:
                yield connection
        except Error as error:
            ended = watch is not None and watch.expired
            raise explain(error, connection, commit=commit, ended=ended) from error

    def _patience(self) -> float:
        """Seconds that one statement may take before its server is given up: more than it gives itself."""
        if self._statement_timeout is None:
            self._statement_timeout = read_config(self._settings).database.statement_timeout
        return self._statement_timeout + _MARGIN

    def _prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Checks the kind of a database and, where JsOrc looks after it, migrates it."""
        if connection.vendor not in {"sqlite", "postgresql"}:
            raise ConfigError(
                f"OrmHook keeps its objects in SQLite or PostgreSQL, and DATABASES[{connection.alias!r}] is "
                f"{connection.vendor}: send the models of jsorc_serv elsewhere by a database router"
            )
        if connection.in_atomic_block:
            return  # the tables may be made only outside the caller's transaction, at a later call
        if getattr(django_settings, "JSORC_SERV_MIGRATE", False) or self._settings.database().enabled:
            timeout = read_config(self._settings).database.migrate_timeout
            if not self._lock.acquire(timeout=timeout):
                raise DeadlineExceeded(f"another thread still migrates after {timeout:g} s")
            try:
                if connection.alias not in self._prepared:
                    from jsorc_serv.migrating import migrate_once

                    migrate_once(connection, timeout)
            finally:
                self._lock.release()
        self._prepared |= {connection.alias}


def _statements(changes: Changes) -> int:
    """How many statements a commit takes at most, with those that begin and end its transaction."""
    saved = -(-len(changes.objects) // _WRITE_CHUNK) - (-len(changes.globs) // _WRITE_CHUNK)
    destroyed = -(-len(changes.destroyed_objects) // _DELETE_CHUNK) - (
        -len(changes.destroyed_globs) // _DELETE_CHUNK
    )
    return saved + destroyed + 2


def _read(connection: BaseDatabaseWrapper, model: Model, names: Sequence[str]) -> dict[str, str]:
    table = connection.ops.quote_name(model._meta.db_table)
    wanted: Any
    if len(names) == 1:
        condition, wanted = "= %s", names[0]
    elif connection.vendor == "postgresql":
        condition, wanted = "= ANY(%s)", list(names)
    else:
        # One parameter, and so one statement, however many names there are.
        condition, wanted = "IN (SELECT value FROM json_each(%s))", json.dumps(names)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, text FROM {table} WHERE id {condition}", [wanted])  # noqa: S608
        return dict(cursor.fetchall())


def _write(
    connection: BaseDatabaseWrapper, model: Model, saved: dict[str, str], destroyed: Collection[str]
) -> None:
    rows: Any = model._base_manager.using(connection.alias)
    if saved:
        # In one order for all writers, or two of them could wait for each other's rows.
        rows.bulk_create(
            [model(id=name, text=text) for name, text in sorted(saved.items())],
            batch_size=_WRITE_CHUNK,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["text"],
        )
    remaining = iter(sorted(destroyed))
    while chunk := list(islice(remaining, _DELETE_CHUNK)):
        rows.filter(pk__in=chunk).delete()


def _end_of(prefix: str) -> str | None:
    """The first text after all that begin with the prefix; None where there is no such text."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters, and no id holds one.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)
