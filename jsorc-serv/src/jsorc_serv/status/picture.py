"""What the page and the API show of an orchestrator, as JSON values with secrets masked.

Nothing is started or connected by looking. When a new picture is taken is decided in `feed`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from jsorc import JsOrcError, Orchestrator
from jsorc.redaction import mask, mask_text

__all__ = ["candidates", "for_anybody", "picture", "waiting_for"]

PILLARS = ("service", "repository", "context")
_PRIVATE = ("config", "details")
"""What of a service only somebody sees who has logged in."""


def picture(orchestrator: Orchestrator) -> dict[str, Any]:
    """Describes an orchestrator.

    Args:
        orchestrator: The orchestrator.

    Returns:
        `schema`, `started`, `namespace`, `ready`, `waiting`, `plugins`, `services` by rank of attention, and
        `names`, each with its candidates.
    """
    info = orchestrator.info()
    services = [_service(name, facts) for name, facts in info["services"].items()]
    waiting, problem = waiting_for(orchestrator, info["started"])
    return {
        "schema": info["schema"],
        "started": info["started"],
        "namespace": info["namespace"],
        "ready": not waiting and problem is None,
        "waiting": waiting,
        "problem": problem,
        "services": services,
        "names": list(_names(orchestrator, info)),
        "plugins": mask(info["plugins"]),
    }


def for_anybody(whole: dict[str, Any]) -> dict[str, Any]:
    """Leaves out of a picture what only somebody sees who has logged in: configs and details."""
    services = [
        {key: value for key, value in service.items() if key not in _PRIVATE} for service in whole["services"]
    ]
    return {**whole, "services": services}


def candidates(orchestrator: Orchestrator, name: str, pillar: Any = None) -> list[dict[str, Any]]:
    """Lists the candidates of a name in the order of rank.

    Args:
        orchestrator: The orchestrator.
        name: The name.
        pillar: `service`, `repository` or `context`, where the name stands in more than one.

    Returns:
        `pillar`, `distribution`, `version`, `priority`, `target` and `status` of each.

    Raises:
        NotRegistered: Nothing has the name.
    """
    rows = [dataclasses.asdict(candidate) for candidate in orchestrator.explain(name, pillar)]
    return [{**row, "status": mask_text(row["status"])} for row in rows]


def _service(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "enabled": None,
        "automated": None,
        "since_seconds": None,
        "error": None,
        "attempts": 0,
        "failures": 0,
        "next_attempt_seconds": None,
        "probe_seconds": [],
        "config": {},
        "details": {},
        "winner": None,
        "distribution": None,
        "version": None,
        "problem": None,
        **facts,
    }


def waiting_for(orchestrator: Orchestrator, started: bool) -> tuple[list[str], str | None]:
    """Names what keeps an orchestrator from being ready.

    Args:
        orchestrator: The orchestrator.
        started: Whether it was started.

    Returns:
        The services that are to run and do not, and what else is wrong, if anything.
    """
    if not started:
        return [], "JsOrc.start() was not called yet"
    try:
        readiness = orchestrator.ready()
    except JsOrcError as error:
        return [], mask_text(str(error))
    if not readiness.ok and not readiness.waiting:
        return [], "the orchestrator was stopped"
    return list(readiness.waiting), None


def _names(orchestrator: Orchestrator, info: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for pillar in PILLARS:
        for name in info["services" if pillar == "service" else pillar]:
            try:
                rows = candidates(orchestrator, name, pillar)
                problem = None
            except JsOrcError as error:
                rows, problem = [], mask_text(str(error))
            yield {"pillar": pillar, "name": name, "candidates": rows, "problem": problem}
