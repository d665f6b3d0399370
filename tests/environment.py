"""The environment variables of orchestrators, and of the processes that tests start.

Nothing here knows pytest; what a process is given besides is in the tests.
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

__all__ = ["at_home", "inherited", "with_plugins"]

ROOT = Path(__file__).parents[1]
OURS = ("JSORC_", "REDIS_", "CELERY_", "POSTGRES_", "DATABASE_URL", "DBNAME", "DJANGO_", "PG")


def inherited() -> dict[str, str]:
    """The variables of this process, without those that set up JsOrc or a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def at_home(home: Path, **variables: str) -> dict[str, str]:
    """The variables of a process that keeps everything in a home of its own and imports the tests."""
    return {
        **inherited(),
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(ROOT),
        "JSORC_CONFIG__CONTROL": "false",
        **variables,
    }


def with_plugins(*distributions: str) -> Mapping[str, str]:
    """The variables of this process, read live, for an orchestrator that has these plugins and no others."""
    return ChainMap({"JSORC_PLUGINS_ALLOW": ",".join(distributions)}, os.environ)
