"""What a child process is told by the process that started it, in one environment variable.

Settings travel as the settings of JsOrc always do, in `JSORC_…` variables; here is what is none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

__all__ = ["Brief", "brief", "settings_for_children"]

_VARIABLE = "_JSORC_TASK_CHILD"


@dataclass(frozen=True)
class Brief:
    """What a worker or beat needs to know of the application whose part it is.

    Attributes:
        path: The import path.
        modules: The modules to import.
        classes: Classes of tasks to register, as `module:Class`.
        program: The file of the program, when it defines tasks.
        config: `TASK_CONFIG` as it is in force, with the addresses filled in.
        held: The file in which a worker notes the messages that it has taken.
    """

    path: list[str] = field(default_factory=lambda: [entry for entry in sys.path if entry])
    modules: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    program: str | None = None
    config: dict[str, Any] | None = None
    held: str | None = None

    def variables(self) -> dict[str, str]:
        """The environment of a child that is to find this brief."""
        return {_VARIABLE: json.dumps(asdict(self))}


@cache
def brief() -> Brief | None:
    """The brief of this process; None when it was not started by JsOrc."""
    text = os.environ.get(_VARIABLE)
    return Brief(**json.loads(text)) if text else None


def settings_for_children(settings: Any, task_config: Mapping[str, Any]) -> dict[str, str]:
    """The settings that were made in code, which a child does not run, as environment variables.

    Args:
        settings: The settings of the orchestrator.
        task_config: `TASK_CONFIG` as it is in force.
    """
    values: dict[str, Any] = {"TASK_CONFIG": dict(task_config)}
    for name in settings.names():
        if name in values:
            continue
        resolved = settings.resolve(name, stored=False)
        if any(origin.source == "configure" for origin in resolved.origins.values()):
            values[name] = resolved.value
    return {
        name if name.startswith("JSORC_") else f"JSORC_{name}": json.dumps(value)
        for name, value in values.items()
    }
