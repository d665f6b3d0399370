"""Makes orchestrators for tests that need tasks on a Redis and nothing else, and waits for what they do.

The fixture that stops them is in conftest.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from jsorc import Orchestrator, hookimpl
from jsorc_task.service import TaskService
from tests.environment import with_plugins

__all__ = ["States", "answered", "eventually", "task_orchestrator", "worker_pid"]

T = TypeVar("T")


def task_orchestrator(port: int, **config: Any) -> Orchestrator:
    """An orchestrator whose broker is the Redis at a port.

    Args:
        port: The port.
        config: Keys of `TASK_CONFIG`; the others have their defaults, but for fast threads and probes.
    """
    orchestrator = Orchestrator(environ=with_plugins("jsorc-redis", "jsorc-task"))
    orchestrator.configure(
        REDIS_CONFIG={"port": port},
        TASK_CONFIG={"pool": "threads", "ping_interval": 1.0, "modules": ["tests.task.jobs"], **config},
        JSORC_CONFIG={"pre_loaded_services": ["redis", "task"], "control": False},
    )
    return orchestrator


def eventually(look: Callable[[], T], timeout: float = 30.0) -> T:
    """What `look` returns once it is true; another process signals nothing, so it is asked again."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {timeout:g} s"
        pause.wait(0.02)
    return found


def answered(orchestrator: Orchestrator) -> TaskService:
    """The service, once its worker has answered a canary."""
    eventually(lambda: orchestrator.svc("task").details().get("worker", {}).get("answered"))
    return orchestrator.svc("task", TaskService)


def worker_pid(orchestrator: Orchestrator) -> int:
    """The process id of the worker that runs now; 0 when there is none."""
    pid: int = orchestrator.svc("task").details().get("worker", {}).get("pid", 0)
    return pid


class States:
    """Hears of the states of the service `task`, and waits for one after the other."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.seen: list[str] = []
        self._begin = 0
        self.errors: list[BaseException] = []
        self._changed = threading.Condition()
        orchestrator.listen(self)

    @hookimpl
    def jsorc_state_changed(self, service: Any, new: Any, error: BaseException | None) -> None:
        if service.name == "task":
            with self._changed:
                self.seen.append(str(new))
                if error is not None:
                    self.errors.append(error)
                self._changed.notify_all()

    def wait_for(self, state: str, timeout: float = 30.0) -> None:
        """Waits until a state is entered, or was already, after the one that was waited for before."""
        with self._changed:
            assert self._changed.wait_for(lambda: state in self.seen[self._begin :], timeout), self.seen
            self._begin += self.seen[self._begin :].index(state) + 1
