"""`python -m jsorc_serv serve`: the commands of this distribution without those of the others."""

from __future__ import annotations

import typer

from jsorc_serv.serve_commands import add_serving_commands

__all__ = ["main"]


def main() -> None:
    """Runs the command line."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    add_serving_commands(app)
    app()


if __name__ == "__main__":
    main()
