"""The longest body and the longest wait for one, kept before Django reads anything.

Django reads a whole body before a view can say no; a body without an end would fill the disk.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["Limits"]

BODY_TIMEOUT = 30.0
"""Seconds that a body may take to arrive."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Limits:
    """Answers 413 to a body that is too long and 408 to one that does not come, as ASGI middleware.

    Args:
        app: What comes next.
        most: The longest body, in bytes.
    """

    def __init__(self, app: App, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(not value.isdigit() or int(value[:20]) > most for value in lengths):
            await _refuse(send, 413, "TooLong", f"the body is longer than {most} bytes")
            return
        await _Request(self._app, most, receive, send).handle(scope)


class _Request:
    def __init__(self, app: App, most: int, receive: Receive, send: Send) -> None:
        self._app, self._left, self._most = app, most, most
        self._receive, self._send = receive, send
        self._arriving, self._refused, self._answered = True, False, False
        self._deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT

    async def handle(self, scope: MutableMapping[str, Any]) -> None:
        await self._app(scope, self._next, self._answer)

    async def _next(self) -> Message:
        if not self._arriving:  # from here on only the end of the connection comes
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            return await self._stop(408, "TooSlow", f"the body did not arrive within {BODY_TIMEOUT:g} s")
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._arriving = bool(message.get("more_body", False))
            if self._left < 0:
                return await self._stop(413, "TooLong", f"the body is longer than {self._most} bytes")
        return message

    async def _stop(self, status: int, error: str, detail: str) -> Message:
        self._refused = True
        if not self._answered:
            await _refuse(self._send, status, error, detail)
        return {"type": "http.disconnect"}

    async def _answer(self, message: Message) -> None:
        self._answered = True
        if not self._refused:
            await self._send(message)


async def _refuse(send: Send, status: int, error: str, detail: str) -> None:
    body = json.dumps({"error": error, "detail": detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of the body is not read
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
