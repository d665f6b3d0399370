"""The application's settings file: where it is, and what it held when it was last read.

Which of its tables are known, and what they are laid over, is `settings`'.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jsorc import redaction
from jsorc.errors import ConfigError
from jsorc.validation import shown

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SettingsFile"]

_LONGEST = 4 * 1024 * 1024
_LONGEST_PATH = 1024


class SettingsFile:
    """The application's settings file: where it is, and what it held when it was last read."""

    def __init__(self, environ: Mapping[str, str], start: Path | None) -> None:
        self._environ = environ
        self._start = start
        self._read: dict[Path, tuple[tuple[int, int], dict[str, Any] | None]] = {}

    def current(self) -> tuple[Path | None, dict[str, Any]]:
        """The file and its table as they are now; no file is an empty table."""
        from pathlib import Path  # here, since `import jsorc` is to be fast

        named = self._environ.get("JSORC_SETTINGS")
        try:
            start = Path.cwd() if self._start is None else self._start.absolute()
        except OSError:
            # The working folder was removed; there is nothing above it to search either.
            start = Path("/")
        if named:
            path = start / named
            table = self._table(path, required=True)
            if table is None:
                raise ConfigError(f"JSORC_SETTINGS names {shown(path)}, which has no table [tool.jsorc].")
            return path, table
        for folder in (start, *start.parents):
            for path in (folder / "jsorc.toml", folder / "pyproject.toml"):
                table = self._table(path, required=False)
                if table is not None:
                    return path, table
        return None, {}

    def _table(self, path: Path, *, required: bool) -> dict[str, Any] | None:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) and str(path) != os.devnull:
                raise FileNotFoundError("it is not a file")
        except (OSError, ValueError) as error:
            if not required:
                return None
            raise ConfigError(
                f"JSORC_SETTINGS names {_shown(path)}, which cannot be read: {_reason(error)}."
            ) from None
        version = (status.st_mtime_ns, status.st_size)
        cached = self._read.get(path)
        if cached is not None and cached[0] == version:
            return cached[1]
        table = _parsed_pyproject(path) if path.name == "pyproject.toml" else _parsed(path, _content(path))
        self._read[path] = (version, table)
        return table


def _parsed_pyproject(path: Path) -> dict[str, Any] | None:
    """The table [tool.jsorc]; a project file that does not speak of JsOrc is nobody's mistake here."""
    try:
        content = _content(path)
        if b"jsorc" not in content:
            return None
    except ConfigError:
        return None
    tool = _parsed(path, content).get("tool")
    if not isinstance(tool, dict) or "jsorc" not in tool:
        return None
    if not isinstance(tool["jsorc"], dict):
        raise ConfigError(f"{shown(path)}: tool.jsorc must be a table of settings.")
    return tool["jsorc"]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be read: {_reason(error)}.") from None
    if len(content) > _LONGEST:
        raise ConfigError(f"{shown(path)} is longer than {_LONGEST} bytes; it cannot be a settings file.")
    return content


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown(path)} is not UTF-8 at byte {error.start}; save it as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        # tomllib quotes at most one character or key, and a number too long for Python is a plain ValueError.
        reason = "nested too deeply" if isinstance(error, RecursionError) else _reason(error)
        raise ConfigError(f"{shown(path)} is not valid TOML: {reason}.") from None


def _shown(path: Path) -> str:
    """The path in full; one that is too long for any file is a mistake, and its beginning tells enough."""
    return shown(path) if len(str(path)) <= _LONGEST_PATH else shown(str(path))


def _reason(error: Exception) -> str:
    return redaction.mask_text(getattr(error, "strerror", None) or shown(error)).rstrip(".")
