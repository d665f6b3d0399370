"""`jsorc services`, `info`, `regenerate` and `wait`: what the started process of this user says.

They speak to it through its control socket and start nothing themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jsorc import JsOrc
from jsorc.cli.options import Namespace, service_names
from jsorc.cli.output import Json, duration, print_json, print_line, print_table, table
from jsorc.clock import SYSTEM
from jsorc.control import ask, socket_path
from jsorc.errors import ConfigError, NotRegistered, ServiceUnavailable
from jsorc.redaction import get_logger
from jsorc.settings import JsOrcSettings

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["info", "regenerate", "services", "states", "wait"]

log = get_logger("jsorc.cli")

LOOK = 0.2
"""Seconds between two looks of `wait`."""
ANSWER = 10.0
"""Seconds that the process has to say how it stands."""

Services = Mapping[str, Mapping[str, Any]]


def services(namespace: Namespace = None, json: Json = False) -> None:
    """Shows the services of the started process: state, since when, last error, next attempt.

    Exit status: 0; 1 when no process is started.
    """
    reply = ask(_path(namespace), "status", ANSWER)
    found: Services = reply["answer"]["services"]
    if json:
        print_json({"pid": reply["pid"], "services": found})
    else:
        print_table(*_states(found))


def info(namespace: Namespace = None, json: Json = False) -> None:
    """Shows all that the started process knows of itself: plugins, services, winners.

    Exit status: 0; 1 when no process is started.
    """
    reply = ask(_path(namespace), "status", ANSWER)
    found: dict[str, Any] = reply["answer"]
    if json:
        print_json({**found, "pid": reply["pid"]})
        return
    print_line(f"process {reply['pid']}, namespace {found['namespace']}\n")
    print_table(
        ["PLUGIN", "VERSION", "STATE", "ERROR"],
        [(p["distribution"], p["version"], p["state"], p["error"]) for p in found["plugins"]],
    )
    print_line("")
    print_table(*_states(found["services"]))
    print_line("")
    print_table(
        ["NAME", "KIND", "WINNER", "DISTRIBUTION", "PROBLEM"],
        [
            (name, pillar, row["winner"], row.get("distribution"), row.get("problem"))
            for pillar in ("repository", "context")
            for name, row in found[pillar].items()
        ],
    )


def regenerate(
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait for the pass to end.")
    ] = 120.0,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Makes the started process bring up at once what is to run and does not.

    Exit status: 0; 1 when a pass was under way already, a service is FAILED after it, or nothing is started.
    """
    path = _path(namespace)
    done: bool = ask(path, "regenerate", timeout)["answer"]
    found: Services = ask(path, "status", ANSWER)["answer"]["services"]
    failed = {name: service for name, service in found.items() if service["state"] == "FAILED"}
    if json:
        print_json({"done": done, "failed": {name: row.get("error") for name, row in failed.items()}})
    elif not done:
        print_line("a pass is under way already; nothing was done")
    elif failed:
        print_table(*_states(failed))
    else:
        print_line("done; nothing is FAILED")
    if failed or not done:
        raise typer.Exit(1)


def wait(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="Names of services.", autocompletion=service_names),
    ],
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="How long to wait, for the process too.")
    ] = 60.0,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Waits until services of the started process are RUNNING; for scripts and CI.

    Exit status: 0 when all are RUNNING; 1 when they are not in time, or there is no such service.
    """
    path = _path(namespace)
    began = SYSTEM.monotonic()
    reply = _look_until_running(path, names, began + timeout)
    found = _chosen(reply, names)
    ok = _run(found)
    if json:
        waited = round(SYSTEM.monotonic() - began, 3)
        print_json({"ok": ok, "waited_seconds": waited, "pid": reply["pid"], "services": found})
    else:
        print_table(*_states(found))
    if not ok:
        raise typer.Exit(1)


def _look_until_running(path: Path, names: list[str], deadline: float) -> dict[str, Any]:
    """The first status in which these services run, or the last one before the deadline."""
    never = threading.Event()
    told = False
    while True:
        remaining = deadline - SYSTEM.monotonic()
        try:
            reply = ask(path, "status", max(LOOK, min(ANSWER, remaining)))
        except ServiceUnavailable as error:
            if remaining <= 0:
                raise
            if not told:
                told = True
                log.warning("%s; it is waited for, %.0f s at most", error, remaining)
        else:
            if remaining <= 0 or _run(_chosen(reply, names)):
                return reply
        SYSTEM.wait(never, max(0.0, min(LOOK, remaining)))


def _run(found: Services) -> bool:
    return all(service["state"] == "RUNNING" for service in found.values())


def states(found: Services) -> Table:
    """The table of services that people look at."""
    return table(*_states(found))


def _states(found: Services) -> tuple[list[str], list[tuple[object, ...]]]:
    rows = [
        (
            name,
            service["state"] if service.get("enabled", True) else f"{service['state']} (not enabled)",
            duration(service.get("since_seconds")),
            duration(service.get("next_attempt_seconds")),
            service.get("distribution"),
            service.get("error") or service.get("problem"),
        )
        for name, service in found.items()
    ]
    return ["SERVICE", "STATE", "SINCE", "NEXT ATTEMPT", "DISTRIBUTION", "LAST ERROR"], list(rows)


def _chosen(reply: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = reply["answer"]["services"]
    for name in names:
        if name not in found:
            raise NotRegistered(
                f"process {reply['pid']} has no service named {name!r}; it has {', '.join(found) or 'none'}"
            )
    return {name: found[name] for name in names}


def _path(namespace: str | None) -> Path:
    if namespace is None:
        namespace = JsOrc.settings.core().namespace
    else:
        try:
            checked = JsOrcSettings({}, start=Path("/"))
            checked.configure(JSORC_CONFIG={"namespace": namespace})
            checked.core()
        except ConfigError as error:
            raise typer.BadParameter(str(error), param_hint="--namespace") from None
    return socket_path(JsOrc.orchestrator.state_dir, namespace)
