"""A Redis for a benchmark, empty and on a port of its own, which the environment then names."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.servers import RedisServer

__all__ = ["redis"]


@contextlib.contextmanager
def redis() -> Iterator[RedisServer]:
    """A running server; `REDIS_HOST` and `REDIS_PORT` point to it, so ask for the service inside."""
    with tempfile.TemporaryDirectory(prefix="jsorc-bench-") as folder:
        server = RedisServer(Path(folder)).start()
        os.environ["REDIS_HOST"], os.environ["REDIS_PORT"] = server.host, str(server.port)
        try:
            yield server
        finally:
            server.stop()
