"""Fresh virtual environments that a test installs into, uninstalls from and asks questions in.

What is installed is made in distributions.py; every question runs in a new process, outside the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Environment"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    """One virtual environment; `create` makes it."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, *, pip: bool = False) -> Environment:
        """Make an empty environment of the running Python, with pip in it if wanted."""
        seed = ["--seed"] if pip else []
        _run("uv", "venv", "--quiet", "--no-project", "--python", sys.executable, *seed, str(folder))
        return cls(folder)

    @property
    def python(self) -> str:
        """The path of its interpreter."""
        return str(self.folder / "bin" / "python")

    def install(self, *wheels: Path | str, dependencies: bool = True) -> None:
        """Install wheels; without their dependencies when those could never be met."""
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        alone = [] if dependencies else ["--no-deps"]
        options = ["--quiet", "--python", self.python, *constraints, *alone]
        _run("uv", "pip", "install", *options, *map(str, wheels))

    def uninstall(self, *distributions: str) -> None:
        """Take distributions out again."""
        _run("uv", "pip", "uninstall", "--quiet", "--python", self.python, *distributions)

    def run(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `python -c code` in the environment, with further environment variables."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JSORC_", "PYTHON", "REDIS_", "COV_"))
        }
        return subprocess.run(
            [self.python, "-c", code],
            env={**inherited, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ask(self, expression: str, **variables: str) -> Any:
        """The value of an expression over `JsOrc`, carried over as JSON.

        The code prints the answer on a line of its own, after whatever a plugin may print.
        """
        code = (
            f"import json\nfrom jsorc import JsOrc\nanswer = {expression}\nprint()\nprint(json.dumps(answer))"
        )
        done = self.run(code, **variables)
        assert done.returncode == 0, f"{expression} failed in {self.folder.name}:\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    def winner(self, name: str = "hook", **variables: str) -> str:
        """The class that `JsOrc.src(name)` makes here."""
        return str(self.ask(f"type(JsOrc.src({name!r})).__name__", **variables))

    def candidates(self, name: str = "hook", **variables: str) -> list[tuple[str, int, str]]:
        """Distribution, priority and status of every candidate of a name, in order."""
        rows = self.ask(
            f"[(c.distribution, c.priority, str(c.status)) for c in JsOrc.explain({name!r})]", **variables
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def plugins(self, **variables: str) -> dict[str, tuple[str, str]]:
        """State and error of every plugin, by its distribution."""
        rows = self.ask(
            "[(p.distribution, str(p.state), str(p.error)) for p in JsOrc.plugins()]", **variables
        )
        return {row[0]: (row[1], row[2]) for row in rows}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
