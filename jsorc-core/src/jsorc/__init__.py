"""JsOrc: a plugin ecosystem for the services that a Python application leans on.

The public names, and `JsOrc`, the namespace of the default orchestrator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsorc.errors import (
    CastError,
    Closed,
    ConfigError,
    DatabaseReady,
    DeadlineExceeded,
    JsOrcError,
    NotRegistered,
    PluginLoadError,
    ProvisionError,
    RegistrationError,
    ServiceUnavailable,
    StaleRevision,
    StartCycle,
    UnstorableValue,
)
from jsorc.hookspecs import hookimpl
from jsorc.orchestrator import Orchestrator
from jsorc.plugins import PluginRecord
from jsorc.regeneration import Readiness
from jsorc.registration import Candidate
from jsorc.service import CommonService, ServicePolicy, ServiceState
from jsorc.stored_settings import ConfigChange
from jsorc.unit_of_work import Changes, Hook, MemoryHook

if TYPE_CHECKING:
    from jsorc.provisioning import LocalProcess, ProvisionResult

    __version__: str

__all__ = [
    "Candidate",
    "CastError",
    "Changes",
    "Closed",
    "CommonService",
    "ConfigChange",
    "ConfigError",
    "DatabaseReady",
    "DeadlineExceeded",
    "Hook",
    "JsOrc",
    "JsOrcError",
    "LocalProcess",
    "MemoryHook",
    "NotRegistered",
    "Orchestrator",
    "PluginLoadError",
    "PluginRecord",
    "ProvisionError",
    "ProvisionResult",
    "Readiness",
    "RegistrationError",
    "ServicePolicy",
    "ServiceState",
    "ServiceUnavailable",
    "StaleRevision",
    "StartCycle",
    "UnstorableValue",
    "hookimpl",
]

_default = Orchestrator()


class JsOrc:
    """The default orchestrator, by its methods; see `Orchestrator` for what each does.

    It is a namespace and not an instance, so that `class Redis(JsOrc.CommonService)` can be typed.
    """

    from jsorc.service import CommonService as CommonService

    orchestrator = _default
    settings = _default.settings

    service = _default.service
    repository = _default.repository
    context = _default.context
    inject = _default.inject
    configure = _default.configure
    listen = _default.listen

    src = _default.src
    hook = _default.hook
    svc = _default.svc
    ctx = _default.ctx
    get = _default.get
    renew = _default.renew
    destroy = _default.destroy
    override = _default.override

    plugins = _default.plugins
    discover = _default.discover
    explain = _default.explain
    info = _default.info
    alive = _default.alive
    ready = _default.ready
    shared = _default.shared
    call_plugins = _default.call_plugins

    start = _default.start
    stop = _default.stop
    regenerate = _default.regenerate
    provision = _default.provision
    svc_reset = _default.svc_reset
    svc_class = _default.svc_class
    svc_config = _default.svc_config
    svc_config_set = _default.svc_config_set
    svc_config_unset = _default.svc_config_unset
    svc_manifest_unset = _default.svc_manifest_unset


def __getattr__(name: str) -> Any:
    # What only authors of services need is imported when it is asked for: `import jsorc` is to be fast.
    if name in ("LocalProcess", "ProvisionResult"):
        from jsorc import provisioning

        return getattr(provisioning, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("jsorc-core")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
