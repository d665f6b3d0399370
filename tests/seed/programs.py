"""Runs a program of the feature source in a process of its own, with jsorc-core alone among the plugins.

Nothing here knows pytest; the programs are in the tests, each the example as it is written there and what is
said of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

from tests.environment import inherited

__all__ = ["run"]

LONG = 60.0
"""Real seconds after which a broken program is ended."""


def run(*parts: str, status: int = 0, **variables: str) -> str:
    """Run the parts of a program, one after another, and return what it printed.

    Args:
        parts: Python code.
        status: The exit status that it must have.
        variables: Environment variables.
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(dedent(part).strip("\n") for part in parts)],
        env={**inherited(), "JSORC_SETTINGS": os.devnull, "JSORC_PLUGINS_ALLOW": "jsorc-core", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout
