"""One setting while its layers are laid over each other; every key of the result knows its origin.

Which layers there are, and in what order, is `settings`'; whether the result fits is `validation`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jsorc import redaction
from jsorc.errors import ConfigError
from jsorc.validation import Layer, Origin, Resolved, json_copy, shown

__all__ = ["ABSENT", "Merge", "is_table", "merged", "secret_hint"]

ABSENT: Any = object()
"""Stands for the value that no layer has."""

_MOST_KEYS = 50


class Merge:
    """One setting while its layers are laid over each other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Any = ABSENT
        self._origins: dict[tuple[str, ...], tuple[Layer, str]] = {}
        self._texts: dict[tuple[str, ...], str] = {}

    def add(self, value: Any, layer: Layer, source: str, path: tuple[str, ...] = ()) -> None:
        """Lay a value over what is there; its tables are never kept, only copied."""
        if not path and self._wants_table() and not is_table(value):
            raise ConfigError(f"{self.name}, set by {source}, must be a table of keys and values.")
        if not is_table(value):
            self._put(path, json_copy(value, self.name, source), layer, source)
            return
        if not is_table(self._at(path)):
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
        if not keys and self._wants_table() and not isinstance(value, dict):
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
        if self.value is ABSENT:
            value: Any = {} if self.name.endswith("_CONFIG") else None
        else:
            value = self._dereferenced(self.value, (), environ)
        self._learn(value, secret_keys)
        origins: dict[str, Origin] = {}
        for path, (layer, source) in self._origins.items():
            hint = path or (secret_hint(self.name),)
            key = next((part for part in hint if redaction.is_secret_key(part, secret_keys)), hint[-1])
            item = _item(value, path)
            origins[".".join(path)] = Origin(layer, source, redaction.mask({key: item}, secret_keys)[key])
        texts = {".".join(path): text for path, text in self._texts.items()}
        return Resolved(self.name, value, origins, texts)

    def _learn(self, value: Any, secret_keys: Collection[str]) -> None:
        redaction.learn({secret_hint(self.name): value}, secret_keys)
        for path, text in self._texts.items():
            nested: Any = text
            for key in reversed(path):
                nested = {key: nested}
            redaction.learn(nested, secret_keys)

    def _wants_table(self) -> bool:
        return self.name.endswith("_CONFIG") or (is_table(self.value) and not self.name.endswith("_MANIFEST"))

    def _at(self, path: tuple[str, ...]) -> Any:
        return _item(self.value, path)

    def _put(self, path: tuple[str, ...], value: Any, layer: Layer, source: str) -> None:
        if path and not is_table(self._at(path[:-1])):
            self._put(path[:-1], {}, layer, source)
        if is_table(self._at(path)):
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
            spellings = sorted(table) if is_table(table) else []
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


def merged(below: Mapping[str, Any], above: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Settings by name, with others laid over them.

    Raises:
        ConfigError: A value is not JSON-like, or not a table where the setting is one.
    """
    result = dict(below)
    for name in above:
        merge = Merge(name)
        for layer in (below, above):
            if name in layer:
                merge.add(layer[name], "application", source)
        result[name] = merge.value
    return result


def is_table(value: object) -> bool:
    """A dict that is merged key by key; a reference to a variable is one value."""
    return isinstance(value, dict) and "$env" not in value


def secret_hint(name: str) -> str:
    """The key to judge a setting by: `API_TOKEN` is secret itself, in `AUTH_CONFIG` the keys say what is."""
    return "" if name.endswith(("_CONFIG", "_MANIFEST")) else name


def _item(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
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
