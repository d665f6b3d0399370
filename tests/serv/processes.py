"""Runs a script in a process of its own, since Django is configured once a process.

What a script printed as JSON on its last line is its answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.environment import at_home

__all__ = ["Script", "environment"]


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The variables of a process that sees no outside setting, and whose hook is the OrmHook."""
    ours = {"PYTHONWARNINGS": "error", "JSORC_CONFIG__USE__HOOK": "jsorc-serv"}
    return at_home(home, **{**ours, **variables})


class Script:
    """One Python process; as a context manager it is over at the end of the block, whatever happened.

    Args:
        code: What it runs.
        home: Its home, which becomes its working folder as well.
        variables: Further environment variables.
    """

    def __init__(self, code: str, home: Path, **variables: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=environment(home, **variables),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        with self._process:  # closes its pipes
            pass

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def hear(self) -> Any:
        """The next line of its standard output, as JSON; fails with what it said when it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the script has ended:\n{self._process.communicate()[1]}"
        return json.loads(line)

    def finish(self, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Wait for its end, and return status and output."""
        try:
            out, err = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
            raise AssertionError(f"the script did not end:\n{out}{err}") from None
        return subprocess.CompletedProcess(self._process.args, self._process.returncode, out, err)

    def answer(self, timeout: float = 60.0) -> Any:
        """The JSON on the last line that it printed; it must end well."""
        done = self.finish(timeout)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])
