"""`jsorc serve` and `jsorc token`, as commands; what they do is in `serving` and `api.tokens`.

Nothing of Django or uvicorn is imported before a command runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from jsorc import JsOrcError
from jsorc.errors import ConfigError
from jsorc.redaction import mask_text
from jsorc_serv.serving import migrate, say, serve, set_up

__all__ = ["add_serving_commands"]


def add_serving_commands(cli: Any) -> None:
    """Adds `serve` and `token` to the `jsorc` command.

    Args:
        cli: The `typer.Typer` application.
    """

    def serve_command(
        host: Annotated[str | None, typer.Option(help="The address to bind; SERV_CONFIG.host.")] = None,
        port: Annotated[int | None, typer.Option(help="The port to bind; SERV_CONFIG.port.")] = None,
        app: Annotated[
            list[str] | None, typer.Option(help="A module whose decorators register services; repeatable.")
        ] = None,
    ) -> None:
        """Serve the HTTP API and the status page, and run JsOrc in the same process."""
        _or_exit(lambda: serve(host, port, app or []))

    tokens = typer.Typer(help="Tokens of the HTTP API.", no_args_is_help=True)

    def add(
        name: Annotated[str, typer.Argument(help="What it is for.")],
        user: Annotated[str, typer.Option(help="Whose it is; it may do no more than the user.")] = "admin",
        scope: Annotated[str, typer.Option(help="read, or staff for what the user may change.")] = "read",
        days: Annotated[int | None, typer.Option(min=1, max=36500, help="When it ends; else never.")] = None,
    ) -> None:
        """Make a token and print it, this once."""
        _or_exit(lambda: _add_token(name, user, scope, days))

    def show() -> None:
        """List the tokens, without what they are."""
        _or_exit(_list_tokens)

    def revoke(name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
        """Make a token work no more."""
        _or_exit(lambda: _revoke_token(name))

    cli.command("serve")(serve_command)
    tokens.command("add")(add)
    tokens.command("list")(show)
    tokens.command("revoke")(revoke)
    cli.add_typer(tokens, name="token")


def _add_token(name: str, user: str, scope: str, days: int | None) -> None:
    _prepare()
    from datetime import timedelta

    from django.contrib.auth import get_user_model
    from django.core.exceptions import ValidationError
    from django.utils.timezone import now

    from jsorc_serv.api.models import Scope
    from jsorc_serv.api.tokens import make_token

    if scope not in Scope.values:
        raise ConfigError(f"the scope {scope!r} is unknown; it is read or staff")
    model: Any = get_user_model()
    try:
        owner = model.objects.get_by_natural_key(user)
    except model.DoesNotExist:
        raise ConfigError(f"there is no user {user!r}; `jsorc serve` makes the first one, admin") from None
    try:
        _, token = make_token(name, owner, scope, None if days is None else now() + timedelta(days=days))
    except ValidationError as error:
        raise ConfigError(f"the token was not made: {'; '.join(error.messages)}") from None
    print(token)  # noqa: T201 - the command's output
    say("Keep it now: nobody can show it again.")


def _list_tokens() -> None:
    _prepare()
    from jsorc_serv.api.models import ApiToken

    for token in ApiToken.objects.select_related("user"):
        ends = f"until {token.expires:%Y-%m-%d %H:%M} UTC" if token.expires else "without end"
        print(f"{token.name}\t{token.user.get_username()}\t{token.scope}\t{ends}")  # noqa: T201


def _revoke_token(name: str) -> None:
    _prepare()
    from jsorc_serv.api.models import ApiToken

    deleted, _ = ApiToken.objects.filter(name=name).delete()
    if not deleted:
        raise ConfigError(f"there is no token {name!r}; `jsorc token list` shows those that there are")
    say(f"The token {name} works no more.")


def _prepare() -> None:
    migrate(set_up())


def _or_exit(command: Callable[[], None]) -> None:
    """Runs a command; what a person can mend is one line and no traceback."""
    try:
        command()
    except ConfigError as error:
        _fail(error, 2)
    except JsOrcError as error:
        _fail(error, 1)


def _fail(error: JsOrcError, status: int) -> NoReturn:
    say(f"jsorc: {mask_text(str(error))}")
    raise SystemExit(status) from None
