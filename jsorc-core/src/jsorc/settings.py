"""The settings: four layers merged on demand, with the origin of every key.

Declaring, configuring, the order of the layers and what nobody knows live here. How values are merged is in
`layers`, the file in `settings_files`, and whether a value fits in `validation`.
"""

from __future__ import annotations

import dataclasses
import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from jsorc import redaction
from jsorc.errors import ConfigError, RegistrationError
from jsorc.layers import ABSENT, Merge, is_table, merged, secret_hint
from jsorc.settings_files import SettingsFile
from jsorc.validation import Origin, Resolved, json_copy, nearest, shown, validate

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec

__all__ = ["CoreConfig", "DatabaseConfig", "JsOrcSettings", "Origin", "Resolved", "validate"]

_PREFIX = "JSORC_"
_SEPARATOR = "__"
_CORE = "jsorc-core"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    {"JSORC_IGNORE_STORED", "JSORC_PLUGINS_ALLOW", "JSORC_PLUGINS_BLOCK", "JSORC_SETTINGS", "JSORC_STRICT"}
)

_DEFAULTS: Mapping[str, Any] = {
    "JSORC_CONFIG": {
        "backoff_interval": 10,
        "pre_loaded_services": ["kube", "redis", "prome", "mail", "task", "elastic"],
        "use": {},
        "namespace": "default",
        "control": True,
    },
    "DB_REGEN_CONFIG": {"enabled": False, "exit_code": 75},
    "DB_REGEN_MANIFEST": {},
}

_log = redaction.get_logger("jsorc.settings")


@dataclass(frozen=True, slots=True)
class CoreConfig:
    """`JSORC_CONFIG`, validated.

    Args:
        backoff_interval: Seconds between two interval passes; at most a day.
        pre_loaded_services: Names of the services that the initial regeneration starts.
        use: Name to the distribution that is pinned for it.
        namespace: What keeps applications apart in a shared store; letters, digits, `.`, `_` and `-`.
        control: Whether the started process opens its control socket.
    """

    backoff_interval: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 10.0
    pre_loaded_services: list[str] = dataclasses.field(default_factory=list)
    use: dict[str, str] = dataclasses.field(default_factory=dict)
    namespace: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")] = "default"
    control: bool = True


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """`DB_REGEN_CONFIG`, validated.

    Args:
        enabled: Whether `start()` begins with the database stage.
        exit_code: The exit status with which a process ends once its database became ready; 0 to 255.
    """

    enabled: bool = False
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=255)] = 75


@dataclass(frozen=True, slots=True)
class _Given:
    """What was declared, configured and stored so far; replaced as a whole, so that readers need no lock."""

    declared: Mapping[str, Mapping[str, Any]]
    variables: Mapping[str, Mapping[str, tuple[str, ...]]]
    expected: frozenset[str] = frozenset()
    configured: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stored: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def known(self) -> set[str]:
        return set(self.expected).union(*self.declared.values())


