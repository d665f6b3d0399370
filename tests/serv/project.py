"""A Django project for the tests, with a database of each kind and a router that a test turns to one of them.

Django is configured once a process, so everything that depends on how it is configured runs in processes of
its own; see processes.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django
from django.conf import settings

__all__ = ["Router", "configure"]


class Router:
    """Sends the models of jsorc_serv and of its schedules to the database that a test has chosen."""

    chosen = "default"

    def db_for_read(self, model: type[Any], **hints: Any) -> str | None:
        return self.chosen if model._meta.app_label in ("jsorc_serv", "django_celery_beat") else None

    db_for_write = db_for_read


def configure(folder: Path, postgres_port: int) -> None:
    """Configure Django with `default`, an SQLite file in the folder, and `postgres` on a loopback port."""
    settings.configure(
        INSTALLED_APPS=["jsorc_serv", "django_celery_beat"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(folder / "project.sqlite3"),
                "OPTIONS": {
                    "transaction_mode": "IMMEDIATE",
                    "timeout": 5,
                    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
                },
            },
            "postgres": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": "127.0.0.1",
                "PORT": postgres_port,
                "USER": "jsorc",
                "NAME": "jsorc",
                "OPTIONS": {"connect_timeout": 3},
            },
        },
        DATABASE_ROUTERS=["tests.serv.project.Router"],
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup()
