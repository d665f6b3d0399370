"""A change of a stored config or manifest: it is checked, tried out, stored, and takes effect.

Where stored settings are kept is in `stored_settings`, how an instance takes another's place in `supervisor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jsorc.errors import ConfigError
from jsorc.layers import merged
from jsorc.manifest_secrets import secret_in
from jsorc.registration import Registration
from jsorc.registry import Registry
from jsorc.stored_settings import ConfigChange, StoredSettings, refuse_secrets
from jsorc.supervisor import Supervisor

if TYPE_CHECKING:
    from jsorc.provisioning import ProvisionResult

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
        """Makes one change of a config.

        Args:
            name: The service.
            change: The keys to change, merged deeply into what is stored; None takes back what is stored.

        Raises:
            ConfigError: It does not validate, holds a secret, or is read before the store can be.
            ServiceUnavailable: A service with it does not start, or the store cannot be reached; nothing was
                stored.
            StaleRevision: Somebody else changed stored settings meanwhile; nothing was stored.
        """
        registration, cls = self._winner(name)
        setting = self._storable(registration, registration.config, "config")
        if change is not None:
            refuse_secrets(setting, change, tuple(getattr(cls, "secret_keys", ())))
        revision, before = self._present()
        after = _with_change(before, setting, change)
        config, manifest = self._configuration(registration, cls, after)
        changes: list[ConfigChange] = []

        def store() -> Callable[[], None]:
            changes.append(self._stored.store(after, over=revision))
            return lambda: changes.append(self._stored.store(before, over=changes[0].revision))

        self._supervisor.exchange(name, config, manifest, store)
        return changes[-1]

    def keep_manifest(
        self, name: str, manifest: Any, provision: Callable[[Any], ProvisionResult | None]
    ) -> ProvisionResult | None:
        """Stores a manifest in place of the registered one, once it was provisioned from.

        Args:
            name: The service.
            manifest: The manifest.
            provision: Hands it on, with its references to the environment resolved.

        Returns:
            What `provision` returned; where nothing was provided nothing is stored.

        Raises:
            ConfigError: It holds a secret, or is read before the store can be; nothing was provisioned.
            StaleRevision: Somebody else changed stored settings meanwhile; it was provisioned and not stored.
            ServiceUnavailable: The store cannot be reached.
        """
        registration, cls = self._winner(name)
        setting = self._storable(registration, registration.manifest, "manifest")
        secret = secret_in(manifest, tuple(getattr(cls, "secret_keys", ())))
        if secret is not None:
            raise ConfigError(
                f"{setting} holds a secret ({secret}), and secrets are not stored: refer to it, as by "
                "secretKeyRef, and create it apart, or do not keep the manifest"
            )
        revision, before = self._present()
        after = {**before, setting: manifest}
        result = provision(self._configuration(registration, cls, after)[1])
        if result is not None and result.provided:
            self._stored.store(after, over=revision)
        return result

    def forget_manifest(self, name: str) -> ConfigChange:
        """Takes back what was stored of a manifest; the registered one is used when it is provisioned next.

        Raises:
            ConfigError: It is read before the store can be.
            StaleRevision: Somebody else changed stored settings meanwhile; nothing was stored.
            ServiceUnavailable: The store cannot be reached.
        """
        registration, _ = self._winner(name)
        setting = self._storable(registration, registration.manifest, "manifest")
        revision, before = self._present()
        return self._stored.store(_with_change(before, setting, None), over=revision)

    def _winner(self, name: str) -> tuple[Registration, type]:
        registration = self._registry.winner("service", name)
        return registration, self._registry.load(registration)

    def _storable(self, registration: Registration, setting: str | None, what: str) -> str:
        """The setting that is to be changed, unless there is none, or nothing of it could be stored."""
        name = registration.name
        if setting is None:
            raise ConfigError(f"service {name!r} has no {what} setting; name one where it is registered")
        if name in self._bootstrap():
            variable = f"JSORC_{setting}__<KEY>" if what == "config" else f"JSORC_{setting}"
            raise ConfigError(
                f"{setting} is read before the hook can be, so it is not stored; set it in jsorc.toml, or in "
                f"the environment: {variable}"
            )
        return setting

    def _present(self) -> tuple[int, dict[str, Any]]:
        """What is stored now, and its revision; whatever keeps it from being written is raised."""
        self._stored.refuse_deadlock()
        for need in self._bootstrap():
            self._supervisor.obtain(need).poke()  # the store is to be written, so a stand-in would not do
        self._stored.refresh()
        return self._stored.snapshot()


def _with_change(stored: Mapping[str, Any], setting: str, change: Mapping[str, Any] | None) -> dict[str, Any]:
    if change is None:
        return {name: value for name, value in stored.items() if name != setting}
    return merged(stored, {setting: dict(change)}, "svc_config_set")