class JsOrcSettings:
    """Named settings in four layers; later wins, and tables are merged deeply.

    1 defaults of plugins; 2 the application's `configure`, over its file; 3 the environment; 4 stored. Files
    and environment are read when a setting is resolved. Safe to use from any number of threads.

    Args:
        environ: The environment variables; `os.environ` by default. Read live.
        start: The folder from which `jsorc.toml` or `pyproject.toml` is sought upward; by default the working
            folder.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, start: Path | None = None) -> None:
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._file = SettingsFile(self._environ, start)
        self._lock = threading.Lock()
        self._given = _Given(declared={_CORE: _DEFAULTS}, variables={})
        self._warned: frozenset[str] = frozenset()

    def declare(
        self,
        distribution: str,
        values: Mapping[str, Any],
        env: Mapping[str, str],
        expected: Collection[str] = (),
    ) -> None:
        """Add the defaults of one plugin (layer 1) and the environment names it understands; all or nothing.

        Args:
            distribution: The distribution that the plugin came with.
            values: Setting name to default value.
            env: Environment variable to the key path it sets, such as `REDIS_HOST` to `REDIS_CONFIG.host`.
            expected: Names of settings that its registrations refer to; see `expect`.

        Raises:
            RegistrationError: A name, value or path is not allowed.
        """
        try:
            defaults = {name: _checked_setting(name, value, distribution) for name, value in values.items()}
            for name in defaults:
                if _variable(name) in _RESERVED | {"JSORC_CONFIG"}:
                    raise ConfigError(f"{name} belongs to {_CORE}; choose another name.")
            paths = {variable: _declared_path(variable, path) for variable, path in env.items()}
            _check_names(expected)
            with self._lock:
                given = self._given
                of_plugin = merged(given.declared.get(distribution, {}), defaults, distribution)
                variables = {**given.variables.get(distribution, {}), **paths}
                self._given = dataclasses.replace(
                    given,
                    declared={**given.declared, distribution: of_plugin},
                    variables={**given.variables, distribution: variables},
                    expected=given.expected.union(expected),
                )
        except ConfigError as error:
            raise RegistrationError(f"The settings of {distribution} were refused: {error}") from None

    def reset_declarations(self) -> None:
        """Forget what plugins declared and registrations expect, before they are discovered again."""
        with self._lock:
            self._given = dataclasses.replace(
                self._given, declared={_CORE: _DEFAULTS}, variables={}, expected=frozenset()
            )

    def expect(self, *names: str) -> None:
        """Make setting names known that registrations refer to, whether or not a plugin declares them.

        Args:
            *names: Setting names.

        Raises:
            RegistrationError: A name is not one that a setting can have.
        """
        _check_names(names)
        with self._lock:
            self._given = dataclasses.replace(self._given, expected=self._given.expected.union(names))

    def configure(self, **values: Any) -> None:
        """Set values of the application (layer 2), merged deeply over those of earlier calls; all or nothing.

        Args:
            **values: Setting name to value.

        Raises:
            ConfigError: A value is not JSON-like, or not a table where the setting is one.
        """
        checked = {name: _checked_setting(name, value, "configure") for name, value in values.items()}
        for name, value in checked.items():
            redaction.learn({secret_hint(name): value})
        with self._lock:
            configured = merged(self._given.configured, checked, "configure")
            self._given = dataclasses.replace(self._given, configured=configured)

    def set_stored(self, values: Mapping[str, Any]) -> None:
        """Replace the stored settings (layer 4); all or nothing.

        Args:
            values: Setting name to value.

        Raises:
            ConfigError: A value is not JSON-like, or not a table where the setting is one.
        """
        stored = {name: _checked_setting(name, value, "svc_config_set") for name, value in values.items()}
        with self._lock:
            self._given = dataclasses.replace(self._given, stored=stored)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a copy of the effective value of a setting.

        Args:
            name: The setting's name.
            default: What to return when no layer has a value.

        Returns:
            The merged value, or the default.

        Raises:
            ConfigError: A layer holds something that cannot be read.
        """
        merge = self._merge(name, stored=True)
        return default if merge.value is ABSENT else merge.finished(self._environ, ()).value

    def __getitem__(self, name: str) -> Any:
        return self.resolve(name).value

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return name in self.names() or self._merge(name, stored=True).value is not ABSENT

    def names(self) -> list[str]:
        """Return the names that are declared, expected, configured or stored, sorted."""
        given = self._given
        return sorted(given.known().union(given.configured, given.stored))

    def resolve(
        self, name: str, stored: bool | Mapping[str, Any] = True, *, secret_keys: Collection[str] = ()
    ) -> Resolved:
        """Merge the layers of one setting as they are now.

        Args:
            name: The setting's name.
            stored: Whether layer 4 takes part; a mapping takes part in its place, to try it out.
            secret_keys: Further keys whose values are masked in the origins.

        Returns:
            The value, a copy of its own, and the origin of each key. A known `…_CONFIG` without values is {}.

        Raises:
            ConfigError: The name is unknown, or a layer holds something that cannot be read.
        """
        merge = self._merge(name, stored=stored)
        if merge.value is ABSENT and name not in (names := self.names()):
            hint = nearest(name, names) or "."
            raise ConfigError(f"No setting is named {shown(name)}{hint} There are: {', '.join(names)}.")
        return merge.finished(self._environ, secret_keys)

    def explain(self, name: str, *, secret_keys: Collection[str] = ()) -> dict[str, Origin]:
        """Return the layer, source and masked value of each key of a setting.

        Args:
            name: The setting's name.
            secret_keys: Further keys whose values are masked.

        Returns:
            Key path to origin, sorted by path.

        Raises:
            ConfigError: As `resolve`.
        """
        return dict(sorted(self.resolve(name, secret_keys=secret_keys).origins.items()))

    def core(self) -> CoreConfig:
        """Return `JSORC_CONFIG`, validated.

        Raises:
            ConfigError: A key is unknown, of a wrong type or out of range.
        """
        return CoreConfig(**validate(self.resolve("JSORC_CONFIG", stored=False), CoreConfig))

    def database(self) -> DatabaseConfig:
        """Return `DB_REGEN_CONFIG`, validated; without stored settings, which the database may hold.

        Raises:
            ConfigError: A key is unknown, of a wrong type or out of range.
        """
        return DatabaseConfig(**validate(self.resolve("DB_REGEN_CONFIG", stored=False), DatabaseConfig))

    def warn_unknown(self) -> None:
        """Log once each `JSORC_…` variable, configured name and name in a file that nobody knows."""
        given = self._given
        known = given.known()
        variables = _RESERVED.union(map(_variable, known), *given.variables.values())
        unknown: dict[str, str] = {}
        for variable in list(self._environ):
            head = variable.split(_SEPARATOR, 1)[0] if variable not in variables else variable
            if variable.startswith(_PREFIX) and head not in variables:
                unknown[f"The environment variable {shown(variable)}"] = nearest(head, variables)
        for name in given.configured.keys() - known:
            unknown[f"The setting {shown(name)} given to configure"] = nearest(name, known)
        try:
            path, table = self._file.current()
        except ConfigError:
            # A broken file is reported by whoever resolves a setting; here it only has no names.
            path, table = None, {}
        for name in table.keys() - known:
            unknown[f"The setting {shown(name)} in {shown(path)}"] = nearest(name, known)
        with self._lock:
            fresh = [what for what in unknown if what not in self._warned]
            self._warned |= set(fresh)
        for what in sorted(fresh):
            _log.warning("%s is not known to any plugin%s", what, unknown[what] or ".")

    def after_fork(self) -> None:
        """Give the child of a fork a lock of its own; the parent's may have been held by another thread."""
        self._lock = threading.Lock()

    def _merge(self, name: str, *, stored: bool | Mapping[str, Any]) -> Merge:
        given = self._given
        merge = Merge(name)
        for distribution in sorted(given.declared):
            if name in given.declared[distribution]:
                merge.add(given.declared[distribution][name], "default", distribution)
        path, table = self._file.current()
        if name in table:
            merge.add(json_copy(table[name], shown(name), shown(path)), "application", shown(path))
        if name in given.configured:
            merge.add(given.configured[name], "application", "configure")
        for variable, text, keys in self._variables_of(name, given):
            merge.add_text(text, variable, keys)
        layer = {} if stored is False else given.stored if stored is True else stored
        tried_out = not isinstance(stored, bool)
        if name in layer and (tried_out or not _is_true(self._environ.get("JSORC_IGNORE_STORED"))):
            if name.endswith("_MANIFEST"):
                merge = Merge(name)  # a stored one was provisioned as a whole, and is not mixed with another
            merge.add(_checked_setting(name, layer[name], "svc_config_set"), "stored", "svc_config_set")
        return merge

    def _variables_of(self, name: str, given: _Given) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """The variables that set this name or keys of it, those with the last word last."""
        for distribution in sorted(given.variables):
            for variable, (setting, *keys) in sorted(given.variables[distribution].items()):
                text = self._environ.get(variable) if setting == name else None
                if text is not None:
                    yield variable, text, tuple(keys)
        whole = _variable(name)
        found: list[tuple[int, str, str, tuple[str, ...]]] = []
        for variable in list(self._environ):
            if variable == whole or variable.startswith(whole + _SEPARATOR):
                keys = variable.split(_SEPARATOR)[1:] if variable != whole else []
                text = self._environ.get(variable)
                if text is not None:
                    found.append((len(keys), variable, text, tuple(keys)))
        for _, variable, text, path in sorted(found):
            yield variable, text, path


