"""What Django is told about the status page: where its templates and static files are."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["StatusConfig"]


class StatusConfig(AppConfig):
    """The application `jsorc_serv.status`."""

    name = "jsorc_serv.status"
    label = "jsorc_status"
    verbose_name = "JsOrc status"
