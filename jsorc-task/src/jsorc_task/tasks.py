"""What can be asked about tasks: which there are, what became of one, and what the workers are at.

Sending is Celery's own; these functions turn its answers, and its errors, into those of JsOrc.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from celery import Task
from celery.exceptions import TimeoutError as CeleryTimeout
from celery.local import Proxy
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jsorc.errors import ConfigError, NotRegistered, ServiceUnavailable
from jsorc.redaction import mask_text
from jsorc_task.sharing import Shared

__all__ = ["describe", "find", "inspect", "register"]


def register(app: Any, shared: Shared, tasks: Sequence[Any]) -> tuple[Any, ...]:
    """Registers tasks with an application, and notes where a worker finds them.

    Args:
        app: The Celery application.
        shared: Where it is noted.
        tasks: Names of modules, classes of tasks, or tasks.

    Returns:
        The tasks.

    Raises:
        ConfigError: There is no such module, or something is neither.
    """
    registered: list[Any] = []
    for task in tasks:
        if isinstance(task, str):
            try:
                importlib.import_module(task)
            except ModuleNotFoundError as error:
                raise ConfigError(f"There is no module {task!r} to register tasks from: {error}") from error
            registered += [known for known in app.tasks.values() if type(known).__module__ == task]
            _note(shared.modules, task)
        elif isinstance(task, type) and issubclass(task, Task):
            registered.append(app.register_task(task()))
            _note(shared.classes, f"{task.__module__}:{task.__qualname__}")
        elif isinstance(task, Task | Proxy):
            registered.append(app.register_task(task))
            _note(shared.modules, type(app.tasks[task.name]).__module__)
        else:
            raise ConfigError(
                f"{task!r} is neither the name of a module, nor a class of tasks, nor a task of Celery."
            )
    return tuple(registered)


def find(app: Any, task: Any) -> Any:
    """The task of a name.

    Args:
        app: The Celery application.
        task: The name, or a task.

    Raises:
        NotRegistered: There is none.
    """
    name = task if isinstance(task, str) else getattr(task, "name", None)
    known = app.tasks.get(name)
    if known is None:
        ours = [other for other in app.tasks if not other.startswith(("celery.", "jsorc_task."))]
        near = difflib.get_close_matches(str(name), ours, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(sorted(ours)) or 'none'}."
        raise NotRegistered(
            f"No task is named {name!r}.{hint} Modules with tasks are named in TASK_CONFIG.modules."
        )
    return known


def describe(app: Any, task_id: str, timeout: float | None, expires: float) -> dict[str, Any]:
    """What became of a task; see `TaskService.get_by_task_id`."""
    if not task_id:
        raise ConfigError(f"{task_id!r} is not the id of a task")
    with _answering("The result backend"):
        result = app.AsyncResult(task_id)
        if timeout is not None:
            with suppress(CeleryTimeout):  # what is known by then is the answer
                result.get(timeout=timeout, propagate=False, disable_sync_subtasks=False)
        meta = result._get_task_meta()
        result.backend.remove_pending_result(result)
    status, value = str(meta["status"]), meta.get("result")
    found: dict[str, Any] = {
        "task_id": task_id,
        "status": status,
        "ready": status in ("SUCCESS", "FAILURE", "REVOKED"),
    }
    if status == "SUCCESS":
        found["result"] = value
    elif isinstance(value, BaseException):
        found["error"] = {"type": type(value).__name__, "message": mask_text(str(value))}
    elif status == "PENDING":
        found["detail"] = (
            f"it waits or runs, was never sent, or its result has expired: results are kept for {expires:g} s"
        )
    return found


def inspect(app: Any, timeout: float) -> dict[str, dict[str, Any]]:
    """What the workers are at; see `TaskService.inspect_tasks`."""
    with _answering("The broker"):
        asking = app.control.inspect(timeout=timeout)
        return {
            "scheduled": asking.scheduled() or {},
            "active": asking.active() or {},
            "reserved": asking.reserved() or {},
        }


@contextmanager
def _answering(what: str) -> Iterator[None]:
    try:
        yield
    except (OperationalError, RedisError, OSError, RuntimeError) as error:
        raise ServiceUnavailable(
            mask_text(f"{what} does not answer: {str(error) or type(error).__name__}")
        ) from error


def _note(known: list[str], name: str) -> None:
    if name not in known:
        known.append(name)
