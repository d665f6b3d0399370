"""Schedules of tasks in Django's database, for where jsorc-task and django-celery-beat are installed.

This module is light, since `plugin` asks it at discovery; what it tells of is imported when it is used.
"""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["has_beat"]


def has_beat() -> bool:
    """Whether what the extra `task` brings is installed: django-celery-beat, and jsorc-task."""
    return find_spec("django_celery_beat") is not None and find_spec("jsorc_task") is not None
