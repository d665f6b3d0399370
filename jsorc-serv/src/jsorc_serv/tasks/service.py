"""The service `task` with its schedules in Django's database; the rest of it is `jsorc_task`'s.

Django is imported when the service runs, not before.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jsorc.errors import ConfigError
from jsorc_task.service import TaskService

if TYPE_CHECKING:
    from jsorc_serv.store import OrmStore
    from jsorc_task.schedules import Schedules

__all__ = ["DatabaseTaskService"]

_APPLICATION = "django_celery_beat"


class DatabaseTaskService(TaskService):
    """Celery as a service, priority 2 under the name `task`, with django-celery-beat behind its schedules.

    They are kept in the database, where Django's admin shows and changes them. Sending tasks and running
    them needs no database; a beat without one waits for it.
    """

    beat_scheduler = "jsorc_serv.tasks.beat:database_scheduler"

    _store: OrmStore

    def run(self) -> None:
        """Sees to it that Django can be used, and does what any task service does.

        Raises:
            ConfigError: A setting contradicts itself, or the Django project lacks an application.
            ServiceUnavailable: The broker cannot be used, or the project's apps are not ready yet.
        """
        from django.apps import apps

        from jsorc_serv.readiness import ensure_django
        from jsorc_serv.store import OrmStore

        if self.orchestrator is None:
            raise ConfigError("Without an orchestrator there are no settings of a database; use TaskService.")
        ensure_django(self.orchestrator.settings)
        if not apps.is_installed(_APPLICATION):
            raise ConfigError(
                "The Django project does not have the tables of the schedules: add "
                f'"{_APPLICATION}" to INSTALLED_APPS and run manage.py migrate, or keep schedules in Redis: '
                'JSORC_CONFIG.use = {"task": "jsorc-task"}'
            )
        self._store = OrmStore(self.orchestrator)
        super().run()

    def can_beat(self) -> bool:
        """Whether a beat could run here: always.

        Raises:
            ConfigError: It could not find the Django project that this process is part of.
        """
        from django.conf import ENVIRONMENT_VARIABLE, settings

        if getattr(settings, "JSORC_SERV_MIGRATE", False) or os.environ.get(ENVIRONMENT_VARIABLE):
            return True
        raise ConfigError(
            "Beat is a process of its own and needs to find the settings of this Django project: put them "
            f"into a module and set {ENVIRONMENT_VARIABLE}, or run no beat here: TASK_CONFIG.role = "
            '"worker" or "client"'
        )

    def open_schedules(self) -> Schedules:
        """The schedules in the database.

        Raises:
            ServiceUnavailable: The service is not running.
        """
        app = self.poke()
        from jsorc_serv.tasks.schedules import DatabaseSchedules

        return DatabaseSchedules(app, self._store)
