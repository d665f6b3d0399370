"""What Django is told about this application; its tables are in `models`."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["ServConfig"]


class ServConfig(AppConfig):
    """The application `jsorc_serv`."""

    name = "jsorc_serv"
    verbose_name = "JsOrc"
    default_auto_field = "django.db.models.BigAutoField"
