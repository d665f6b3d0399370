"""`jsorc plugins` and `jsorc why`: what is installed here, and who wins.

They look in the command's own process; what a started process does is in `started`.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer

from jsorc import JsOrc
from jsorc.cli.options import App, any_names
from jsorc.cli.output import Json, print_json, print_table

__all__ = ["plugins", "why"]


def plugins(json: Json = False) -> None:
    """Lists the plugins that are installed, and what became of each.

    Exit status: 0; 1 when one failed.
    """
    records = JsOrc.plugins()
    if json:
        print_json({"plugins": [dataclasses.asdict(record) for record in records]})
    else:
        print_table(
            ["DISTRIBUTION", "VERSION", "PLUGIN", "STATE", "ERROR"],
            [(r.distribution, r.version, r.name, r.state, r.error) for r in records],
        )
    if any(record.state == "failed" for record in records):
        raise typer.Exit(1)


def why(
    name: Annotated[str, typer.Argument(help="A registered name, such as hook.", autocompletion=any_names)],
    kind: Annotated[
        Literal["service", "repository", "context"] | None,
        typer.Option(help="The pillar, where the name stands in more than one."),
    ] = None,
    app: App = None,
    json: Json = False,
) -> None:
    """Lists the candidates of a name in their order, and why the first one wins.

    Exit status: 0; 1 when nothing has the name.
    """
    candidates = JsOrc.explain(name, kind)
    if json:
        print_json({"name": name, "candidates": [dataclasses.asdict(c) for c in candidates]})
        return
    print_table(
        ["STATUS", "KIND", "DISTRIBUTION", "VERSION", "PRIORITY", "TARGET"],
        [(c.status, c.pillar, c.distribution, c.version, c.priority, c.target) for c in candidates],
    )
