"""Brings the tables up to date, once, however many processes find that they are not.

Who asks for it is decided in `store`; a Django project that has not said so migrates by itself, as ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from jsorc.errors import DeadlineExceeded, ServiceUnavailable
from jsorc.locks import FileLock
from jsorc.redaction import get_logger

__all__ = ["migrate_once"]

log = get_logger("jsorc.serv")

_LOCK_KEY = 0x6A736F7263  # "jsorc"
_LOOK = 0.05
"""Seconds between two looks at a file lock, since the kernel tells nobody that it became free."""


def migrate_once(connection: BaseDatabaseWrapper, timeout: float) -> bool:
    """Migrates a database if it is behind; processes that ask at the same time wait and find it done.

    On PostgreSQL the connection is closed afterwards, which gives its lock back in any case.

    Args:
        connection: This thread's connection to the database, outside any transaction.
        timeout: Seconds to wait for another process that migrates.

    Returns:
        Whether anything was migrated here.

    Raises:
        DeadlineExceeded: Another process still migrates.
        ServiceUnavailable: The folder of the SQLite file cannot be written to.
        django.db.Error: The database does not answer, or refuses a migration.
    """
    with _alone(connection, timeout):
        if not _is_behind(connection):
            return False
        began = time.monotonic()
        call_command("migrate", database=connection.alias, interactive=False, verbosity=0)
        log.info("the tables of %r were migrated in %.1f s", connection.alias, time.monotonic() - began)
        return True


def _is_behind(connection: BaseDatabaseWrapper) -> bool:
    executor = MigrationExecutor(connection)
    loader = executor.loader
    ahead = sorted(
        name
        for app, name in loader.applied_migrations
        if app == "jsorc_serv" and (app, name) not in loader.disk_migrations
    )
    if ahead:
        log.warning(
            "the database %r has been migrated by a newer jsorc-serv (%s): install that one here as well",
            connection.alias,
            ", ".join(ahead),
        )
    return bool(executor.migration_plan(loader.graph.leaf_nodes()))


@contextmanager
def _alone(connection: BaseDatabaseWrapper, timeout: float) -> Iterator[None]:
    if connection.vendor == "postgresql":
        with _advisory_lock(connection, timeout):
            yield
    elif connection.is_in_memory_db():  # type: ignore[attr-defined]
        yield
    else:
        with _file_lock(Path(connection.settings_dict["NAME"]), timeout):
            yield


@contextmanager
def _advisory_lock(connection: Any, timeout: float) -> Iterator[None]:
    """The lock belongs to the session, so that it is free again when the process ends, however it ends."""
    try:
        with connection.cursor() as cursor:
            # A migration may take longer than a query may.
            cursor.execute(
                "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', %s, false)",
                [f"{round(timeout * 1000)}ms"],
            )
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])
        yield
    finally:
        connection.close()


@contextmanager
def _file_lock(database: Path, timeout: float) -> Iterator[None]:
    """Taken before the first connection, too: two that turn one new file to WAL get in each other's way."""
    lock = FileLock(database.with_name(f"{database.name}.migrating"))
    deadline = time.monotonic() + timeout
    never = threading.Event()
    try:
        while not lock.acquire(str(database)):
            if time.monotonic() > deadline:
                raise DeadlineExceeded(
                    f"{lock.holder()} still migrates {database}, after {timeout:g} s; wait for it, or raise "
                    "SERV_CONFIG.database.migrate_timeout"
                )
            never.wait(_LOOK)
    except OSError as error:
        raise ServiceUnavailable(
            f"the folder of the database {database} cannot be used: {error.strerror or error}. Give the user "
            "the right to write there, free space, or set SERV_CONFIG.database.path"
        ) from error
    try:
        yield
    finally:
        lock.release()
