"""What `JsOrc.info()` shows: the state of everything as one JSON object, with secrets masked.

It only reads; nothing is started, imported or connected by looking.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jsorc.clock import Clock
from jsorc.errors import JsOrcError
from jsorc.plugins import Plugins
from jsorc.redaction import mask, mask_text
from jsorc.registration import PILLARS, Pillar
from jsorc.registry import Registry
from jsorc.settings import JsOrcSettings
from jsorc.supervisor import Slot, Supervisor

__all__ = ["SCHEMA", "describe"]

SCHEMA = 1
"""The version of the object's form."""


def describe(
    supervisor: Supervisor,
    registry: Registry,
    plugins: Plugins,
    settings: JsOrcSettings,
    clock: Clock,
    started: bool,
) -> dict[str, Any]:
    """Describes one orchestrator.

    Returns:
        `schema`, `started`, `namespace`, `plugins`, `services` by name, and the winners of each
        `repository` and `context`.
    """
    now = clock.monotonic()
    known = {slot.name: slot for slot in supervisor.slots() if slot.service is not None}
    names = sorted({*registry.names("service"), *known})
    return {
        "schema": SCHEMA,
        "started": started,
        "namespace": settings.core().namespace,
        "plugins": [dataclasses.asdict(record) for record in plugins.records()],
        "services": {name: _service(name, known.get(name), registry, supervisor, now) for name in names},
        **{
            pillar: {name: _winner(registry, pillar, name) for name in registry.names(pillar)}
            for pillar in PILLARS
            if pillar != "service"
        },
    }


def _service(
    name: str, slot: Slot | None, registry: Registry, supervisor: Supervisor, now: float
) -> dict[str, Any]:
    winner = _winner(registry, "service", name)
    if slot is None or slot.service is None:
        return {"state": "NOT_STARTED", **winner}
    service = slot.service
    due = slot.backoff.due
    return {
        "state": str(service.state),
        "enabled": service.enabled,
        "automated": service.automated,
        "since_seconds": round(max(0.0, now - slot.since), 3),
        "error": mask_text(f"{type(service.error).__name__}: {service.error}") if service.error else None,
        "attempts": slot.attempts,
        "failures": slot.backoff.failures,
        "next_attempt_seconds": round(max(0.0, due - now), 3) if service.has_failed() and due else None,
        "probe_seconds": [round(latency, 6) for latency in supervisor.prober.latencies(service)],
        "config": mask(service.config, tuple(service.secret_keys)),
        "details": _details(service),
        **winner,
    }


def _details(service: Any) -> dict[str, Any]:
    try:
        return dict(mask(service.details(), tuple(service.secret_keys)))
    except Exception as error:
        return {"error": mask_text(f"details() raised {type(error).__name__}: {error}")}


def _winner(registry: Registry, pillar: Pillar, name: str) -> dict[str, Any]:
    try:
        winner = registry.winner(pillar, name)
    except JsOrcError as error:
        return {"winner": None, "problem": mask_text(str(error))}
    return {
        "winner": winner.target,
        "distribution": winner.distribution,
        "version": winner.version,
        **({"setting": winner.config} if pillar == "service" else {}),
        **({"needs": list(winner.needs)} if pillar != "context" else {}),
    }
