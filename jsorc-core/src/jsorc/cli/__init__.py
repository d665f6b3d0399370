"""The `jsorc` command (extra `cli`).

Only its entry point lives here; it must work, and say what to install, where typer and rich are missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

PIP_LINE = 'pip install "jsorc-core[cli]"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: What follows `jsorc`; by default what this process was given.

    Returns:
        The exit status: 0 done, 1 found or failed, 2 usage. `SystemExit` carries any other, such as 75 where
        the database became ready.
    """
    try:
        import rich
        import typer
    except ImportError as missing:
        print(f"the jsorc command needs {missing.name}: {PIP_LINE}", file=sys.stderr)  # noqa: T201
        return 2
    del rich, typer
    from jsorc.cli.app import run

    return run(arguments)
