"""`jsorc run`: starts an application and shows its services until it is told to end.

What is started, and how it is kept running, is the orchestrator's; here it is only shown.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from jsorc import CommonService, JsOrc, ServiceState, hookimpl
from jsorc.cli.options import import_application
from jsorc.cli.output import LOG_LEVEL, Json, StderrHandler, console, print_json
from jsorc.cli.started import states
from jsorc.clock import SYSTEM
from jsorc.redaction import get_logger, mask_text
from jsorc.signals import stop_on_signals

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["run"]

log = get_logger("jsorc.cli")

REFRESH = 4.0
"""Times a second that the table is drawn."""


def run(
    ctx: typer.Context,
    module: Annotated[
        str, typer.Argument(metavar="MODULE", help="The application's module, such as shop.main.")
    ],
    json: Json = False,
) -> None:
    """Imports an application's module, starts its services and keeps them running.

    On a terminal it shows a live table of the services, otherwise a log line for each change. With --json,
    one object on one line says how they stand after the start. SIGINT and SIGTERM stop it in good order.

    Exit status: 130 or 143 after SIGINT or SIGTERM; 75 (or DB_REGEN_CONFIG.exit_code) when the database
    became ready and it must be started again, to migrate; 1 when it could not be started.
    """
    import_application(module)
    _log_to_stderr(ctx.meta.get(LOG_LEVEL) or "info")
    shown = console()
    if json or not shown.is_terminal:
        JsOrc.listen(_StateLog(), "jsorc run")
        _start()
        if json:
            readiness = JsOrc.ready()
            found = JsOrc.info()
            print_json(
                {
                    "module": module,
                    "pid": os.getpid(),
                    "namespace": found["namespace"],
                    "ready": readiness.ok,
                    "waiting": list(readiness.waiting),
                    "services": found["services"],
                },
                indent=None,
            )
        _stay()
    from rich.live import Live

    with Live(
        console=shown,
        get_renderable=_table,
        refresh_per_second=REFRESH,
        redirect_stderr=sys.stderr.isatty(),
    ):
        _start()
        _stay()


def _start() -> None:
    if JsOrc.info()["started"]:  # the module did it, and left the signals to whoever runs it
        stop_on_signals(JsOrc.stop)()
    else:
        JsOrc.start(signals=True)


def _stay() -> NoReturn:
    """Waits for a signal, whose handler ends the process."""
    never = threading.Event()
    while True:
        SYSTEM.wait(never, None)


def _table() -> RenderableType:
    try:
        return states(JsOrc.info()["services"])
    except Exception as error:  # the next drawing may go better, and the services go on meanwhile
        return mask_text(f"the services cannot be shown: {type(error).__name__}: {error}")


def _log_to_stderr(level: str) -> None:
    """Logs everything from that level up, unless the application has set up logging itself."""
    mine, root = logging.getLogger("jsorc"), logging.getLogger()
    for handler in [handler for handler in mine.handlers if isinstance(handler, StderrHandler)]:
        mine.removeHandler(handler)
    mine.setLevel(level.upper())
    if not root.handlers:
        root.addHandler(StderrHandler("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.setLevel(level.upper())


class _StateLog:
    """Logs each change of state, where nobody looks at a table."""

    @hookimpl
    def jsorc_state_changed(
        self, service: CommonService[Any], old: ServiceState, new: ServiceState, error: BaseException | None
    ) -> None:
        log.info("%s: %s -> %s", service.name, old, new)
