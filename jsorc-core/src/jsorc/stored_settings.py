"""Layer 4 of the settings: what `svc_config_set` kept in the hook's globals, shared by every replica.

Each change is a revision of its own, a global that is created and never changed; two writers of the same
revision find out by `get_or_create_glob`, which is atomic across processes.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jsorc.clock import Clock
from jsorc.daemons import call
from jsorc.errors import ConfigError, JsOrcError, StaleRevision
from jsorc.redaction import get_logger, is_secret_key, mask
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
        self.known = False
        """Whether they were read at least once."""
        self._complained = ""
        self._tickets = itertools.count(1)
        self._latest = 0
        self.forget()

    def forget(self) -> None:
        """In the child of a fork: a lock of its own, since another thread of the parent may have held it."""
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Reads the present revision; whether the values are known to be current.

        A hook that cannot be read leaves the settings as they are: a service then starts with what is known.
        Within a read, as when the hook asks for a service that reads its settings in turn, nothing is read.
        """
        if READING.get():
            return False
        ticket = next(self._tickets)
        try:
            self._take(ticket, *self._within(self._read, "jsorc-read-settings"))
        except (Exception, SystemExit) as error:
            if str(error) != self._complained:
                self._complained = str(error)
                log.info("stored settings were not read, those known stay: %s", error)
            return False
        self._complained = ""
        return True

    def refuse_deadlock(self) -> None:
        """Raises ServiceUnavailable where a write would wait for what the calling thread holds."""
        getattr(self._new_hook(), "refuse_deadlock", lambda: None)()

    def snapshot(self) -> tuple[int, dict[str, Any]]:
        """The revision that the settings were last given, and a copy of its values."""
        with self._lock:
            return self.revision, dict(self.values)

    def store(self, values: Mapping[str, Any], over: int) -> ConfigChange:
        """Makes the next revision.

        Args:
            values: Setting name to stored value: the whole of the layer.
            over: The revision that they were made of; what was read since counts as somebody else's.

        Raises:
            StaleRevision: Somebody else changed the settings since they were read here.
            ServiceUnavailable: The hook did not confirm the write; the next `refresh` finds what it did.
        """
        revision, mine = over + 1, os.urandom(16).hex()

        def write() -> bool:
            hook = self._new_hook()
            stale = max(hook.list_glob(PREFIX), default="") > _name(over)
            if not stale:
                kept = hook.get_or_create_glob(_name(revision), {"writer": mine, "values": dict(values)})
                stale = kept["writer"] != mine
            if stale:
                raise StaleRevision(
                    f"stored settings were changed by somebody else since revision {over}; read them again "
                    "and repeat the change"
                )
            try:
                _tidy(hook, revision)
            except JsOrcError as error:
                log.info("old revisions of the stored settings were not removed: %s", error)
            return bool(getattr(hook, "persistent", True))

        persisted = self._within(write, "jsorc-store-settings")
        self._take(next(self._tickets), revision, dict(values))
        return ConfigChange(revision, persisted)

    def _take(self, ticket: int, revision: int, values: dict[str, Any]) -> None:
        """Takes what was read or written, unless something that began later was taken already."""
        with self._lock:
            if ticket < self._latest:
                return
            if revision != self.revision:
                self._settings.set_stored(values)
            self._latest, self.revision, self.values = ticket, revision, values
            self.known = True

    def _read(self) -> tuple[int, dict[str, Any]]:
        hook = self._new_hook()
        names = hook.list_glob(PREFIX)
        if not names:
            return 0, {}
        kept = hook.get_glob(max(names))
        return int(max(names)[len(PREFIX) :]), dict(kept["values"])

    def _within(self, read: Callable[[], Any], name: str) -> Any:
        token = READING.set(True)
        try:
            return call(read, TIMEOUT, name=name, clock=self._clock)
        finally:
            READING.reset(token)


def refuse_secrets(setting: str, values: Mapping[str, Any], secret_keys: tuple[str, ...]) -> None:
    """Refuses values under secret keys, and URLs with a password: who can read the store can read them.

    Raises:
        ConfigError: A secret is given as a value rather than as a reference to the environment.
    """
    for key, value in values.items():
        _refuse_secret(f"{setting}.{key}", key, value, secret_keys)


def _refuse_secret(where: str, key: str, value: Any, secret_keys: tuple[str, ...]) -> None:
    if isinstance(value, Mapping) and set(value) == {"$env"}:
        return
    holds_one = value is not None and is_secret_key(key, secret_keys)
    if holds_one or (isinstance(value, str) and "://" in value and mask(value) != value):
        raise ConfigError(
            f"{where} is a secret, and secrets are not stored; set it in the environment and "
            f'refer to it: {{"{key}": {{"$env": "{key.upper()}"}}}}'
        )
    if isinstance(value, Mapping):
        refuse_secrets(where, value, secret_keys)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_secret(where, key, item, secret_keys)


def _tidy(hook: Any, revision: int) -> None:
    """Destroys revisions that nobody can still be about to read."""
    outdated = [name for name in hook.list_glob(PREFIX) if name < _name(revision - KEPT)]
    for name in outdated:
        hook.destroy_glob(name)
    if outdated:
        hook.commit()


def _name(revision: int) -> str:
    return f"{PREFIX}{max(0, revision):012d}"
