"""Background tasks for JsOrc: the service `task`, which is a Celery application with a supervised worker.

The public names are imported at their first use, so that naming the package costs nothing; what registers
them is `jsorc_task.plugin`, and the application for the `celery` command is `jsorc_task.app`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsorc_task.errors import BrokerUnavailable, TaskArgumentError
    from jsorc_task.schedules import Schedule, Schedules
    from jsorc_task.sequences import Sequence
    from jsorc_task.service import TaskService

__all__ = ["BrokerUnavailable", "Schedule", "Schedules", "Sequence", "TaskArgumentError", "TaskService"]

_HOMES = {
    "BrokerUnavailable": "errors",
    "Schedule": "schedules",
    "Schedules": "schedules",
    "Sequence": "sequences",
    "TaskArgumentError": "errors",
    "TaskService": "service",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
