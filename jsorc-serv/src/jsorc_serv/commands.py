"""What this distribution adds to the `jsorc` command for stores: `jsorc copy`.

What a copy does is in `copying`; here are its options, its progress and its exit codes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from jsorc.errors import JsOrcError
from jsorc.redaction import mask_text
from jsorc_serv.copying import copy_store, opened_store

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Adds the commands.

    Args:
        app: The `jsorc` command.
    """
    app.command("copy")(copy)


def copy(
    source: Annotated[str, typer.Option("--from", help="The distribution whose hook is read.")],
    target: Annotated[str, typer.Option("--to", help="The distribution whose hook is written.")],
    batch: Annotated[int, typer.Option(min=1, help="Objects in one commit.")] = 1_000,
    also: Annotated[
        list[str] | None, typer.Option("--with", help="A distribution that one of them needs; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Copies all objects and globals from one store to another; may be repeated at any time."""
    if source == target:
        raise typer.BadParameter(f"{source} is both; nothing would be copied", param_hint="--to")
    progress = _Progress()
    try:
        _set_up_project()
        with opened_store(source, also or ()) as reader, opened_store(target, also or ()) as writer:
            copied = copy_store(reader, writer, batch, progress)
    except JsOrcError as error:
        progress.end()
        typer.echo(f"jsorc copy: {mask_text(str(error))}", err=True)
        raise typer.Exit(1) from None
    progress.end()
    if as_json:
        facts = {
            "schema": 1,
            "from": source,
            "to": target,
            "objects": copied.objects,
            "globals": copied.globs,
        }
        typer.echo(json.dumps(facts))
    else:
        typer.echo(f"{copied.objects:,} objects and {copied.globs:,} globals were copied to {target}")


def _set_up_project() -> None:
    """A command is no place where a Django project is set up by somebody else."""
    from django.conf import ENVIRONMENT_VARIABLE

    if os.environ.get(ENVIRONMENT_VARIABLE):
        import django

        django.setup()


class _Progress:
    """Shows how far a copy is, on stderr: one line that changes on a terminal, else a line a batch."""

    def __init__(self) -> None:
        self._changes = sys.stderr.isatty()
        self._open = False

    def __call__(self, what: str, count: int) -> None:
        """Shows that `count` of `what` are copied."""
        text = f"{count:,} {what}"
        typer.echo(f"\r\x1b[K{text}" if self._changes else text, err=True, nl=not self._changes)
        self._open = self._changes

    def end(self) -> None:
        """Ends the line that changes, so that the next text has one of its own."""
        if self._open:
            typer.echo(err=True)
            self._open = False
