"""The settings: four layers merged on demand, with the origin of every key.

Declaring, configuring, reading files and the environment, merging and explaining live here. Whether a value
fits is decided in `validation`; where stored settings are kept is the orchestrator's business.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from jsorc import redaction
from jsorc.errors import ConfigError, RegistrationError
from jsorc.validation import Layer, Origin, Resolved, json_copy, nearest, shown, validate

if TYPE_CHECKING:
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
_MOST_KEYS = 50
_LONGEST_FILE = 4 * 1024 * 1024
_ABSENT: Any = object()

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
        self._files = _Files(self._environ, start)
        self._lock = threading.Lock()
        self._given = _Given(declared={_CORE: _DEFAULTS}, variables={})
        self._warned: frozenset[str] = frozenset()

    def declare(self, distribution: str, values: Mapping[str, Any], env: Mapping[str, str]) -> None:
        """Add the defaults of one plugin (layer 1) and the environment names it understands; all or nothing.

        Args:
            distribution: The distribution that the plugin came with.
            values: Setting name to default value.
            env: Environment variable to the key path it sets, such as `REDIS_HOST` to `REDIS_CONFIG.host`.

        Raises:
            RegistrationError: A name, value or path is not allowed.
        """
        try:
            defaults = {name: _checked_setting(name, value, distribution) for name, value in values.items()}
            for name in defaults:
                if _variable(name) in _RESERVED | {"JSORC_CONFIG"}:
                    raise ConfigError(f"{name} belongs to {_CORE}; choose another name.")
            paths = {variable: _declared_path(variable, path) for variable, path in env.items()}
            with self._lock:
                given = self._given
                merged = _merged(given.declared.get(distribution, {}), defaults, distribution)
                variables = {**given.variables.get(distribution, {}), **paths}
                self._given = dataclasses.replace(
                    given,
                    declared={**given.declared, distribution: merged},
                    variables={**given.variables, distribution: variables},
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
        for name in names:
            if not _is_name(name):
                raise RegistrationError(
                    f"{shown(name)!r} cannot be the name of a setting: letters, digits and single _ only."
                )
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
            redaction.learn({_secret_hint(name): value})
        with self._lock:
            configured = _merged(self._given.configured, checked, "configure")
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
        return default if merge.value is _ABSENT else merge.finished(self._environ, ()).value

    def __getitem__(self, name: str) -> Any:
        return self.resolve(name).value

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return name in self.names() or self._merge(name, stored=True).value is not _ABSENT

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
        if merge.value is _ABSENT and name not in (names := self.names()):
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
            path, table = self._files.current()
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

    def _merge(self, name: str, *, stored: bool | Mapping[str, Any]) -> _Merge:
        given = self._given
        merge = _Merge(name)
        for distribution in sorted(given.declared):
            if name in given.declared[distribution]:
                merge.add(given.declared[distribution][name], "default", distribution)
        path, table = self._files.current()
        if name in table:
            merge.add(json_copy(table[name], shown(name), shown(path)), "application", shown(path))
        if name in given.configured:
            merge.add(given.configured[name], "application", "configure")
        for variable, text, keys in self._variables_of(name, given):
            merge.add_text(text, variable, keys)
        layer = {} if stored is False else given.stored if stored is True else stored
        if name in layer and not _is_true(self._environ.get("JSORC_IGNORE_STORED")):
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


class _Merge:
    """One setting while its layers are laid over each other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Any = _ABSENT
        self._origins: dict[tuple[str, ...], tuple[Layer, str]] = {}
        self._texts: dict[tuple[str, ...], str] = {}

    def add(self, value: Any, layer: Layer, source: str, path: tuple[str, ...] = ()) -> None:
        """Lay a value over what is there; its tables are never kept, only copied."""
        if not path and self._is_table() and not _is_table(value):
            raise ConfigError(f"{self.name}, set by {source}, must be a table of keys and values.")
        if not _is_table(value):
            self._put(path, json_copy(value, self.name, source), layer, source)
            return
        if not _is_table(self._at(path)):
            self._put(path, {}, layer, source)
        for key, item in value.items():
            self.add(item, layer, source, (*path, key))

    def add_text(self, text: str, variable: str, keys: tuple[str, ...]) -> None:
        """Lay the text of an environment variable over the whole setting or the key it addresses."""
        if len(keys) > _MOST_KEYS:
            raise ConfigError(f"{shown(variable)} names more than {_MOST_KEYS} keys within each other.")
        if "" in keys:
            raise ConfigError(
                f"{shown(variable)} has an empty key; keys are separated by exactly two underscores."
            )
        where = ".".join([self.name, *map(shown, keys)])
        json_copy([variable, text], where, shown(variable))
        if keys and isinstance(self.value, str | list):
            raise ConfigError(
                f"{shown(variable)} sets a key, but {self.name} is not a table of keys and values."
            )
        path = self._spelled(keys)
        value = json_copy(_understood(text), where, shown(variable), depth=len(path))
        if not keys and self._is_table() and not isinstance(value, dict):
            raise ConfigError(
                f"{shown(variable)} must hold a JSON object, since {self.name} is a table, and does not."
            )
        if not keys and isinstance(self.value, str) and isinstance(value, int | float):
            value = text
        self.add(value, "environment", shown(variable), path)
        if path:
            self._texts[path] = text

    def finished(self, environ: Mapping[str, str], secret_keys: Collection[str]) -> Resolved:
        """Resolve references to the environment, tell the redaction the secrets, and describe the origins."""
        if self.value is _ABSENT:
            value: Any = {} if self.name.endswith("_CONFIG") else None
        else:
            value = self._dereferenced(self.value, (), environ)
        self._learn(value, secret_keys)
        origins: dict[str, Origin] = {}
        for path, (layer, source) in self._origins.items():
            hint = path or (_secret_hint(self.name),)
            key = next((part for part in hint if redaction.is_secret_key(part, secret_keys)), hint[-1])
            item = _item(value, path)
            origins[".".join(path)] = Origin(layer, source, redaction.mask({key: item}, secret_keys)[key])
        texts = {".".join(path): text for path, text in self._texts.items()}
        return Resolved(self.name, value, origins, texts)

    def _learn(self, value: Any, secret_keys: Collection[str]) -> None:
        redaction.learn({_secret_hint(self.name): value}, secret_keys)
        for path, text in self._texts.items():
            nested: Any = text
            for key in reversed(path):
                nested = {key: nested}
            redaction.learn(nested, secret_keys)

    def _is_table(self) -> bool:
        return self.name.endswith("_CONFIG") or (
            _is_table(self.value) and not self.name.endswith("_MANIFEST")
        )

    def _at(self, path: tuple[str, ...]) -> Any:
        return _item(self.value, path)

    def _put(self, path: tuple[str, ...], value: Any, layer: Layer, source: str) -> None:
        if path and not _is_table(self._at(path[:-1])):
            self._put(path[:-1], {}, layer, source)
        if _is_table(self._at(path)):
            for told in (self._origins, self._texts):
                for below in [other for other in told if other[: len(path)] == path]:
                    del told[below]
        for length in range(len(path)):
            self._origins.pop(path[:length], None)
            self._texts.pop(path[:length], None)
        self._texts.pop(path, None)
        self._origins[path] = (layer, source)
        if path:
            self._at(path[:-1])[path[-1]] = value
        else:
            self.value = value

    def _spelled(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The keys as they are spelled in the table already there, else in lower case."""
        path: tuple[str, ...] = ()
        for key in keys:
            table = self._at(path)
            spellings = sorted(table) if _is_table(table) else []
            same = [other for other in spellings if other.lower() == key.lower()]
            path = (*path, key if key in same else same[0] if same else key.lower())
        return path

    def _dereferenced(self, value: Any, path: tuple[str, ...], environ: Mapping[str, str]) -> Any:
        if isinstance(value, list):
            return [
                self._dereferenced(item, (*path, str(place)), environ) for place, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        if "$env" not in value:
            return {key: self._dereferenced(item, (*path, key), environ) for key, item in value.items()}
        where = ".".join([self.name, *map(shown, path)])
        variable = value["$env"]
        if len(value) != 1 or not isinstance(variable, str):
            raise ConfigError(
                f'{where} must be {{"$env": "NAME"}} and nothing beside it, to refer to a variable.'
            )
        text = environ.get(variable)
        if text is None:
            raise ConfigError(
                f"{where} refers to the environment variable {shown(variable)}, which is not set."
            )
        understood = json_copy(_understood(text), where, shown(variable), depth=len(path))
        self._texts[path] = text
        return understood


class _Files:
    """The application's settings file: where it is, and what it held when it was last read."""

    def __init__(self, environ: Mapping[str, str], start: Path | None) -> None:
        self._environ = environ
        self._start = start
        self._read: dict[Path, tuple[tuple[int, int], dict[str, Any] | None]] = {}

    def current(self) -> tuple[Path | None, dict[str, Any]]:
        """The file and its table as they are now; no file is an empty table."""
        named = self._environ.get("JSORC_SETTINGS")
        try:
            start = Path.cwd() if self._start is None else self._start.absolute()
        except OSError:
            # The working folder was removed; there is nothing above it to search either.
            start = Path("/")
        if named:
            path = start / named
            table = self._table(path, required=True)
            if table is None:
                raise ConfigError(f"JSORC_SETTINGS names {shown(path)}, which has no table [tool.jsorc].")
            return path, table
        for folder in (start, *start.parents):
            for path in (folder / "jsorc.toml", folder / "pyproject.toml"):
                table = self._table(path, required=False)
                if table is not None:
                    return path, table
        return None, {}

    def _table(self, path: Path, *, required: bool) -> dict[str, Any] | None:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) and str(path) != os.devnull:
                raise FileNotFoundError("it is not a file")
        except (OSError, ValueError) as error:
            if not required:
                return None
            raise ConfigError(
                f"JSORC_SETTINGS names {shown(path)}, which cannot be read: {_reason(error)}."
            ) from None
        version = (status.st_mtime_ns, status.st_size)
        cached = self._read.get(path)
        if cached is not None and cached[0] == version:
            return cached[1]
        table = _parsed_pyproject(path) if path.name == "pyproject.toml" else _parsed(path, _content(path))
        self._read[path] = (version, table)
        return table


