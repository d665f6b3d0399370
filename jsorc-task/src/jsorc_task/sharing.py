"""What the task services of one orchestrator share, so that it outlives each of them: application and lock.

How the application is configured is in `application`; who takes the lock, and why, in `service`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jsorc.locks import FileLock
from jsorc_task.application import Application, celery_settings
from jsorc_task.brief import brief
from jsorc_task.config import Endpoints

if TYPE_CHECKING:
    from jsorc_redis.config import Endpoint

__all__ = ["Shared", "application_of", "redis_endpoint", "shared_of", "task_config"]


class Shared:
    """What is kept for one orchestrator."""

    def __init__(self) -> None:
        self.app: Application | None = None
        self.holder: object | None = None
        """The service that took the lock."""
        self.modules: list[str] = []
        """Modules of tasks that were registered while running."""
        self.classes: list[str] = []
        """Classes of tasks that were registered while running, as `module:Class`."""
        self._locks: dict[Path, FileLock] = {}

    def lock(self, folder: Path, broker: str) -> FileLock:
        """The lock of one broker on this machine.

        Args:
            folder: Where locks are kept.
            broker: The broker, without credentials.
        """
        path = folder / f"task-{zlib.crc32(broker.encode()):08x}.lock"
        return self._locks.setdefault(path, FileLock(path))

    def after_fork(self) -> None:
        """In the child of a fork: the parent keeps its locks, and its connections."""
        for lock in self._locks.values():
            lock.forget()
        self._locks = {}
        if self.app is not None:
            self.app.after_fork()
        self.holder = None


def shared_of(orchestrator: Any) -> Shared:
    """What the task services of an orchestrator share."""
    return cast("Shared", orchestrator.shared(Shared))


def application_of(orchestrator: Any) -> Application:
    """The Celery application of an orchestrator; it reads its settings when they are first needed."""
    shared = shared_of(orchestrator)
    if shared.app is None:
        shared.app = Application(lambda: _settings(orchestrator), lambda: task_config(orchestrator))
        # Importing these tells the application of tasks that every worker has.
        import jsorc_task.liveness
        import jsorc_task.sequences  # noqa: F401
    return shared.app


def task_config(orchestrator: Any) -> dict[str, Any]:
    """`TASK_CONFIG` as it is in force, checked; in a child, what its parent has found.

    Raises:
        ConfigError: It does not validate.
    """
    told = brief()
    if told is not None and told.config is not None:
        return told.config
    return cast("dict[str, Any]", orchestrator.svc_config("task"))


def redis_endpoint(config: Mapping[str, Any]) -> Endpoint:
    """Where the service `redis` is, from its config."""
    from jsorc_redis.config import Endpoint

    return Endpoint.of(config)


def _settings(orchestrator: Any) -> dict[str, Any]:
    config = task_config(orchestrator)
    redis = None if config["broker_url"] else redis_endpoint(orchestrator.svc_config("redis"))
    return celery_settings(config, Endpoints.of(config, redis), orchestrator.svc_class("task").beat_scheduler)
