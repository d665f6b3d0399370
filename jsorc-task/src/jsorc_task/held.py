"""What a worker has taken from the queue and not finished, noted in a file, and given back when it died.

Celery itself gives such messages back only after the visibility timeout, an hour as a rule. The file is
locked by the worker and, since they inherit it, by its children: when the lock is free, all of them are gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsorc.redaction import get_logger

__all__ = ["GivenBack", "HeldMessages", "give_back"]

_TIDY_EVERY = 5.0

log = get_logger("jsorc.task.held")


class HeldMessages:
    """The note of one worker, kept in its main process.

    Args:
        path: The file; it is locked until this process and its children have ended.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._taken: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()

    def connect(self) -> None:
        """Listens to Celery's signals from now on."""
        from celery import signals

        signals.task_received.connect(self._note, weak=False)
        signals.worker_ready.connect(self._tidy_regularly, weak=False)
        signals.worker_shutdown.connect(self._close, weak=False)

    def _note(self, request: Any, **_: Any) -> None:
        message = request.message
        line = json.dumps([message.delivery_tag, request.id, bool(message.headers.get("ignore_result"))])
        self._taken[request] = noted = line.encode() + b"\n"
        os.write(self._file, noted)

    def _tidy_regularly(self, sender: Any, **_: Any) -> None:
        sender.timer.call_repeatedly(_TIDY_EVERY, self._tidy)

    def _tidy(self) -> None:
        """Writes the note anew, without the requests that are done: Celery keeps those that are not."""
        rest = b"".join(list(self._taken.values()))
        os.ftruncate(self._file, 0)
        os.write(self._file, rest)

    def _close(self, **_: Any) -> None:
        """An orderly end: Celery has given back what was not begun."""
        os.ftruncate(self._file, 0)


@dataclass(frozen=True)
class GivenBack:
    """What became of the messages of workers that died.

    Attributes:
        again: Ids of tasks that are in the queue again.
        lost: Ids of tasks that were begun, acknowledged early, and are reported as failed.
    """

    again: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def give_back(app: Any, folder: Path, *, acks_late: bool) -> GivenBack:
    """Puts back into the queue what the dead workers of this machine had taken, and reports what is lost.

    Args:
        app: The Celery application.
        folder: Where the notes of the workers of its broker are.
        acks_late: Whether messages are acknowledged when their task has ended.

    Returns:
        What was done; nothing where the broker is not a Redis, which has its own way.
    """
    again: list[str] = []
    lost: list[str] = []
    for path in sorted(folder.glob("*.held")):
        with _note_of_the_dead(path) as held:
            if held is None:
                continue
            with app.connection_for_write() as connection:
                quality = connection.default_channel.qos
                if not hasattr(quality, "restore_by_tag"):
                    path.unlink(missing_ok=True)
                    continue
                for tag, task, ignores_result in held:
                    if _restore(quality, tag):
                        again.append(task)
                    elif not acks_late and not ignores_result and _report_lost(app, task):
                        lost.append(task)
            path.unlink(missing_ok=True)
    return GivenBack(tuple(again), tuple(lost))


class _note_of_the_dead:  # noqa: N801 - used like a function
    """The lines of a note whose worker is gone; None while it lives, or while another process reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def __enter__(self) -> list[tuple[str, str, bool]] | None:
        try:
            self._file = os.open(self._path, os.O_RDWR)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            return None
        return list(_lines(self._path.read_bytes()))

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)


def _lines(text: bytes) -> Iterator[tuple[str, str, bool]]:
    for line in text.splitlines():
        try:
            tag, task, ignores_result = json.loads(line)
        except ValueError:  # the worker was killed while it wrote the last line
            continue
        yield tag, task, ignores_result


def _restore(quality: Any, tag: str) -> bool:
    """Puts one message back; False when it was acknowledged."""
    with quality.channel.conn_or_acquire() as client:
        if not client.hexists(quality.unacked_key, tag):
            return False
    quality.restore_by_tag(tag, leftmost=True)
    return True


def _report_lost(app: Any, task: str) -> bool:
    from celery.exceptions import WorkerLostError

    result = app.AsyncResult(task)
    if result.state not in ("PENDING", "STARTED"):
        return False
    error = WorkerLostError(
        "the worker was killed while it ran this task, whose message was acknowledged early"
    )
    app.backend.store_result(task, error, "FAILURE")
    return True
