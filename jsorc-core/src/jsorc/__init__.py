"""JsOrc: a plugin ecosystem for the services that a Python application leans on.

The public names, and `JsOrc`, the namespace of the default orchestrator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
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
from .hookspecs import hookimpl
from .orchestrator import Orchestrator
from .plugins import PluginRecord
from .provisioning import LocalProcess, ProvisionResult
from .regeneration import Readiness
from .registry import Candidate
from .service import CommonService, ServicePolicy, ServiceState
from .stored_settings import ConfigChange
from .unit_of_work import Changes, Hook, MemoryHook

if TYPE_CHECKING:
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

    from .service import CommonService as CommonService

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
    svc_reset = _default.svc_reset
    svc_config = _default.svc_config
    svc_config_set = _default.svc_config_set
    svc_config_unset = _default.svc_config_unset


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("jsorc-core")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
