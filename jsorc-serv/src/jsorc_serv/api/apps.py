"""What Django is told about the API; its tables are in `models`."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

__all__ = ["ApiConfig"]


class ApiConfig(AppConfig):
    """The application `jsorc_serv.api`."""

    name = "jsorc_serv.api"
    label = "jsorc_api"
    verbose_name = "JsOrc API"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Adds the checks of the project that includes this."""
        from jsorc_serv.api.checks import check_project

        register(check_project)
