"""Every exception of this project, in one hierarchy under `JsOrcError`.

Only the types live here; the sentences are written where what went wrong is known. `DatabaseReady` stands
outside the hierarchy because it ends the process.
"""

from __future__ import annotations

__all__ = [
    "CastError",
    "Closed",
    "ConfigError",
    "DatabaseReady",
    "DeadlineExceeded",
    "JsOrcError",
    "NotRegistered",
    "PluginLoadError",
    "ProvisionError",
    "RegistrationError",
    "ServiceUnavailable",
    "StaleRevision",
    "StartCycle",
    "UnstorableValue",
]


class JsOrcError(Exception):
    """The base of every error that JsOrc raises."""


class RegistrationError(JsOrcError, ValueError):
    """A registration was refused: a bad name, priority or target."""


class NotRegistered(JsOrcError, LookupError):
    """Nothing stands under the name that was asked for."""


class PluginLoadError(JsOrcError):
    """A plugin, or the winner of a name, could not be imported; nothing else is used in its place."""


class CastError(JsOrcError, TypeError):
    """What was found is not an instance of the class that the caller asked for."""


class ConfigError(JsOrcError, ValueError):
    """A setting is missing, unknown, of a wrong type or out of range."""


class StaleRevision(JsOrcError):
    """Stored settings were changed by somebody else since they were read; read them again."""


class ServiceUnavailable(JsOrcError):
    """A service is not running, or did not answer within its deadline."""


class DeadlineExceeded(ServiceUnavailable):
    """A start, probe or stop took longer than it was given."""


class StartCycle(JsOrcError):
    """Services wait for each other to start; the message names the circle."""


class ProvisionError(JsOrcError):
    """What a service runs on could not be provided."""


class Closed(JsOrcError):
    """The orchestrator was stopped; it starts nothing any more."""


class UnstorableValue(JsOrcError, TypeError, ValueError):
    """A value, id or name that a hook cannot store without changing it."""


class DatabaseReady(SystemExit):
    """The database became ready: the process ends so that its successor can migrate.

    Args:
        code: The exit status of the process; `DB_REGEN_CONFIG.exit_code`, 75 by default (EX_TEMPFAIL of
            sysexits.h).
    """

    def __init__(self, code: int = 75) -> None:
        super().__init__(code)
