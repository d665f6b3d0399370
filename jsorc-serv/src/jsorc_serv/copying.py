"""Copies what one store holds into another, through the hooks of two distributions, in batches.

It knows no database; which stores, and how progress is shown, is said in `commands`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from jsorc import Hook, Orchestrator

__all__ = ["Copied", "copy_store", "opened_store"]

Progress = Callable[[str, int], None]
"""Told what is copied, `objects` or `globals`, and how many of them are there by now."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy has done.

    Attributes:
        objects: How many objects were copied.
        globs: How many globals were copied.
    """

    objects: int
    globs: int


def copy_store(
    source: Callable[[], Hook], target: Callable[[], Hook], batch: int, progress: Progress
) -> Copied:
    """Copies every object and global; what the target has besides stays.

    Each batch is read at one time and committed by itself, so a copy that was interrupted is simply repeated,
    as is one during which the source changed.

    Args:
        source: Makes a unit of work on the store that is read.
        target: Makes one on the store that is written.
        batch: How many objects or globals go into one commit.
        progress: Told after each commit.

    Returns:
        What was copied.

    Raises:
        ServiceUnavailable: A store does not answer; the batches before are committed.
    """
    objects = 0
    for ids in _pages(source(), batch):
        found = source().get_objs(ids)
        with target() as unit:
            for id_, value in found.items():
                unit.save_obj(id_, value)
        objects += len(found)
        progress("objects", objects)
    globs = 0
    for names in _batches(source().list_glob(), batch):
        reader, missing = source(), object()
        with target() as unit:
            for name in names:
                value = reader.get_glob(name, missing)
                if value is not missing:
                    unit.save_glob(name, value)
                    globs += 1
        progress("globals", globs)
    return Copied(objects, globs)


@contextmanager
def opened_store(distribution: str, also: Iterable[str] = ()) -> Iterator[Callable[[], Hook]]:
    """The hook of one distribution, whoever wins the name, with the services that it needs.

    It has an orchestrator of its own, which knows no other plugins: a copy must not start the workers and
    mailers that are installed as well.

    Args:
        distribution: The distribution whose hook is wanted.
        also: Further distributions, whose services that hook needs.

    Yields:
        A callable that makes a unit of work.

    Raises:
        DatabaseReady: The database came up only now; do it again.
        JsOrcError: The distribution is not installed, or its hook cannot be loaded.
    """
    orchestrator = Orchestrator(
        environ={
            **os.environ,
            "JSORC_CONFIG__USE__HOOK": distribution,
            "JSORC_CONFIG__CONTROL": "false",
            "JSORC_PLUGINS_ALLOW": ",".join([distribution, *also]),
        }
    )
    try:
        orchestrator.src("hook")
        orchestrator.start()
        yield lambda: orchestrator.src("hook", Hook)  # type: ignore[type-abstract]
    finally:
        orchestrator.stop()


def _pages(hook: Hook, size: int) -> Iterator[list[str]]:
    after: str | None = None
    while ids := hook.list_objs(after=after, limit=size):
        yield ids
        after = ids[-1]


def _batches(names: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(names)
    while batch := list(islice(remaining, size)):
        yield batch
