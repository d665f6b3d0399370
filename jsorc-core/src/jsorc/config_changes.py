"""A change of stored config: it is checked, tried out, stored, and takes effect (`JsOrc.svc_config_set`).

Where stored settings are kept is in `stored_settings`, how an instance takes another's place in `supervisor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jsorc.errors import ConfigError
from jsorc.layers import merged
from jsorc.registry import Registration, Registry
from jsorc.stored_settings import ConfigChange, StoredSettings, refuse_secrets
from jsorc.supervisor import Supervisor

__all__ = ["ConfigChanges"]

Configuration = Callable[[Registration, type, Mapping[str, Any]], tuple[dict[str, Any], Any]]


class ConfigChanges:
    """Changes of the stored settings of one orchestrator.

    Args:
        registry: Says which setting holds a service's config.
        stored: Keeps the changes.
        supervisor: Tries them out.
        configuration: Gives a service's config and manifest as they would be with other stored settings.
        bootstrap: Names the services whose settings are read before the store can be.
    """

    def __init__(
        self,
        registry: Registry,
        stored: StoredSettings,
        supervisor: Supervisor,
        configuration: Configuration,
        bootstrap: Callable[[], tuple[str, ...]],
    ) -> None:
        self._registry = registry
        self._stored = stored
        self._supervisor = supervisor
        self._configuration = configuration
        self._bootstrap = bootstrap

    def make(self, name: str, change: Mapping[str, Any] | None) -> ConfigChange:
        """Makes one change.

        Args:
            name: The service.
            change: The keys to change, merged deeply into what is stored; None takes back what is stored.

        Raises:
            ConfigError: It does not validate, holds a secret, or is read before the store can be.
            ServiceUnavailable: A service with it does not start, or the store cannot be reached; nothing was
                stored.
            StaleRevision: Somebody else changed stored settings meanwhile; nothing was stored.
        """
        registration = self._registry.winner("service", name)
        cls = self._registry.load(registration)
        setting = registration.config
        if setting is None:
            raise ConfigError(f"service {name!r} has no config setting; name one where it is registered")
        if name in self._bootstrap():
            raise ConfigError(
                f"{setting} is read before the hook can be, so it is not stored; set it in jsorc.toml, or in "
                f"the environment: JSORC_{setting}__<KEY>"
            )
        if change is not None:
            refuse_secrets(setting, change, tuple(getattr(cls, "secret_keys", ())))
        self._stored.refuse_deadlock()
        for need in self._bootstrap():
            self._supervisor.obtain(need).poke()  # the store is to be written, so a stand-in would not do
        self._stored.refresh()
        revision, before = self._stored.snapshot()
        after = _with_change(before, setting, change)
        config, manifest = self._configuration(registration, cls, after)
        changes: list[ConfigChange] = []

        def store() -> Callable[[], None]:
            changes.append(self._stored.store(after, over=revision))
            return lambda: changes.append(self._stored.store(before, over=changes[0].revision))

        self._supervisor.exchange(name, config, manifest, store)
        return changes[-1]


def _with_change(stored: Mapping[str, Any], setting: str, change: Mapping[str, Any] | None) -> dict[str, Any]:
    if change is None:
        return {name: value for name, value in stored.items() if name != setting}
    return merged(stored, {setting: dict(change)}, "svc_config_set")
