"""Options that several commands share, and how the shell completes names.

`--json` is with what heeds it, in `output`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from jsorc import JsOrc
from jsorc.errors import JsOrcError
from jsorc.redaction import get_logger, mask_text

__all__ = ["App", "Namespace", "any_names", "import_application", "service_names", "setting_names"]

log = get_logger("jsorc.cli")


def import_application(module: str) -> None:
    """Imports an application's module, from the working folder too.

    Raises:
        JsOrcError: There is no such module, or it failed; the message says where.
    """
    folder = os.getcwd()  # noqa: PTH109  # as it stands in sys.path
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if module.endswith(".py") or os.sep in module:
        raise JsOrcError(f"{module!r} is a file; name the module, as `import` does: {_as_module(module)}")
    try:
        importlib.import_module(module)
    except JsOrcError:
        raise
    except Exception as error:
        log.debug("the import of %s failed", module, exc_info=True)
        if isinstance(error, ModuleNotFoundError) and _is_within(module, error.name):
            raise JsOrcError(
                f"there is no module {error.name!r}, neither in {folder} nor installed for {sys.executable}"
            ) from None
        where = "" if isinstance(error, SyntaxError) else f" ({_where(error)})"
        raise JsOrcError(
            f"{module} could not be imported: {type(error).__name__}: {error}{where}; "
            f"`jsorc --log-level debug run {module}` shows the traceback"
        ) from error


def _as_module(file: str) -> str:
    return os.path.normpath(file).removesuffix(".py").strip(os.sep).replace(os.sep, ".")


def _is_within(module: str, missing: str | None) -> bool:
    return missing is not None and f"{module}.".startswith(f"{missing}.")


def _where(error: BaseException) -> str:
    """The file and line of an error, in the code that is most likely at fault."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    frames = [frame for frame in frames if not frame[0].startswith("<")] or frames
    return f"{frames[-1][0]}, line {frames[-1][1]}" if frames else "no traceback"


def _import_first(ctx: typer.Context, value: str | None) -> str | None:
    if value is not None and not ctx.resilient_parsing:
        import_application(value)
    return value


def _names_of(read: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    """A completion from names; none where they cannot be read."""

    def complete(incomplete: str) -> list[str]:
        try:
            return [name for name in read() if name.startswith(incomplete)]
        except JsOrcError as error:
            log.debug("no completion: %s", mask_text(str(error)))
            return []

    return complete


def _info(*pillars: str) -> list[str]:
    info: dict[str, Any] = JsOrc.info()
    return sorted({name for pillar in pillars for name in info[pillar]})


service_names = _names_of(lambda: _info("services"))
any_names = _names_of(lambda: _info("services", "repository", "context"))
setting_names = _names_of(lambda: sorted({*_info("services"), *JsOrc.settings.names()}))

App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE",
        help="Import this module first, for what the application itself registers.",
        callback=_import_first,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        help="The namespace of the process; by default JSORC_CONFIG.namespace as the settings have it here.",
    ),
]
