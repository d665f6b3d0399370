"""JsOrc's life within an ASGI server: started when the server is, stopped when it stops.

The server owns the signals, and serves from the first moment: what is not ready yet, page and `/readyz` say.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

from jsorc import DatabaseReady, JsOrcError, Orchestrator
from jsorc.redaction import get_logger
from jsorc_serv.current import orchestrator
from jsorc_serv.limits import App, Receive, Send

__all__ = ["Lifespan"]

log = get_logger("jsorc.serv")


class Lifespan:
    """Starts and stops an orchestrator, as ASGI middleware.

    Args:
        app: What comes next.
        orchestrator: Gives the orchestrator; by default the one that the project's settings name.
        stopping: Called before the stop, to end what would hold it.
    """

    def __init__(
        self,
        app: App,
        orchestrator: Callable[[], Orchestrator] = orchestrator,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._orchestrator = orchestrator
        self._stopping = stopping

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handles the server's life, and hands connections on."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                threading.Thread(target=self._start, name="jsorc-serv-start", daemon=True).start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self._stopping()
                await asyncio.to_thread(self._orchestrator().stop)
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _start(self) -> None:
        try:
            self._orchestrator().start()
        except DatabaseReady:
            log.info("the database became ready; the process ends, so that its successor migrates")
            os.kill(os.getpid(), signal.SIGTERM)
        except JsOrcError as error:
            log.error("JsOrc did not start: %s", error)
