"""A small web server for sequences, on loopback, which notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Web", "web"]


class Web:
    """What is asked of it, and how it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.hosts: list[str] = []
        self.failures = 0
        self.port = 0
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def web() -> Iterator[Web]:
    """A running server."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            state.asked.append((self.command, self.path, body))
            state.hosts.append(self.headers["Host"])
            if state.failures:
                state.failures -= 1
                self.send_error(503)
            elif self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif self.path.startswith("/large"):
                self.reply(b"x" * 2_000, "text/plain")
            elif self.path.startswith("/drip"):
                self.send_response(200)
                self.end_headers()
                while not state.ending.wait(0.1):
                    self.wfile.write(b".")
            elif self.path.startswith("/text"):
                self.reply(b"plain", "text/plain")
            else:
                said = {"path": self.path, "items": [{"id": 7, "name": "a/b"}], "got": body}
                self.reply(json.dumps(said).encode(), "application/json")

        do_GET = do_POST = do_PUT = answer

        def reply(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.ending.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