def _parsed_pyproject(path: Path) -> dict[str, Any] | None:
    """The table [tool.jsorc]; a project file that does not speak of JsOrc is nobody's mistake here."""
    try:
        content = _content(path)
        if b"jsorc" not in content:
            return None
    except ConfigError:
        return None
    tool = _parsed(path, content).get("tool")
    if not isinstance(tool, dict) or "jsorc" not in tool:
        return None
    if not isinstance(tool["jsorc"], dict):
        raise ConfigError(f"{shown(path)}: tool.jsorc must be a table of settings.")
    return tool["jsorc"]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be read: {_reason(error)}.") from None
    if len(content) > _LONGEST_FILE:
        raise ConfigError(
            f"{shown(path)} is longer than {_LONGEST_FILE} bytes; it cannot be a settings file."
        )
    return content


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown(path)} is not UTF-8 at byte {error.start}; save it as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        # tomllib quotes at most one character or key, and a number too long for Python is a plain ValueError.
        reason = "nested too deeply" if isinstance(error, RecursionError) else _reason(error)
        raise ConfigError(f"{shown(path)} is not valid TOML: {reason}.") from None


def _reason(error: Exception) -> str:
    return redaction.mask_text(getattr(error, "strerror", None) or shown(error)).rstrip(".")


def _variable(name: str) -> str:
    return name.upper() if name.startswith(_PREFIX) else _PREFIX + name.upper()


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _secret_hint(name: str) -> str:
    """The key to judge a setting by: `API_TOKEN` is secret itself, in `AUTH_CONFIG` the keys say what is."""
    return "" if name.endswith(("_CONFIG", "_MANIFEST")) else name


def _checked_setting(name: str, value: object, source: str) -> Any:
    if not _is_name(name):
        raise ConfigError(
            f"{shown(name)!r}, set by {source}, cannot be a setting's name: letters, digits and single _."
        )
    copied = json_copy(value, name, source)
    if name.endswith("_CONFIG") and not _is_table(copied):
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


def _merged(below: Mapping[str, Any], above: Mapping[str, Any], source: str) -> dict[str, Any]:
    result = dict(below)
    for name in above:
        merge = _Merge(name)
        for layer in (below, above):
            if name in layer:
                merge.add(layer[name], "application", source)
        result[name] = merge.value
    return result


def _is_table(value: object) -> bool:
    """A dict that is merged key by key; a reference to a variable is one value."""
    return isinstance(value, dict) and "$env" not in value


def _item(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value


def _understood(text: str) -> Any:
    """The text as JSON, or as itself where it is none or would not survive as a number."""
    import json

    if not text.lstrip()[:1] or text.lstrip()[0] not in '{["-0123456789tfn':
        return text
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return text
    return text if value in (float("inf"), float("-inf")) else value


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _is_true(text: str | None) -> bool:
    return text is not None and text.strip().lower() in {"1", "true", "yes", "on"}
