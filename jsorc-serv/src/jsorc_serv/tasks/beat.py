"""What `celery beat` is given as its scheduler: it sets Django up, and makes the one of `scheduler`.

django-celery-beat can be imported only after that.
"""

from __future__ import annotations

import os
from typing import Any

from jsorc import JsOrc
from jsorc_serv.readiness import ensure_django
from jsorc_serv.store import OrmStore

__all__ = ["database_scheduler"]


def database_scheduler(**options: Any) -> Any:
    """Makes the scheduler of a beat process.

    Args:
        options: What Celery gives a scheduler.

    Returns:
        An instance of `jsorc_serv.tasks.scheduler.LeasedScheduler`.

    Raises:
        ConfigError: The project lacks the applications, or `SERV_CONFIG` does not validate.
    """
    from django.conf import ENVIRONMENT_VARIABLE

    if os.environ.get(ENVIRONMENT_VARIABLE):
        import django

        django.setup()
    JsOrc.plugins()  # which finds the names of the settings
    ensure_django(JsOrc.orchestrator.settings)
    from jsorc_serv.tasks.scheduler import LeasedScheduler

    return LeasedScheduler(store=OrmStore(JsOrc.orchestrator), **options)
