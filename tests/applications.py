"""Runs a small application as a process of its own, so that it can be signalled, killed and looked at.

Nothing here knows pytest; what an application does is in the tests.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.environment import inherited

__all__ = ["Application"]

LONG = 40.0
"""Real seconds after which a broken test gives up."""


class Application:
    """A running script; it is killed at the end of the `with` block, with whatever it left behind.

    Args:
        code: The script.
        environ: Variables on top of the present ones.
    """

    def __init__(self, code: str, **environ: str) -> None:
        self._mark = uuid.uuid4().hex
        self._lines: queue.Queue[str] = queue.Queue()
        self.output: list[str] = []
        # Unbuffered, a line is written in pieces, which those of a forked child come between.
        variables = inherited()
        variables.pop("PYTHONUNBUFFERED", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={
                **variables,
                **environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "TEST_MARK": self._mark,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.survivors():
            os.kill(pid, signal.SIGKILL)
        self._reader.join(LONG)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(line.rstrip("\n"))
        self._lines.put("")

    def await_line(self, beginning: str) -> str:
        """Return the rest of the next line that begins so."""
        while True:
            try:
                line = self._lines.get(timeout=LONG)
            except queue.Empty:
                raise AssertionError(f"no line {beginning!r} in:\n{self.text}") from None
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
            if self._lines.empty() and not self._reader.is_alive():
                raise AssertionError(f"no line {beginning!r} in:\n{self.text}")

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def await_end(self, timeout: float = LONG) -> int:
        """Return its exit status; negative for a signal."""
        status = self.process.wait(timeout)
        self._reader.join(LONG)
        return status

    @property
    def text(self) -> str:
        """All that it said so far."""
        return "\n".join(self.output)

    def survivors(self) -> list[int]:
        """Processes that it started, directly or not, and that still run (Linux)."""
        mark = f"TEST_MARK={self._mark}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes() and int(folder.name) != self.process.pid:
                    found.append(int(folder.name))
            except OSError:
                continue  # it ended, or is another user's
        return found
