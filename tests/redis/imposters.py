"""Servers that are not a Redis, or one that cannot be used: each answers every request with the same bytes.

What a service makes of them is in test_bad_input.py.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

__all__ = ["Imposter"]


class Imposter:
    """A loopback server that answers everything it is sent with `reply`.

    Args:
        reply: The answer; empty for none.
        hang_up: Whether it closes the connection after its first answer.
    """

    def __init__(self, reply: bytes = b"", *, hang_up: bool = False) -> None:
        self._reply = reply
        self._hang_up = hang_up
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in (self._listener, *self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)
        for sock in (self._listener, *self._open):
            sock.close()

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._spawn(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            while connection.recv(4096):
                connection.sendall(self._reply)
                if self._hang_up:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
        except OSError:
            return
