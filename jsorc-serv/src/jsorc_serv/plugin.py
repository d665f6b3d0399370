"""What this distribution brings to JsOrc: settings, environment names, targets and commands.

Nothing but `jsorc` is imported here; Django is, when the hook is used or the database is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsorc import hookimpl
from jsorc_serv.tasks import has_beat

if TYPE_CHECKING:
    from jsorc import Orchestrator
    from jsorc.hookspecs import Register

__all__ = ["jsorc_cli", "jsorc_database_prepare", "jsorc_database_ready", "jsorc_register"]


@hookimpl
def jsorc_register(register: Register) -> None:
    """Registers, at priority 2, the repository `hook` and, with the extra `task`, the service `task`.

    Args:
        register: Takes what is brought.
    """
    register.settings(
        SERV_CONFIG={
            "database": {
                "url": None,
                "host": None,
                "port": 5432,
                "user": None,
                "password": None,
                "name": "postgres",
                "path": None,
                "connect_timeout": 3,
                "statement_timeout": 30.0,
                "lock_timeout": 5.0,
                "migrate_timeout": 600.0,
            },
            "host": "127.0.0.1",
            "port": 8000,
            "https": False,
            "tls_certificate_file": None,
            "tls_key_file": None,
            "allowed_hosts": [],
            "trusted_proxies": ["127.0.0.1"],
            "secret_key": None,
            "public_status": False,
            "max_body_bytes": 1 << 20,
            "hsts_seconds": 3600,
            "audit_days": 365,
            "throttle": {"reads": 600, "changes": 60, "logins": 10},
        },
        DB_REGEN_MANIFEST="jsorc_serv:manifest.yaml",
    )
    register.env(
        DATABASE_URL="SERV_CONFIG.database.url",
        POSTGRES_HOST="SERV_CONFIG.database.host",
        POSTGRES_PORT="SERV_CONFIG.database.port",
        POSTGRES_USER="SERV_CONFIG.database.user",
        POSTGRES_PASSWORD="SERV_CONFIG.database.password",  # noqa: S106 - the key's name, not a password
        DBNAME="SERV_CONFIG.database.name",
        DJANGO_SECRET_KEY="SERV_CONFIG.secret_key",  # noqa: S106 - the key's name, not a key
    )
    register.repository("hook", "jsorc_serv.hook:OrmHook", priority=2)
    if register.has_plugin("jsorc-task") and has_beat():
        register.service(
            "task", "jsorc_serv.tasks.service:DatabaseTaskService", config="TASK_CONFIG", priority=2
        )


@hookimpl
def jsorc_database_ready(orchestrator: Orchestrator) -> bool | None:
    """Says whether the hook's database answers.

    Args:
        orchestrator: The one that starts.

    Returns:
        True where it answers; the embedded SQLite always does.
    """
    from jsorc_serv.readiness import database_answers

    return database_answers(orchestrator)


@hookimpl
def jsorc_database_prepare(orchestrator: Orchestrator) -> None:
    """Migrates the hook's database, where JsOrc looks after it and the OrmHook is the one that is used.

    Args:
        orchestrator: The one that starts.
    """
    for candidate in orchestrator.explain("hook", kind="repository"):
        if candidate.distribution == "jsorc-serv" and candidate.status in ("selected", "pinned"):
            orchestrator.src("hook").has_glob("jsorc")  # the first question migrates


@hookimpl
def jsorc_cli(app: Any) -> None:
    """Adds `jsorc copy`, `jsorc serve` and `jsorc token`.

    Args:
        app: The `typer.Typer` application.
    """
    from jsorc_serv.commands import add_commands
    from jsorc_serv.serve_commands import add_serving_commands

    add_commands(app)
    add_serving_commands(app)
