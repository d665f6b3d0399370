"""Where tasks are defined: in modules named by settings and entry points, in those in use, in the program.

A worker is another process: it has to import by name what this process has, the program included.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from jsorc.errors import ConfigError, PluginLoadError

__all__ = [
    "GROUP",
    "import_program",
    "import_tasks",
    "module_name",
    "modules_of",
    "program_file",
    "register_class",
]

GROUP = "jsorc.tasks"
"""The entry points of distributions that bring tasks; each names a module."""


def module_name(module: str) -> str:
    """The name under which another process imports a module; that of the program is not `__main__`."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        name: str = spec.name
        return name.removesuffix(".__main__") if name.endswith(".__main__") else name
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"


def program_file() -> Path | None:
    """The file of the program, when it is a script; None when it was started by name, or has no file."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    return Path(file).absolute() if file and getattr(main, "__spec__", None) is None else None


def import_tasks(modules: Iterable[str]) -> list[str]:
    """Imports the modules of a setting, and those that entry points name.

    Args:
        modules: `TASK_CONFIG.modules`.

    Returns:
        The names of all of them.

    Raises:
        ConfigError: There is no such module.
        PluginLoadError: One raised at its import.
    """
    from importlib.metadata import entry_points

    found = {
        point.module: f"the entry point {point.name!r} of {GROUP}" for point in entry_points(group=GROUP)
    }
    found |= dict.fromkeys(modules, "TASK_CONFIG.modules")
    for name, source in found.items():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise ConfigError(f"{source} names the module {name!r}, and there is none.") from error
            raise PluginLoadError(f"{name}, named by {source}, cannot be imported: {error}") from error
        except Exception as error:
            raise PluginLoadError(
                f"{name}, named by {source}, cannot be imported: {type(error).__name__}: {error}"
            ) from error
    return list(found)


def modules_of(app: Any) -> list[str]:
    """The modules, the program's `__main__` among them, that define the tasks which an application knows."""
    found = {type(task).__module__ for task in app.tasks.values()}
    return sorted(name for name in found if name.partition(".")[0] not in ("celery", "jsorc_task"))


def import_program(file: Path) -> ModuleType:
    """Imports the program of another process, as the module that it is named after.

    Args:
        file: Its file.

    Raises:
        ConfigError: It is not there, or is no Python.
    """
    name = file.stem
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ConfigError(f"{file} cannot be imported, so the tasks that it defines cannot run in a worker.")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def register_class(app: Any, target: str) -> None:
    """Registers a class of tasks.

    Args:
        app: The Celery application.
        target: The class, as `module:Class`.
    """
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    app.register_task(found())
