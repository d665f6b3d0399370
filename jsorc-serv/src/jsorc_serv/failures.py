"""What Django's database layer raises, turned into the errors of JsOrc with a sentence on what mends it.

Nothing is asked of a database here; no password, SQL or stored value enters a message.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from jsorc.errors import DeadlineExceeded, JsOrcError, ServiceUnavailable
from jsorc.redaction import mask_text, scrub

__all__ = ["explain"]

_NEARLY_FULL = 256 * 1024
"""Bytes of free space below which an I/O error of SQLite is taken for a full disk, which it does not say."""

_UNKNOWN = "Whether the commit took place is unknown; the staged work is kept, and committing again is safe."
_NOTHING = "Nothing of the commit was stored; the staged work is kept, and committing again is safe."


def explain(
    error: Error, connection: BaseDatabaseWrapper, *, commit: bool = False, ended: bool = False
) -> JsOrcError:
    """The error to raise in place of one of Django's; raise it `from` the one given, which is scrubbed.

    Args:
        error: What was raised.
        connection: The connection that raised it.
        commit: Whether staged work was being written, whose fate is then told.
        ended: Whether the connection was shut down, since the server did not answer in time.

    Returns:
        ServiceUnavailable, or DeadlineExceeded, which is one too.
    """
    scrub(error)
    driver: Any = error.__cause__
    if getattr(driver, "_pgconn", None) is not None:
        driver._pgconn = None  # psycopg hangs the connection on its errors, and on that the password
    text = mask_text(_first_line(str(error)))
    if isinstance(error, TransactionManagementError):
        message, known = (
            f"The transaction around this has failed before: {_sentence(text)} Leave its atomic block first.",
            True,
        )
        kind: type[ServiceUnavailable] = ServiceUnavailable
    elif connection.vendor == "sqlite":
        kind, message = _sqlite(getattr(driver, "sqlite_errorname", "") or "", text, connection)
        known = True
    else:
        state = getattr(driver, "sqlstate", None) or ""
        if ended:
            state, text = "", "timeout: nothing was heard of it any more, so the connection was given up."
        kind, message = _postgresql(state, text, error, connection)
        # Without a connection nothing was sent.
        known = not ended and (
            connection.connection is None or (bool(state) and not state.startswith(("08", "57P", "40003")))
        )
    return kind(f"{message} {_NOTHING if known else _UNKNOWN}" if commit else message)


def _sqlite(code: str, text: str, connection: BaseDatabaseWrapper) -> tuple[type[ServiceUnavailable], str]:
    path = Path(str(connection.settings_dict["NAME"]))
    where = f"The SQLite file {path}"
    if "no such table" in text or "no such column" in text:
        return ServiceUnavailable, _behind(where, text, connection)
    if code.startswith("SQLITE_FULL") or (code.startswith("SQLITE_IOERR") and _is_full(path)):
        return ServiceUnavailable, (
            f"{where} takes no writes, since its disk is full. Free space there; it takes writes again by "
            "itself, and what was committed is still in it."
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return ServiceUnavailable, (
            f"{where} is being written to by others for longer than the lock timeout. Try again; keep "
            "transactions short, raise the timeout, or move to PostgreSQL."
        )
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return ServiceUnavailable, (
            f"{where} cannot be opened for writing: {_sentence(text)} Give the user the rights to it and to "
            f"its folder, or change {_setting(connection)}."
        )
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return ServiceUnavailable, (
            f"{where} is damaged, or no SQLite database: {_sentence(text)} Restore it from a copy, or change "
            f"{_setting(connection)}."
        )
    return ServiceUnavailable, f"{where} cannot be used: {_sentence(text)}"


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _NEARLY_FULL
    except OSError:
        return False


def _postgresql(
    state: str, text: str, error: Error, connection: BaseDatabaseWrapper
) -> tuple[type[ServiceUnavailable], str]:
    given = connection.settings_dict
    host = given["HOST"] or "the local socket"
    where = f"PostgreSQL at {host}{':' if given['PORT'] else ''}{given['PORT']}, database {given['NAME']!r},"
    lower = text.lower()
    if state in {"42P01", "42703"}:  # no such table, no such column
        return ServiceUnavailable, _behind(where, text, connection)
    if state == "57014":
        return DeadlineExceeded, (
            f"{where} did not finish a statement in time. If it is only slow, raise the statement timeout "
            f"({_setting(connection)})."
        )
    if state == "55P03":
        return DeadlineExceeded, (
            f"{where} kept this waiting for a lock of another transaction beyond the lock timeout. Try "
            "again, and keep transactions short."
        )
    if state in {"40P01", "40001"}:
        return ServiceUnavailable, f"{where} ended this transaction in favour of another one. Try again."
    if state == "53100" or "no space left on device" in lower:
        return ServiceUnavailable, f"{where} takes no writes, since its disk is full. Free space there."
    if state == "53300" or "too many clients" in lower or "remaining connection slots" in lower:
        return ServiceUnavailable, f"{where} has as many clients as its max_connections allows."
    if state == "25006":
        return (
            ServiceUnavailable,
            f"{where} is a read-only replica; change {_setting(connection)} to its primary.",
        )
    if state == "42501":
        return ServiceUnavailable, f"{where} does not let this role do that: {_sentence(text)}"
    if "password authentication failed" in lower or "no password supplied" in lower:
        return ServiceUnavailable, (
            f"{where} refuses the role or its password; correct {_setting(connection)}."
        )
    if "does not exist" in lower and not state:
        return ServiceUnavailable, (
            f"{where} cannot be entered: {_sentence(text)} Create it, or change {_setting(connection)}."
        )
    if "starting up" in lower or "shutting down" in lower or state.startswith("57P"):
        return (
            ServiceUnavailable,
            f"{where} is being started or stopped: {_sentence(text)} Try again in a moment.",
        )
    if "timeout" in lower and not state:
        return DeadlineExceeded, f"{where} did not answer in time: {_sentence(text)}"
    if not state and not isinstance(error, IntegrityError):
        return ServiceUnavailable, (
            f"{where} cannot be reached: {_sentence(text)} Start it, or change {_setting(connection)}."
        )
    return ServiceUnavailable, f"{where} refused the statement: {_sentence(text)}"


def _behind(where: str, text: str, connection: BaseDatabaseWrapper) -> str:
    ours = bool(getattr(settings, "JSORC_SERV_MIGRATE", False))
    app = "django_celery_beat" if "django_celery_beat" in text else "jsorc_serv"
    mend = (
        "Restart the process, which migrates it."
        if ours
        else f"Run manage.py migrate {app} --database {connection.alias}."
    )
    return f"{where} does not have the tables of the installed {app} ({text}). {mend}"


def _setting(connection: BaseDatabaseWrapper) -> str:
    if getattr(settings, "JSORC_SERV_MIGRATE", False):
        return "SERV_CONFIG.database (DATABASE_URL; or POSTGRES_HOST, _PORT, _USER, _PASSWORD and DBNAME)"
    return f"DATABASES[{connection.alias!r}] in Django's settings"


def _first_line(text: str) -> str:
    """What was said, without the hints of libpq that follow and the words that psycopg puts before."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no reason was given")
    return first.removeprefix("connection failed: ")


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
