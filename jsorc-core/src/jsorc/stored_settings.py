"""Layer 4 of the settings: what `svc_config_set` kept in the hook's globals, shared by every replica.

Each change is a revision of its own, a global that is created and never changed; two writers of the same
revision find out by `get_or_create_glob`, which is atomic across processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jsorc.clock import Clock
from jsorc.daemons import call
from jsorc.errors import ConfigError, StaleRevision
from jsorc.redaction import get_logger, is_secret_key
from jsorc.settings import JsOrcSettings
from jsorc.supervisor import READING

__all__ = ["ConfigChange", "StoredSettings", "refuse_secrets"]

log = get_logger("jsorc.stored_settings")

PREFIX = "jsorc.settings/"
KEPT = 10
"""Revisions that are kept, so that a reader who just listed them still finds the one that it saw."""
TIMEOUT = 5.0
"""Seconds that a read or write of the hook may take."""


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What became of a change of stored settings.

    Attributes:
        revision: The revision that it made.
        persisted: Whether it outlives this process: False on a hook in memory.
    """

    revision: int
    persisted: bool


class StoredSettings:
    """The stored layer of one orchestrator.

    Args:
        settings: Given what was read.
        new_hook: Makes a unit of work of the winning hook.
        clock: The clock of every deadline.
    """

    def __init__(self, settings: JsOrcSettings, new_hook: Callable[[], Any], clock: Clock) -> None:
        self._settings = settings
        self._new_hook = new_hook
        self._clock = clock
        self.revision = 0
        """The revision that the settings were last given."""
        self.values: dict[str, Any] = {}
        """Setting name to stored value, at that revision."""
        self._complained = ""

    def refresh(self) -> bool:
        """Reads the present revision; whether the values are known to be current.

        A hook that cannot be read leaves the settings as they are: a service then starts with what is known.
        """
        try:
            revision, values = self._within(self._read, "jsorc-read-settings")
            if revision != self.revision:
                self._settings.set_stored(values)
                self.revision, self.values = revision, values
        except Exception as error:
            if str(error) != self._complained:
                self._complained = str(error)
                log.info("stored settings were not read, those known stay: %s", error)
            return False
        self._complained = ""
        return True

    def store(self, values: Mapping[str, Any]) -> ConfigChange:
        """Makes the next revision.

        Args:
            values: Setting name to stored value: the whole of the layer.

        Raises:
            StaleRevision: Somebody else changed the settings since they were read here.
            ServiceUnavailable: The hook cannot be written; nothing was stored.
        """
        revision, mine = self.revision + 1, os.urandom(16).hex()

        def write() -> bool:
            hook = self._new_hook()
            kept = hook.get_or_create_glob(_name(revision), {"writer": mine, "values": dict(values)})
            if kept["writer"] != mine:
                raise StaleRevision(
                    f"stored settings were changed by somebody else (revision {revision}); read them again "
                    "and repeat the change"
                )
            outdated = [name for name in hook.list_glob(PREFIX) if name < _name(revision - KEPT)]
            for name in outdated:
                hook.destroy_glob(name)
            if outdated:
                hook.commit()
            return bool(getattr(hook, "persistent", True))

        persisted = self._within(write, "jsorc-store-settings")
        self._settings.set_stored(values)
        self.revision, self.values = revision, dict(values)
        return ConfigChange(revision, persisted)

    def _read(self) -> tuple[int, dict[str, Any]]:
        hook = self._new_hook()
        names = hook.list_glob(PREFIX)
        if not names:
            return 0, {}
        kept = hook.get_glob(names[-1])
        return int(names[-1][len(PREFIX) :]), dict(kept["values"])

    def _within(self, read: Callable[[], Any], name: str) -> Any:
        token = READING.set(True)
        try:
            return call(read, TIMEOUT, name=name, clock=self._clock)
        finally:
            READING.reset(token)


def refuse_secrets(setting: str, values: Mapping[str, Any], secret_keys: tuple[str, ...]) -> None:
    """Refuses values under secret keys: what is stored is read by whoever can read the store.

    Raises:
        ConfigError: A secret is given as a value rather than as a reference to the environment.
    """
    for key, value in values.items():
        is_reference = isinstance(value, Mapping) and set(value) == {"$env"}
        if is_secret_key(key, secret_keys) and value is not None and not is_reference:
            raise ConfigError(
                f"{setting}.{key} is a secret, and secrets are not stored; set it in the environment and "
                f'refer to it: {{"{key}": {{"$env": "{key.upper()}"}}}}'
            )
        if isinstance(value, Mapping) and not is_reference:
            refuse_secrets(f"{setting}.{key}", value, secret_keys)


def _name(revision: int) -> str:
    return f"{PREFIX}{max(0, revision):012d}"
