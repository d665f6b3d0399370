"""Runs the `jsorc` command as a process of its own, with a home of its own and no setting from outside.

Nothing here knows pytest; what a command must say is in the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.applications import Application
from tests.environment import inherited

__all__ = ["Command", "Finished"]

LONG = 60.0
"""Real seconds after which a broken test gives up."""
PROGRAM = "import sys; from jsorc.cli import main; sys.exit(main())"


class Finished:
    """What a command said, and its exit status."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.stdout)

    def __repr__(self) -> str:
        return f"status {self.status}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Command:
    """The command in one working folder.

    Args:
        folder: An empty folder: the working folder is in it, and the home. Its name is to be short, since the
            path of a socket may not be long.
        path: Folders to import from, before those of this process.
        environ: Further variables.
    """

    def __init__(self, folder: Path, *path: Path, **environ: str) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.path = list(path)
        self.environ = {
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "JSORC_PLUGINS_ALLOW": "none",
            "COLUMNS": "200",
            **environ,
        }

    def write(self, name: str, source: str) -> None:
        """Write a file into the working folder."""
        (self.folder / name).write_text(dedent(source))

    def __call__(self, *arguments: str, code: str = PROGRAM, **environ: str) -> Finished:
        """Run it to its end."""
        python_path = os.pathsep.join([*map(str, self.path), *(path for path in sys.path if path)])
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env={**inherited(), "PYTHONPATH": python_path, **self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        return Finished(done)

    def begin(self, *arguments: str, **environ: str) -> Application:
        """Start it and let it run; its lines are those of stdout and stderr."""
        code = (
            f"import os, sys; os.chdir({str(self.folder)!r}); from jsorc.cli import main; "
            f"sys.exit(main({list(arguments)!r}))"
        )
        return Application(code, **{**self.environ, **environ})
