"""What this distribution brings to JsOrc: `TASK_CONFIG` with its defaults, and the service `task`.

Nothing but `jsorc` is imported here; the target is a string and is imported when it wins and is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsorc import hookimpl

if TYPE_CHECKING:
    from jsorc.hookspecs import Register

__all__ = ["jsorc_register"]


@hookimpl
def jsorc_register(register: Register) -> None:
    """Registers the service `task`.

    Args:
        register: Takes what is brought.
    """
    register.settings(
        TASK_CONFIG={
            "enabled": True,
            "automated": True,
            # A probe waits for a canary task that travels through the queue; see `canary_timeout`.
            "ping_interval": 5.0,
            "ping_timeout": 15.0,
            "ping_failures": 1,
            "broker_url": None,
            "result_backend": None,
            "schedule_url": None,
            "role": None,
            "concurrency": None,
            "pool": "prefork",
            "queues": ["celery"],
            "modules": [],
            "acks_late": True,
            "visibility_timeout": 3600,
            "time_limit": None,
            "soft_time_limit": None,
            "result_expires": 86400,
            "canary_timeout": 5.0,
            "ready_timeout": 60.0,
            "sequence": {
                "allowed_urls": [],
                "allowed_addresses": [],
                "timeout": 30.0,
                "max_bytes": 1_000_000,
            },
            "celery": {},
        },
    )
    register.env(
        CELERY_BROKER_URL="TASK_CONFIG.broker_url",
        CELERY_RESULT_BACKEND="TASK_CONFIG.result_backend",
    )
    register.service("task", "jsorc_task.service:TaskService", config="TASK_CONFIG", priority=0)
