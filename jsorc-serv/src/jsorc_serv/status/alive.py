"""`/livez` before Django: liveness needs no thread, middleware or host, and so is told under any load."""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from typing import Any

from jsorc import Orchestrator
from jsorc_serv.limits import App, Receive, Send

__all__ = ["Alive"]


class Alive:
    """Answers `/livez`, as ASGI middleware.

    Args:
        app: What comes next.
        orchestrator: Gives the orchestrator.
    """

    def __init__(self, app: App, orchestrator: Callable[[], Orchestrator]) -> None:
        self._app = app
        self._orchestrator = orchestrator

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http" or scope["path"] != "/livez" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        alive = self._orchestrator().alive()
        body = json.dumps({"alive": alive}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200 if alive else 503, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
