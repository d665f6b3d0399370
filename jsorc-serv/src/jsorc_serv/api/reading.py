"""What may be asked without a change: states, plugins, candidates, configs, and the log of changes."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Path, Router
from ninja.errors import HttpError

from jsorc import NotRegistered
from jsorc.redaction import get_logger, mask
from jsorc_serv.api import schemas
from jsorc_serv.api.access import LOGGED_IN, READERS, identity_of
from jsorc_serv.api.models import AuditEntry
from jsorc_serv.api.problems import Problem
from jsorc_serv.current import orchestrator
from jsorc_serv.status.feed import feed_of
from jsorc_serv.status.picture import candidates

__all__ = ["NOT_FOUND", "REFUSALS", "router", "secret_keys_of", "service_facts"]

log = get_logger("jsorc.serv.api")

router = Router()
"""Of all operations: one path has those that read and those that change, and Ninja wants them together."""

MOST = 2**63 - 1
"""The largest id that the databases know."""
REFUSALS = {401: Problem, 429: Problem, 503: Problem}
NOT_FOUND = {404: Problem, 422: Problem, **REFUSALS}


def service_facts(name: str, everybody: bool = False) -> dict[str, Any]:
    """What is known of one service.

    Raises:
        NotRegistered: There is no such service.
    """
    for service in _picture(everybody)["services"]:
        if service["name"] == name:
            return dict(service)
    orchestrator().explain(name, "service")  # which raises, and says what there is
    raise NotRegistered(f"no service is named {name!r}")


def _picture(everybody: bool) -> dict[str, Any]:
    return feed_of(orchestrator()).now().seen_by(everybody)


@router.get("/info", auth=READERS, response={200: schemas.Info, **REFUSALS}, by_alias=True)
def info(request: HttpRequest) -> Any:
    """Gives everything at once: what `JsOrc.info()` has, and the candidates of each name."""
    return _picture(identity_of(request).is_public)


@router.get("/services", auth=READERS, response={200: list[schemas.Service], **REFUSALS})
def services(request: HttpRequest) -> Any:
    """Lists every service with its state."""
    return _picture(identity_of(request).is_public)["services"]


@router.get("/services/{name}", auth=READERS, response={200: schemas.Service, **NOT_FOUND})
def service(request: HttpRequest, name: str) -> Any:
    """Gives one service with its state (the original's `service_info`)."""
    return service_facts(name, identity_of(request).is_public)


@router.get("/services/{name}/config", auth=LOGGED_IN, response={200: schemas.ConfigOut, **NOT_FOUND})
def config(request: HttpRequest, name: str) -> Any:
    """Gives the config that a service would be started with now, with secrets masked."""
    orchestrator().explain(name, "service")
    found = orchestrator().svc_config(name)
    return {"service": name, "config": mask(found, secret_keys_of(name))}


@router.get("/plugins", auth=READERS, response={200: list[schemas.Plugin], **REFUSALS})
def plugins(request: HttpRequest) -> Any:
    """Lists every plugin that was discovered, with its state and error."""
    return _picture(identity_of(request).is_public)["plugins"]


@router.get("/candidates", auth=READERS, response={200: list[schemas.Candidates], **REFUSALS})
def all_candidates(request: HttpRequest) -> Any:
    """Lists every name with its candidates, in the order of rank."""
    return _picture(identity_of(request).is_public)["names"]


@router.get("/candidates/{pillar}/{name}", auth=READERS, response={200: schemas.Candidates, **NOT_FOUND})
def explain(
    request: HttpRequest, pillar: Path[Literal["service", "repository", "context"]], name: str
) -> Any:
    """Explains which candidate has a name, and why."""
    return {"pillar": pillar, "name": name, "candidates": candidates(orchestrator(), name, pillar)}


@router.get("/settings", auth=LOGGED_IN, response={200: list[str], **REFUSALS})
def settings(request: HttpRequest) -> Any:
    """Lists the names of the settings."""
    return sorted(orchestrator().settings.names())


@router.get("/settings/{name}", auth=LOGGED_IN, response={200: schemas.Settings, **NOT_FOUND})
def setting(request: HttpRequest, name: str) -> Any:
    """Explains which layer each key of a setting came from, with secrets masked."""
    if name not in orchestrator().settings.names():
        raise NotRegistered(f"no setting is named {name!r}; GET settings lists them")
    origins = orchestrator().settings.explain(name)
    return {
        "name": name,
        "keys": [
            {
                "key": key,
                "layer": origin.layer,
                "source": origin.source,
                "value": mask({key: origin.value})[key],
            }
            for key, origin in origins.items()
        ],
    }


@router.get("/me", auth=LOGGED_IN, response={200: schemas.Me, **REFUSALS})
def me(request: HttpRequest) -> Any:
    """Says who asks, and which changes they may make."""
    identity = identity_of(request)
    return {"name": identity.name, "means": identity.means, "roles": identity.roles()}


@router.get("/changes", auth=LOGGED_IN, response={200: list[schemas.Audited], 403: Problem, **NOT_FOUND})
def changes(
    request: HttpRequest,
    before: Annotated[int | None, Field(ge=0, le=MOST, description="only those with a smaller id")] = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Any:
    """Lists the log of changes, the latest first; for staff."""
    user = identity_of(request).user
    if not (user.is_staff and user.has_perm("jsorc_api.view_auditentry")):
        raise HttpError(403, "the log of changes is for staff with the permission jsorc_api.view_auditentry")
    rows = AuditEntry.objects.all()
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [{**entry, "at": entry["at"].isoformat()} for entry in rows.values()[:limit]]


def secret_keys_of(name: str) -> tuple[str, ...]:
    """The keys that the class of a service calls secrets, besides those whose names say so.

    Nothing is started to find out; where the class cannot be found by its name there are none, and what is
    secret is then known by its value.
    """
    targets = [row["target"] for row in candidates(orchestrator(), name, "service")]
    for target in targets[:1]:
        try:
            return tuple(getattr(resolve_name(target), "secret_keys", ()))
        except (ImportError, AttributeError, ValueError):
            log.debug("the class of service %r is not to be found at %s", name, target)
    return ()
