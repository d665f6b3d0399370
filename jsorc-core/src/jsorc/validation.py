"""Whether the value of a setting is JSON-like, and whether it fits what its reader declares.

The facts about a resolved setting (`Origin`, `Resolved`) and the checks live here; where values come from,
and how their layers are merged, is in `settings`.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jsorc import redaction
from jsorc.errors import ConfigError

__all__ = ["Layer", "Origin", "Resolved", "json_copy", "nearest", "shown", "validate"]

Layer = Literal["default", "application", "environment", "stored"]

_DEEPEST = 100
_LONGEST_SHOWN = 80
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a key came from.

    Args:
        layer: The layer that had the last word.
        source: The distribution, file or environment variable, or the call: `configure`, `svc_config_set`.
        value: The value, masked.
    """

    layer: Layer
    source: str
    value: Any

    def __str__(self) -> str:
        return f"{self.value!r}, {self.layer} ({self.source})"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The effective value of a setting and where each of its keys came from.

    Args:
        name: The setting's name, such as `REDIS_CONFIG`.
        value: The merged value, unmasked, a copy of its own.
        origins: Key path, such as `client.name`, to its origin; the path of a value that is no table is "".
        texts: Key path to the text that an environment variable held there, before it was understood as JSON.
    """

    name: str
    value: Any
    origins: dict[str, Origin]
    texts: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Resolved(name={self.name!r}, value={redaction.mask(self.value)!r})"


def json_copy(value: object, path: str, source: str, *, depth: int = 0) -> Any:
    """Copy a JSON-like value deeply into plain dicts, lists and scalars.

    Args:
        value: Any object.
        path: The key path to name in the error, beginning with the setting's name.
        source: Where the value came from, to name in the error.
        depth: How deeply the value itself is nested.

    Returns:
        The copy; tuples become lists.

    Raises:
        ConfigError: The value is not JSON-like, an integer has more than 64 bits, a number is not finite, a
            text is not Unicode, or the nesting is too deep (which a circle is).
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = str.__str__(value)
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise _not_json(path, source, "a text that is not valid Unicode")
        return text
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise _not_json(path, source, "an integer of more than 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _not_json(path, source, "a number that is not finite")
        return float(value)
    if isinstance(value, Mapping | list | tuple):
        if depth >= _DEEPEST:
            raise _not_json(path, source, f"nested more than {_DEEPEST} levels deep")
        if isinstance(value, Mapping):
            return {
                _checked_key(key, path, source): json_copy(
                    item, f"{path}.{shown(key)}", source, depth=depth + 1
                )
                for key, item in value.items()
            }
        return [
            json_copy(item, f"{path}.{place}", source, depth=depth + 1) for place, item in enumerate(value)
        ]
    hint = "; in a TOML file, put it in quotes" if type(value).__module__ == "datetime" else ""
    raise _not_json(path, source, f"of the type {type(value).__name__}{hint}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that is most like this one.

    Args:
        word: What was written.
        known: What could have been meant.

    Returns:
        `; did you mean "…"?`, or nothing when no known word is near.
    """
    from difflib import get_close_matches

    if len(word) > _LONGEST_SHOWN:
        return ""
    spellings = {other.lower(): other for other in known}
    matches = get_close_matches(word.lower(), spellings, n=1)
    return f'; did you mean "{spellings[matches[0]]}"?' if matches else ""


def shown(name: object) -> str:
    """Write a name that came from outside so that it can stand in a message.

    Args:
        name: A key, a variable's name or a path.

    Returns:
        The name, escaped where it cannot be printed and shortened where it is long; a path stays whole.
    """
    text = str(name)
    if len(text) > _LONGEST_SHOWN and not isinstance(name, os.PathLike):
        text = text[:_LONGEST_SHOWN] + "…"
    return text if text.isprintable() else ascii(text)


def validate(resolved: Resolved, model: type | None, *, secret_keys: Collection[str] = ()) -> dict[str, Any]:
    """Check the value of a setting against a model, and fill in the model's defaults.

    A text of the environment that was understood as JSON but does not fit so is tried as the text it was: a
    password `12345` stays a string. Without a model, numbers under secret keys are taken back to their text.

    Args:
        resolved: The setting, as `JsOrcSettings.resolve` returned it.
        model: A dataclass, TypedDict or msgspec Struct, with ranges as `Annotated[int, msgspec.Meta(ge=1)]`;
            None accepts any table.
        secret_keys: Further keys whose values are never shown.

    Returns:
        A new dict of plain values with a key for each field of the model that has a value.

    Raises:
        ConfigError: An unknown key, a missing one, a wrong type or a value out of range; the message names
            setting, key, origin and the nearest key.
    """
    redaction.learn(resolved.value, secret_keys)
    if not isinstance(resolved.value, dict):
        found = "nothing" if resolved.value is None else type(resolved.value).__name__
        raise ConfigError(f"{resolved.name} must be a table of keys and values, and is {found}.")
    check = _Check(resolved, frozenset(secret_keys))
    return check.any_table() if model is None else check.whole(model)


@dataclass(frozen=True, slots=True)
class _Field:
    hint: Any
    default: Any = _ABSENT
    required: bool = False


class _Check:
    def __init__(self, resolved: Resolved, secret_keys: frozenset[str]) -> None:
        self._resolved = resolved
        self._secret_keys = secret_keys

    def any_table(self) -> dict[str, Any]:
        return {key: self._without_model(item, (key,)) for key, item in self._resolved.value.items()}

    def whole(self, model: type) -> dict[str, Any]:
        checked = self._table(self._resolved.value, model, ())
        if hasattr(model, "__post_init__"):
            self._post_init(checked, model)
        return checked

    def _without_model(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self._without_model(item, (*path, key)) for key, item in value.items()}
        text = self._resolved.texts.get(".".join(path))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if text is not None and number and self._is_secret(path):
            return text
        return json_copy(value, self._shown(path), "")

    def _table(self, value: dict[str, Any], model: type, path: tuple[str, ...]) -> dict[str, Any]:
        fields = _fields_of(model, self._resolved.name)
        checked: dict[str, Any] = {}
        for key, item in value.items():
            known = key if key in fields else self._spelling(key, fields, path)
            checked[known] = self._fitting(item, fields[known].hint, (*path, key))
        for key, expected in fields.items():
            if key in checked:
                continue
            if expected.required:
                raise self._missing((*path, key))
            if expected.default is not _ABSENT:
                checked[key] = expected.default
        return checked

    def _spelling(self, key: str, fields: Mapping[str, _Field], path: tuple[str, ...]) -> str:
        """Find a key of the environment, where case does not matter, or refuse it."""
        full = (*path, key)
        origin = self._origin(full)
        if origin is not None and origin.layer == "environment":
            for known in fields:
                if known.lower() == key.lower():
                    return known
        hint = nearest(key, fields) or "."
        keys = ", ".join(sorted(fields)) or "none"
        raise ConfigError(
            f'{self._shown(path)} has no key "{shown(key)}"{self._set_by(full)}{hint} Known keys: {keys}.'
        )

    def _fitting(self, value: Any, hint: Any, path: tuple[str, ...]) -> Any:
        nested = _model_within(hint)
        if isinstance(value, dict) and nested is not None:
            return self._table(value, nested, path)
        import msgspec

        try:
            return msgspec.to_builtins(self._converted(value, hint))
        except msgspec.ValidationError as error:
            text = self._resolved.texts.get(".".join(path))
            # First as the text itself, then as the words people write for numbers and booleans ("True", "1").
            for strict in (True, False) if text is not None else ():
                try:
                    return msgspec.to_builtins(self._converted(text, hint, strict=strict))
                except msgspec.ValidationError:
                    continue
            raise self._refused(value, path, str(error)) from None

    def _converted(self, value: Any, hint: Any, *, strict: bool = True) -> Any:
        import msgspec

        try:
            return msgspec.convert(value, hint, strict=strict)
        except (TypeError, NameError) as error:
            raise ConfigError(
                f"The model of {self._resolved.name} cannot be used: {error}. Correct that class."
            ) from error

    def _post_init(self, checked: dict[str, Any], model: type) -> None:
        import msgspec

        try:
            self._converted(checked, model)
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"{self._resolved.name} does not fit: {redaction.mask_text(_without_place(str(error)))}."
            ) from None

    def _refused(self, value: Any, path: tuple[str, ...], reason: str) -> ConfigError:
        secret = self._is_secret(path)
        if secret and not reason.startswith("Expected"):
            reason = "the value is not among those allowed"
        reason = redaction.mask_text(_without_place(reason))
        found = (
            "" if secret or isinstance(value, dict | list) else f" is {shown(repr(redaction.mask(value)))}"
        )
        return ConfigError(
            f"{self._shown(path)}{found or ' does not fit'}{self._set_by(path)}: {reason}. Correct it there."
        )

    def _missing(self, path: tuple[str, ...]) -> ConfigError:
        name = self._resolved.name
        prefix = name if name.startswith("JSORC_") else f"JSORC_{name}"
        variable = "__".join([prefix, *(part.upper() for part in path)])
        return ConfigError(
            f"{self._shown(path)} is missing and has no default. Set it, for example with {variable}."
        )

    def _is_secret(self, path: tuple[str, ...]) -> bool:
        return any(redaction.is_secret_key(key, self._secret_keys) for key in path)

    def _shown(self, path: tuple[str, ...]) -> str:
        return ".".join([self._resolved.name, *(shown(key) for key in path)])

    def _set_by(self, path: tuple[str, ...]) -> str:
        origin = self._origin(path)
        return f", set by {origin.layer} ({origin.source})" if origin else ""

    def _origin(self, path: tuple[str, ...]) -> Origin | None:
        origins = self._resolved.origins
        for length in range(len(path), -1, -1):
            if origin := origins.get(".".join(path[:length])):
                return origin
            if length == len(path):
                within = ".".join(path) + "."
                for place, origin in origins.items():
                    if place.startswith(within):
                        return origin
        return None


def _fields_of(model: type, setting: str) -> dict[str, _Field]:
    import typing

    import msgspec

    try:
        if issubclass(model, msgspec.Struct):
            return {
                info.encode_name: _Field(info.type, _default(info, msgspec.NODEFAULT), info.required)
                for info in msgspec.structs.fields(model)
            }
        # A model may import msgspec for type checking only, so that declaring it costs no import.
        hints = typing.get_type_hints(model, localns={"msgspec": msgspec}, include_extras=True)
        if dataclasses.is_dataclass(model):
            return {
                item.name: _Field(
                    hints[item.name],
                    default := _default(item, dataclasses.MISSING),
                    default is _ABSENT,
                )
                for item in dataclasses.fields(model)
                if item.init
            }
        if typing.is_typeddict(model):
            required = typing.cast(Any, model).__required_keys__
            return {key: _typed_dict_field(hint, key in required) for key, hint in hints.items()}
    except (NameError, TypeError) as error:
        raise ConfigError(f"The model of {setting} cannot be used: {error}. Correct that class.") from error
    raise ConfigError(
        f"The model of {setting} must be a dataclass, a TypedDict or a msgspec Struct, and is {model!r}."
    )


def _default(info: Any, nothing: object) -> Any:
    import msgspec

    if info.default is not nothing:
        return msgspec.to_builtins(info.default)
    if info.default_factory is not nothing:
        return msgspec.to_builtins(info.default_factory())
    return _ABSENT


def _typed_dict_field(hint: Any, required: bool) -> _Field:
    import typing

    origin = typing.get_origin(hint)
    if origin in (typing.Required, typing.NotRequired):
        return _Field(typing.get_args(hint)[0], required=origin is typing.Required)
    return _Field(hint, required=required)


def _model_within(hint: Any) -> type | None:
    """The one model that a hint asks for, itself or beside None."""
    import types
    import typing

    import msgspec

    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _model_within(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        models = [model for choice in typing.get_args(hint) if (model := _model_within(choice)) is not None]
        return models[0] if len(models) == 1 else None
    if not isinstance(hint, type):
        return hint if typing.is_typeddict(hint) else None
    if dataclasses.is_dataclass(hint) or typing.is_typeddict(hint) or issubclass(hint, msgspec.Struct):
        return hint
    return None


def _checked_key(key: object, path: str, source: str) -> str:
    if not isinstance(key, str):
        raise _not_json(path, source, f"a table with a key of the type {type(key).__name__}")
    return str(json_copy(key, f"{path}.{shown(key)}", source))


def _not_json(path: str, source: str, found: str) -> ConfigError:
    by = f", set by {source}," if source else ""
    return ConfigError(
        f"{redaction.mask_text(path)}{by} is {found}. Settings are JSON-like: texts, finite numbers of at"
        " most 64 bits, true, false, null, lists and tables with texts as keys."
    )


def _without_place(reason: str) -> str:
    return reason.split(" - at `", 1)[0]