def _variable(name: str) -> str:
    return name.upper() if name.startswith(_PREFIX) else _PREFIX + name.upper()


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _check_names(names: Collection[str]) -> None:
    for name in names:
        if not _is_name(name):
            raise RegistrationError(
                f"{shown(name)!r} cannot be the name of a setting: letters, digits and single _ only."
            )


def _checked_setting(name: str, value: object, source: str) -> Any:
    if not _is_name(name):
        raise ConfigError(
            f"{shown(name)!r}, set by {source}, cannot be a setting's name: letters, digits and single _."
        )
    copied = json_copy(value, name, source)
    if name.endswith("_CONFIG") and not is_table(copied):
        raise ConfigError(f"{name}, set by {source}, must be a table of keys and values.")
    return copied


def _declared_path(variable: str, path: str) -> tuple[str, ...]:
    if not _VARIABLE.fullmatch(variable) or variable in _RESERVED:
        raise ConfigError(f"{shown(variable)!r} cannot be the name of an environment variable for a setting.")
    keys = tuple(str(path).split("."))
    if not _is_name(keys[0]) or "" in keys:
        raise ConfigError(
            f"{variable} stands for {shown(path)!r}; wanted a setting and its key, such as REDIS_CONFIG.host."
        )
    return keys


def _is_true(text: str | None) -> bool:
    return text is not None and text.strip().lower() in {"1", "true", "yes", "on"}
