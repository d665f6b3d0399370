"""`jsorc config`: reads and changes the config of services, with secrets masked.

It works in the command's own process, with the settings of the working folder and its environment; a change
is stored in the hook, from where started processes take it up at their next pass.
"""

from __future__ import annotations

import json as json_text
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jsorc import ConfigChange, JsOrc
from jsorc.cli.options import App, service_names, setting_names
from jsorc.cli.output import Json, example, print_json, print_line, print_table
from jsorc.errors import ConfigError, JsOrcError, ServiceUnavailable
from jsorc.redaction import MASK, get_logger, mask

__all__ = ["config"]

log = get_logger("jsorc.cli")

config = typer.Typer(
    name="config",
    help="Reads and changes the config of services; secrets are masked.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Service = Annotated[str, typer.Argument(help="The name of a service.", autocompletion=service_names)]
Key = Annotated[str | None, typer.Argument(help="A key, such as client.socket_timeout; all by default.")]


@config.command(epilog=example("jsorc config get redis", "jsorc config get redis port --json"))
def get(service: Service, key: Key = None, app: App = None, json: Json = False) -> None:
    """Shows the config that a service would be started with now.

    Exit status: 0; 1 when there is no such service or key, or the config does not validate.
    """
    _begin(service)
    found: Any = mask(JsOrc.svc_config(service), _secret_keys(service))
    for part in key.split(".") if key is not None else ():
        if not isinstance(found, Mapping) or part not in found:
            has = f"there are {', '.join(found)}" if isinstance(found, Mapping) else "that is no table"
            raise ConfigError(f"the config of {service} has no {part!r} where {key} asks for it; {has}")
        found = found[part]
    if json:
        print_json({"service": service, "path": key, "value": found})
    elif isinstance(found, Mapping):
        print_table(["KEY", "VALUE"], [(name, _shown(value)) for name, value in _flat(found)])
    else:
        print_line(_shown(found))


@config.command("set", epilog=example('jsorc config set task concurrency=4 queues=\'["mail", "report"]\''))
def set_(
    service: Service,
    assignments: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE",
            help='Dots go into tables: client.timeout=3. A value that is JSON is understood as JSON; "3" in '
            "quotes that the shell leaves is text.",
        ),
    ],
    app: App = None,
    json: Json = False,
) -> None:
    """Changes and stores keys of a service's config, once a service with them was seen to run.

    Exit status: 0; 1 when it was refused, or does not outlive this command; nothing is stored then.
    """
    change: dict[str, Any] = {}
    for assignment in assignments:
        _assign(change, assignment)
    _tell(service, JsOrc.svc_config_set(service, change), json)


@config.command(epilog=example("jsorc config unset task"))
def unset(service: Service, app: App = None, json: Json = False) -> None:
    """Takes back everything that was stored of a service's config.

    Exit status: 0; 1 when it was refused; it stays stored then.
    """
    _tell(service, JsOrc.svc_config_unset(service), json)


@config.command(epilog=example("jsorc config explain REDIS_CONFIG", "jsorc config explain redis --json"))
def explain(
    name: Annotated[str, typer.Argument(help="A setting, or a service.", autocompletion=setting_names)],
    app: App = None,
    json: Json = False,
) -> None:
    """Shows where each value of a setting comes from: the layer, and what is its source.

    Exit status: 0; 1 when there is no such setting, or a layer cannot be read.
    """
    services = JsOrc.info()["services"]
    setting = name
    if name not in JsOrc.settings and name in services:
        setting = services[name].get("setting") or name
    secret_keys: tuple[str, ...] = ()
    sure = True
    for service in [service for service, row in services.items() if row.get("setting") == setting]:
        _begin(service)
        try:
            secret_keys += _secret_keys(service)
        except JsOrcError as error:
            sure = False
            log.warning("which keys of %s are secret is not known, so no value is shown: %s", setting, error)
        try:
            JsOrc.svc_config(service)  # which reads what is stored
        except ConfigError as error:
            log.warning("%s", error)
    origins = JsOrc.settings.explain(setting, secret_keys=secret_keys)
    rows = [
        (path, origin.value if sure else MASK, origin.layer, origin.source)
        for path, origin in origins.items()
    ]
    if json:
        named = ("path", "value", "layer", "source")
        print_json({"setting": setting, "origins": [dict(zip(named, row, strict=True)) for row in rows]})
    else:
        print_table(
            ["KEY", "VALUE", "LAYER", "SOURCE"],
            [(path, _shown(value), layer, source) for path, value, layer, source in rows],
        )


def _begin(service: str) -> None:
    """Starts what the hook needs, so that stored settings can be read; if it cannot, the others are shown."""
    needs = JsOrc.info()["repository"].get("hook", {}).get("needs", [])
    if service in needs:
        return
    try:
        for need in needs:
            JsOrc.svc(need).poke()
    except ServiceUnavailable as error:
        log.warning("what is stored is not shown: %s", error)


def _secret_keys(service: str) -> tuple[str, ...]:
    return tuple(getattr(JsOrc.svc_class(service), "secret_keys", ()))


def _assign(change: dict[str, Any], assignment: str) -> None:
    path, equals, text = assignment.partition("=")
    parts = path.split(".")
    if not equals or not all(parts):
        raise typer.BadParameter("write KEY=VALUE, as in port=6380", param_hint="KEY=VALUE")
    try:
        value = json_text.loads(text)
    except (ValueError, RecursionError):
        value = text
    for part in reversed(parts[1:]):
        value = {part: value}
    _lay(change, parts[0], value)


def _lay(table: dict[str, Any], key: str, value: Any) -> None:
    mine = table.get(key)
    if isinstance(mine, dict) and isinstance(value, dict):
        for inner, item in value.items():
            _lay(mine, inner, item)
    else:
        table[key] = value


def _tell(service: str, change: ConfigChange, json: bool) -> None:
    if json:
        print_json({"service": service, "revision": change.revision, "persisted": change.persisted})
    elif change.persisted:
        print_line(
            f"{service}: stored as revision {change.revision}; started processes take it at their next pass"
        )
    if not change.persisted:
        log.error(
            "the hook keeps objects in memory, so the change ends with this command; install a store, such "
            "as jsorc-redis, or set it in jsorc.toml"
        )
        raise typer.Exit(1)


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            rows += _flat(item, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", item))
    return rows


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json_text.dumps(value, default=str)
