"""Whether Django can be used: a project's own, or the embedded one, configured here at the first use.

Django is one a process, so the lock below is one as well. Whether tables are there is `migrating`'s question.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from jsorc.errors import ConfigError, PluginLoadError, ServiceUnavailable
from jsorc.settings import JsOrcSettings

if TYPE_CHECKING:
    from jsorc.orchestrator import Orchestrator

__all__ = ["database_answers", "ensure_django", "make_folder"]

_CONFIGURING = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_CONFIGURING.acquire,
        after_in_parent=_CONFIGURING.release,
        after_in_child=_CONFIGURING.release,
    )


def ensure_django(settings: JsOrcSettings) -> None:
    """Sees to it that Django can be used, and configures it where nobody else does.

    Args:
        settings: The settings that the embedded project is made of.

    Raises:
        ServiceUnavailable: A project is loading; it works once its apps are ready.
        ConfigError: The embedded project's settings do not validate, or the project lacks this application.
        PluginLoadError: A PostgreSQL is named, and psycopg is not installed.
    """
    from django.apps import apps
    from django.conf import ENVIRONMENT_VARIABLE
    from django.conf import settings as configured

    if not apps.ready:
        with _CONFIGURING:
            if not apps.ready:
                if configured.configured or os.environ.get(ENVIRONMENT_VARIABLE):
                    raise ServiceUnavailable(
                        "OrmHook was asked before Django's apps are ready. Call django.setup() before, and "
                        "in a project ask neither while a module is imported nor in AppConfig.ready(), but "
                        "when a request, a task or a command needs it; the next call then works."
                    )
                _configure(settings)
    if not apps.is_installed("jsorc_serv"):
        raise ConfigError(
            "What jsorc-serv brings wins, but the Django project does not have its tables: add "
            '"jsorc_serv" to INSTALLED_APPS and run manage.py migrate, or pin what others bring, as in '
            'JSORC_CONFIG.use = {"hook": "jsorc-redis", "task": "jsorc-task"}'
        )


def database_answers(orchestrator: Orchestrator) -> bool:
    """Asks the database on a connection of its own, which is closed again.

    Args:
        orchestrator: Whose settings the embedded project is made of.

    Returns:
        True; what keeps the database from answering is raised.

    Raises:
        ServiceUnavailable: It does not answer.
        ConfigError: The settings do not validate.
    """
    from jsorc_serv.store import OrmStore

    OrmStore(orchestrator).ask()
    return True


def make_folder(database: str) -> None:
    """Makes the folder of an SQLite file where it is missing, for this user alone.

    Args:
        database: The path of the file.

    Raises:
        ServiceUnavailable: It cannot be made.
    """
    folder = Path(database).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceUnavailable(
            f"the folder {folder} of the database cannot be made: {error.strerror or error}. Give the user "
            "the right to make it, free space, or set SERV_CONFIG.database.path"
        ) from error


def _configure(settings: JsOrcSettings) -> None:
    import django
    from django.conf import settings as configured

    from jsorc_serv.project import django_settings

    chosen = django_settings(settings)
    database = chosen["DATABASES"]["default"]
    if "sqlite3" in database["ENGINE"]:
        make_folder(database["NAME"])
    else:
        # Django finds out only half-way through its setup, which cannot be repeated.
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise PluginLoadError(
                f"SERV_CONFIG.database names a PostgreSQL, and psycopg cannot be imported ({error}): "
                "pip install 'jsorc-serv[postgres]'"
            ) from error
    configured.configure(**chosen)
    django.setup()
