"""The application for the `celery` command: `celery -A jsorc_task.app worker`.

It is the one of `JsOrc.svc("task")`; importing it connects to nothing. In a worker, this is also where its
children are tied to its life.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from celery import signals

from jsorc import JsOrc
from jsorc_task.brief import brief
from jsorc_task.discovery import import_program, import_tasks, register_class
from jsorc_task.held import HeldMessages
from jsorc_task.liveness import install as install_liveness
from jsorc_task.sharing import application_of, task_config

__all__ = ["app"]

app = application_of(JsOrc.orchestrator)
app.set_default()


@signals.import_modules.connect(weak=False)  # type: ignore[untyped-decorator]  # celery has no types
def _import_tasks(sender: Any, **_: Any) -> None:
    if sender is not app:
        return
    told = brief()
    app.refuse_sending = (
        "A worker is importing the program that this task would be sent from. Put what the program does "
        'under `if __name__ == "__main__":`, or the tasks into a module of their own.'
    )
    try:
        if told is not None:
            sys.path.extend(entry for entry in told.path if entry not in sys.path)
            if told.program is not None:
                import_program(Path(told.program))
            for target in told.classes:
                register_class(app, target)
        import_tasks(
            [*task_config(JsOrc.orchestrator)["modules"], *(told.modules if told is not None else [])]
        )
    finally:
        app.refuse_sending = None


@signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]  # celery has no types
def _begin_worker(**_: Any) -> None:
    told = brief()
    install_liveness()
    if told is not None and told.held is not None:
        HeldMessages(Path(told.held)).connect()


@signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]  # celery has no types
def _end_with_the_worker(**_: Any) -> None:
    """A child of a worker that was killed would go on with its task, which is given to another meanwhile."""
    if sys.platform != "linux":
        return
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent or parent == 1:
        os._exit(1)
