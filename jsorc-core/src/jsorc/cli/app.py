"""The application behind `jsorc`: its commands, those that plugins add, and what becomes of an error.

What a command does is in the module that is named after what it deals with.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from jsorc import JsOrc
from jsorc.cli.configuring import config
from jsorc.cli.installed import plugins, why
from jsorc.cli.output import LOG_LEVEL, StderrHandler, example, print_error, print_line, wants_json
from jsorc.cli.running import run as run_module
from jsorc.cli.started import info, regenerate, services, wait
from jsorc.errors import JsOrcError
from jsorc.redaction import get_logger

__all__ = ["app", "run"]

log = get_logger("jsorc.cli")

STOP_TIMEOUT = 10.0
"""Seconds to end what a command started in its own process, such as a service that a change was tried on."""


class Commands(TyperGroup):
    """The commands; those of plugins are asked for when the name is not one of JsOrc's own."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; JsOrc's own wins."""
        return super().get_command(ctx, cmd_name) or _of_plugins(ctx).get(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """JsOrc's own commands in their order, then those of plugins."""
        own, added = super().list_commands(ctx), _of_plugins(ctx).keys()
        for name in sorted(added & set(own)):
            log.warning("a plugin adds the command %s, which is JsOrc's own; it is left out", name)
        return [*own, *sorted(added - set(own))]

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for; a mistake of its user is one line, without a traceback."""
        try:
            return super().invoke(ctx)
        except JsOrcError as error:
            print_error(error, as_json=wants_json(ctx))
            raise typer.Exit(1) from None


def _of_plugins(ctx: Any) -> dict[str, Any]:
    """What plugins add: they are given an application of their own, so that none takes another's place."""
    found: dict[str, Any] | None = ctx.meta.get("jsorc.commands")
    if found is None:
        added = typer.Typer(add_completion=False, rich_markup_mode=None)
        JsOrc.call_plugins("jsorc_cli", app=added)
        found = {}
        if added.registered_commands or added.registered_groups:
            found = dict(typer.main.get_group(added).commands)
        ctx.meta["jsorc.commands"] = found
    return found


app = typer.Typer(
    name="jsorc",
    cls=Commands,
    help="Looks at, starts and changes the services of a Python application.",
    epilog="Exit status: 0 done, 1 found or failed, 2 usage, 75 the database became ready.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        from jsorc import __version__

        print_line(f"jsorc-core {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="What is logged, to stderr; by default warning, and info for `run`."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version of jsorc-core.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Logs to stderr, so that stdout is the answer and nothing else."""
    logger = logging.getLogger("jsorc")
    handler, before = StderrHandler("%(levelname)s %(name)s: %(message)s"), logger.level
    logger.addHandler(handler)
    logger.setLevel((log_level or "warning").upper())
    ctx.meta[LOG_LEVEL] = log_level
    ctx.call_on_close(lambda: logger.removeHandler(handler))
    ctx.call_on_close(lambda: logger.setLevel(before))


for command, usage in (
    (plugins, ("jsorc plugins --json",)),
    (why, ("jsorc why hook",)),
    (services, ("jsorc services",)),
    (info, ("jsorc info --json",)),
    (run_module, ("jsorc run shop.main",)),
    (regenerate, ("jsorc regenerate --timeout 30",)),
    (wait, ("jsorc run shop.main &", "jsorc wait redis task --timeout 30")),
):
    app.command(epilog=example(*usage))(command)
app.add_typer(config)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command of this process; see `jsorc.cli.main`."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # what a terminal cannot show is written as an escape
            reconfigure(errors="backslashreplace")
    try:
        typer.main.get_command(app).main(
            args=None if arguments is None else list(arguments), prog_name="jsorc"
        )
    except JsOrcError as error:  # before a command was found, such as a plugin that JSORC_STRICT refuses
        print_error(error)
        return 1
    except Exception as error:
        log.exception("the command failed")
        print_error(error)
        return 1
    finally:
        JsOrc.stop(STOP_TIMEOUT)
    return 0
