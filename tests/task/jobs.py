"""Tasks that the tests run in workers; what they do is told through files, which both processes see."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from celery import Task, shared_task


@shared_task
def add(x: float, y: float) -> float:
    return x + y


@shared_task
def fail(message: str) -> None:
    raise ValueError(message)


@shared_task
def whereabouts() -> list[int]:
    """The process of the task, and its parent."""
    return [os.getpid(), os.getppid()]


@shared_task
def hold(begun: str, go: str) -> str:
    """Notes that it has begun, and ends when the file `go` is there."""
    with Path(begun).open("a") as file:
        file.write(f"{os.getpid()} {os.getppid()}\n")
    pause = threading.Event()
    while not Path(go).exists():
        pause.wait(0.02)
    return "done"


@shared_task(bind=True, max_retries=3)
def fail_at_first(self: Any, counter: str) -> int:
    with Path(counter).open("a") as file:
        file.write(".")
    tries = Path(counter).stat().st_size
    if tries < 3:
        raise self.retry(countdown=0)
    return tries


@shared_task
def note(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


@shared_task
def ask_for_task_service() -> list[str]:
    """The role of the service in a process of Celery, and whether it is that process's own application."""
    from celery import current_app

    from jsorc import JsOrc

    service = JsOrc.svc("task")
    return [service.details()["role"], str(service.poke() is current_app._get_current_object())]


@shared_task
def setting_of_redis() -> int:
    from jsorc import JsOrc

    port: int = JsOrc.svc("redis").config["port"]
    return port


class Greet(Task):  # type: ignore[misc]  # celery has no types
    """A task as a class, as `register_tasks` takes it."""

    name = "tests.greet"

    def run(self, who: str) -> str:
        return f"hello {who}"
