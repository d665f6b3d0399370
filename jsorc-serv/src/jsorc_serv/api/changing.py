"""What may be changed: restarts, configs, methods that services offer, manifests, regeneration; a role each.

Who asks is logged before anything is done, and what came of it after; see `audit`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec
from django.http import HttpRequest
from ninja import Body

from jsorc import CommonService, NotRegistered, ProvisionResult
from jsorc.daemons import call
from jsorc.errors import ConfigError, JsOrcError
from jsorc.redaction import mask, mask_text
from jsorc_serv.api import schemas
from jsorc_serv.api.access import CHANGERS, need
from jsorc_serv.api.audit import audited
from jsorc_serv.api.problems import MethodFailed, NobodyAnswers, Problem
from jsorc_serv.api.reading import NOT_FOUND, router, secret_keys_of, service_facts
from jsorc_serv.current import orchestrator
from jsorc_serv.status.feed import feed_of

__all__ = ["router"]

TIMEOUT = 90.0
"""Seconds that a change may take: a start has 30, and one that fails may be provisioned and started again."""
REFUSALS = {400: Problem, 403: Problem, 413: Problem, **NOT_FOUND}
UNPROVIDED = {501: Problem, 502: Problem}

T = TypeVar("T")
AnyService = CommonService[Any]


@router.post("/services/{name}/refresh", auth=CHANGERS, response={200: schemas.Service, **REFUSALS})
def refresh(request: HttpRequest, name: str) -> Any:
    """Restarts a service with its present settings (the original's `service_refresh`)."""
    identity = need(request, "restart_service")
    _known(name)
    with audited(request, identity, "restart", name):
        _do(lambda: orchestrator().svc_reset(name), "restart")
    return service_facts(name)


@router.post("/refresh", auth=CHANGERS, response={200: list[schemas.Service], **REFUSALS})
def refresh_all(request: HttpRequest) -> Any:
    """Restarts every service that was started, with its present settings (the original's `jsorc_refresh`)."""
    identity = need(request, "restart_service")
    names = [each["name"] for each in _services() if each["state"] != "NOT_STARTED"]
    with audited(request, identity, "restart", ", ".join(names)):
        for name in names:
            _do(partial(orchestrator().svc_reset, name), "restart")
    return _services()


@router.patch(
    "/services/{name}/config", auth=CHANGERS, response={200: schemas.Changed, 409: Problem, **REFUSALS}
)
def set_config(request: HttpRequest, name: str, changes: Annotated[dict[str, Any], Body()]) -> Any:
    """Changes a config, once a service with it was seen to run (the original's `service_config_set`)."""
    identity = need(request, "change_config")
    _known(name)
    with audited(request, identity, "config set", name, changes, secret_keys_of(name)):
        return _do(lambda: orchestrator().svc_config_set(name, changes), "config")


@router.delete(
    "/services/{name}/config", auth=CHANGERS, response={200: schemas.Changed, 409: Problem, **REFUSALS}
)
def unset_config(request: HttpRequest, name: str) -> Any:
    """Takes back what was stored of a config."""
    identity = need(request, "change_config")
    _known(name)
    with audited(request, identity, "config unset", name):
        return _do(lambda: orchestrator().svc_config_unset(name), "config")


@router.post(
    "/services/{name}/call/{method}",
    auth=CHANGERS,
    response={200: schemas.CallResult, 502: Problem, **REFUSALS},
)
def call_method(request: HttpRequest, name: str, method: str, arguments: schemas.Call) -> Any:
    """Calls a method that the service names in `callable_methods` (the original's `service_call`)."""
    identity = need(request, "call_method")
    _known(name)
    service = orchestrator().svc(name)
    if method not in service.callable_methods or method.startswith("_"):
        offered = ", ".join(sorted(service.callable_methods)) or "none"
        raise NotRegistered(f"service {name!r} offers no method {method!r}; it offers {offered}")
    function = getattr(service, method)
    try:
        inspect.signature(function).bind(*arguments.args, **arguments.kwargs)
    except TypeError as error:
        raise ConfigError(f"{name}.{method}: {error}") from error
    secret_keys = tuple(service.secret_keys)
    sent = {"args": arguments.args, "kwargs": arguments.kwargs}
    with audited(request, identity, "call", f"{name}.{method}", sent, secret_keys):
        result = _do(lambda: _called(function, f"{name}.{method}", arguments), "call")
        return {"result": _as_json(result, f"{name}.{method}", secret_keys)}


@router.post("/manifests", auth=CHANGERS, response={200: schemas.Provisioned, **UNPROVIDED, **REFUSALS})
def load_manifest(request: HttpRequest, sent: schemas.Manifest) -> Any:
    """Applies a manifest that belongs to no service, once (the original's `load_yaml`)."""
    identity = need(request, "apply_manifest")
    with audited(request, identity, "manifest load", "", {"size": len(sent.manifest)}):
        return _provision(None, sent.manifest)


@router.post(
    "/services/{name}/manifest",
    auth=CHANGERS,
    response={200: schemas.Provisioned, 409: Problem, **UNPROVIDED, **REFUSALS},
)
def apply_manifest(request: HttpRequest, name: str, sent: schemas.ServiceManifest) -> Any:
    """Applies a manifest for a service, then restarts the service (the original's `apply_yaml`).

    It is applied once, and a service that fails later is provisioned from its registered manifest; with
    `keep` this one is stored in its place, unless it holds a secret: then it is refused as a whole.
    """
    identity = need(request, "apply_manifest")
    _known(name)
    detail = {"size": len(sent.manifest), "keep": sent.keep}
    with audited(request, identity, "manifest apply", name, detail):
        result = _provision(orchestrator().svc(name), sent.manifest, keep=sent.keep)
        if result.provided:
            _do(lambda: orchestrator().svc_reset(name), "restart")
        return {"provided": result.provided, "detail": result.detail, "kept": sent.keep and result.provided}


@router.delete(
    "/services/{name}/manifest", auth=CHANGERS, response={200: schemas.Changed, 409: Problem, **REFUSALS}
)
def unset_manifest(request: HttpRequest, name: str) -> Any:
    """Takes back a manifest that was kept; the registered one is used when it is provisioned next."""
    identity = need(request, "apply_manifest")
    _known(name)
    with audited(request, identity, "manifest unset", name):
        return _do(lambda: orchestrator().svc_manifest_unset(name), "manifest")


@router.post("/regenerate", auth=CHANGERS, response={200: schemas.Regenerated, **REFUSALS})
def regenerate(request: HttpRequest) -> Any:
    """Brings up what is to run and does not; where a pass is under way nothing is done."""
    identity = need(request, "regenerate")
    with audited(request, identity, "regenerate"):
        return {"begun": _do(lambda: orchestrator().regenerate(), "regenerate")}


def _known(name: str) -> None:
    """Raises NotRegistered, which says what there is, before anything is logged under a name that is not."""
    orchestrator().explain(name, "service")


def _services() -> Any:
    return feed_of(orchestrator()).now().whole["services"]


def _do(change: Callable[[], T], what: str) -> T:
    """Makes a change on a thread that, when it hangs, holds nothing; the next picture is a new one."""
    try:
        return call(change, TIMEOUT, name=f"jsorc-serv-{what}")
    finally:
        feed_of(orchestrator()).news()


def _called(function: Callable[..., Any], what: str, arguments: schemas.Call) -> Any:
    try:
        return function(*arguments.args, **arguments.kwargs)
    except JsOrcError:
        raise
    except (Exception, SystemExit) as error:
        raise MethodFailed(mask_text(f"{what} raised {type(error).__name__}: {error}")) from error


def _as_json(value: Any, what: str, secret_keys: tuple[str, ...]) -> Any:
    try:
        # Through the text, since only that shows numbers and strings which JSON does not have.
        plain = msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise MethodFailed(
            f"{what} returned {type(value).__name__}, which is not JSON; it was called nevertheless"
        ) from error
    return mask(plain, secret_keys)


def _provision(service: AnyService | None, manifest: Any, *, keep: bool = False) -> ProvisionResult:
    answer = _do(lambda: orchestrator().provision(service, manifest, keep=keep), "provision")
    if answer is None:
        raise NobodyAnswers("no installed plugin provisions from this manifest: pip install jsorc-kube")
    return answer
