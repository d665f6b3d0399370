"""What `manage.py check` says of a project that includes the API."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error

__all__ = ["check_project"]


def check_project(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Checks that the applications which the API needs are installed.

    Returns:
        An error for each that is not.
    """
    missing = [
        ("jsorc_serv", "the tables of the hook are not made", "E001"),
        ("ninja", "/api/docs would load its assets from other people's servers", "E002"),
    ]
    return [
        Error(
            f'"{name}" is not in INSTALLED_APPS, so {why}.',
            hint=f'INSTALLED_APPS += ["{name}"]',
            id=f"jsorc_api.{number}",
        )
        for name, why, number in missing
        if not apps.is_installed(name)
    ]
