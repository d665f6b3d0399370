"""The settings of Django where no project brings its own: a dictionary made of an orchestrator's settings.

Whether they are used, and when, is decided in `readiness`; `jsorc_serv.settings` is the same as a module.
"""

from __future__ import annotations

from typing import Any

from jsorc.settings import JsOrcSettings
from jsorc_serv.config import database_settings, read_config
from jsorc_serv.tasks import has_beat

__all__ = ["django_settings"]


def django_settings(settings: JsOrcSettings) -> dict[str, Any]:
    """Makes the settings of the embedded project.

    Args:
        settings: The settings of the orchestrator whose hook is used.

    Returns:
        Name to value, as `django.conf.settings.configure` takes them.

    Raises:
        ConfigError: `SERV_CONFIG` or `JSORC_CONFIG` does not validate.
    """
    config = read_config(settings)
    return {
        "INSTALLED_APPS": ["jsorc_serv", *(["django_celery_beat"] if has_beat() else [])],
        "DATABASES": {"default": database_settings(config.database, settings.core().namespace)},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "DEBUG": False,
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
        # A library sets no handlers; Django's default would.
        "LOGGING_CONFIG": None,
        "JSORC_SERV_MIGRATE": True,
    }
