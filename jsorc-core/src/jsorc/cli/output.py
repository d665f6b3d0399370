"""What the command writes: objects and tables on stdout, logs and one line an error on stderr, all masked.

What is shown is decided by each command; here is how, so that `--json` and secrets are the same everywhere.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from jsorc.inspection import SCHEMA
from jsorc.redaction import mask_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "LOG_LEVEL",
    "Json",
    "StderrHandler",
    "console",
    "duration",
    "example",
    "print_error",
    "print_json",
    "print_line",
    "print_table",
    "table",
    "wants_json",
]

LOG_LEVEL = "jsorc.log_level"
"""Where a command finds, in its context's `meta`, the level that was asked for."""
_WANTS_JSON = "jsorc.json"
_WIDTH = 200
"""Columns where nobody looks: a pipe or a file."""
_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(9), *range(11, 32), 127]}

Row = Sequence[object]


def _note_json(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[_WANTS_JSON] = value
    return value


Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Write one JSON object to stdout, nothing else.", callback=_note_json, is_eager=True
    ),
]
"""The option that every command has; errors heed it too."""


def wants_json(ctx: typer.Context) -> bool:
    """Whether the command that was asked for has `--json`."""
    return bool(ctx.meta.get(_WANTS_JSON))


def example(*lines: str) -> str:
    """The end of a command's help: how it is used."""
    return "\b\nExample:\n" + "\n".join(f"  $ {line}" for line in lines)


def print_json(content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Writes one object, with the version of its form, to stdout.

    Args:
        content: What it holds, masked by its keys already; what is known to be a secret is masked here too.
        indent: None for a single line.
    """
    whole = {"schema": SCHEMA, **_masked(content)}
    print(json.dumps(whole, indent=indent, default=str), flush=True)  # noqa: T201


def print_error(error: BaseException, *, as_json: bool = False) -> None:
    """Writes an error as one line to stderr, and as an object to stdout where that is wanted."""
    message = mask_text(str(error)) or type(error).__name__
    line = " | ".join(part.strip() for part in message.splitlines() if part.strip())
    print(f"jsorc: {_plain(line)}", file=sys.stderr, flush=True)  # noqa: T201
    if as_json:
        print_json({"error": {"type": type(error).__name__, "message": message}})


def print_line(line: str) -> None:
    """Writes a line for people to stdout."""
    print(_plain(mask_text(line)), flush=True)  # noqa: T201


def console() -> Console:
    """The terminal, or whatever stdout is."""
    from rich.console import Console  # only where a table is shown: it is slow to import

    made = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    return made if made.is_terminal else Console(file=sys.stdout, width=_WIDTH, color_system=None)


def table(headings: Sequence[str], rows: Iterable[Row]) -> Table:
    """A table for people; None is an empty cell."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(Text(heading), overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else _plain(mask_text(str(cell)))) for cell in row))
    return made


def print_table(headings: Sequence[str], rows: Iterable[Row]) -> None:
    """Writes a table for people to stdout."""
    console().print(table(headings, rows))


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    return f"{minutes} min" if minutes < 60 else f"{hours} h {minutes % 60} min"


def _masked(value: Any) -> Any:
    """Masks known secrets in every string; no key decides here, since the names of services are keys too."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(text: str) -> str:
    """Text without what would steer the terminal."""
    return text.translate(_CONTROLS)


class StderrHandler(logging.StreamHandler[IO[str]]):
    """Logs to whatever stderr is at the moment: a live table puts something else in its place for a while.

    Args:
        form: The form of a line, as `logging.Formatter` takes it.
    """

    def __init__(self, form: str) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_Masking(form))

    @property
    def stream(self) -> IO[str]:
        """The present stderr."""
        return sys.stderr

    @stream.setter
    def stream(self, stream: IO[str]) -> None:
        raise AttributeError("it always logs to sys.stderr")


class _Masking(logging.Formatter):
    """Masks the finished text: not every logger whose lines come by is one of JsOrc's."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record))
