"""JSON text for what a hook stores: names and values are checked, encoded and decoded here.

What would not come back as it was given is refused when it is saved; nothing here knows a unit or a store.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from jsorc.errors import UnstorableValue

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_DEPTH", "MAX_NAME_LENGTH", "check_name", "check_text", "decoder", "encode"]

MAX_NAME_LENGTH = 255
"""How many characters an object id or the name of a global may have."""

MAX_DEPTH = 200
"""How many containers a value may nest. Far below Python's recursion limit, which is not the same in every
process that may read the value; it also ends a value that contains itself."""

_LOWEST_INT = -(2**63)
_HIGHEST_INT = 2**64 - 1
_PLAIN = frozenset((str, bool, type(None)))
# An escaped NUL, and not the end of an escaped backslash before the letters u0000.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_INSTEAD = {
    "Decimal": "str(value)",
    "bytearray": "base64 text",
    "bytes": "base64 text",
    "frozenset": "a sorted list",
    "memoryview": "base64 text",
    "set": "a sorted list",
    "timedelta": "value.total_seconds()",
}


class _RefusedError(Exception):
    """Why a value was refused, and the way to it, which each container adds to as this passes through."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


class _Codec(NamedTuple):
    encode: Callable[[object], bytes]
    decode: Callable[[bytes | str], Any]
    struct: type
    unset: object
    leaves: tuple[type, ...]


@functools.cache
def _codec() -> _Codec:
    """Import msgspec at the first save or read, because `import jsorc` must be quick."""
    import datetime
    import uuid

    import msgspec

    return _Codec(
        encode=msgspec.json.Encoder().encode,
        decode=msgspec.json.Decoder().decode,
        struct=msgspec.Struct,
        unset=msgspec.UNSET,
        leaves=(datetime.datetime, datetime.date, datetime.time, uuid.UUID),
    )


def encode(value: object, kind: str, name: str) -> str:
    """Return the JSON text of a value.

    Args:
        value: JSON (None, bool, int of at most 64 bits, finite float, str, list, dict with str keys) and
            dataclasses, msgspec Structs, tuples, Enum members, datetime, date, time and UUID, which are
            written as msgspec writes them.
        kind: What the value is for, in the words of an error: "object" or "global".
        name: The id or name it is saved under, for an error.

    Returns:
        JSON without spaces, which does not change when the value does.

    Raises:
        UnstorableValue: The value, or something inside it, would not come back as it was given. The message
            says where it stands and never shows it.
    """
    try:
        _check(value, 0)
        text = _codec().encode(value)
    except _RefusedError as refused:
        where = "".join(reversed(refused.path)) or "the value itself"
        raise UnstorableValue(f"{kind} {name!r} cannot be stored: at {where}: {refused.reason}") from None
    except UnicodeEncodeError as error:
        # Its own message and context carry the whole string.
        raise UnstorableValue(
            f"{kind} {name!r} cannot be stored: a string holds a lone surrogate "
            f"({error.object[error.start]!r}), which is not text; decode the bytes it came from"
        ) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnstorableValue(f"{kind} {name!r} cannot be stored: {error}") from error
    # One scan of the text instead of one of each string; a backslash before u0000 needs the second look.
    if b"\\u0000" in text and _NUL.search(text):
        raise UnstorableValue(
            f"{kind} {name!r} cannot be stored: a string holds a NUL character, which not every store keeps; "
            "remove it"
        )
    return text.decode()


def decoder() -> Callable[[bytes | str], Any]:
    """Return the function that makes Python objects of JSON text; it raises ValueError for other text."""
    return _codec().decode


def check_name(what: str, name: object) -> str:
    """Return an object id or the name of a global as a plain string.

    Args:
        what: What it is, in the words of an error: "object id" or "name of a global".
        name: A string of 1 to `MAX_NAME_LENGTH` characters without NUL.

    Returns:
        The same characters; a plain `str` where a subclass was given.

    Raises:
        UnstorableValue: It is no such string.
    """
    # Ten thousand ids are checked in one read: almost all of them are done with here.
    if type(name) is str and name.isascii() and 0 < len(name) <= MAX_NAME_LENGTH and "\0" not in name:
        return name
    text = check_text(what, name)
    if not 0 < len(text) <= MAX_NAME_LENGTH:
        raise UnstorableValue(f"{what}: wanted 1 to {MAX_NAME_LENGTH} characters, found {len(text)}")
    return text


def check_text(what: str, text: object) -> str:
    """Return a string that names can be compared with; unlike a name it may have any length.

    Args:
        what: What it is, in the words of an error: "prefix" or "after".
        text: A string without NUL.

    Returns:
        The same characters; a plain `str` where a subclass was given.

    Raises:
        UnstorableValue: It is not a string, or holds a NUL or a lone surrogate.
    """
    if type(text) is not str:
        if not isinstance(text, str):
            raise UnstorableValue(f"{what}: wanted a string, found {type(text).__qualname__}")
        text = str.__str__(text)
    if "\0" in text:
        raise UnstorableValue(f"{what}: wanted text without NUL characters, found {text!r}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnstorableValue(f"{what}: wanted text, found a lone surrogate in {text!r}") from None
    return text


def _check(value: Any, depth: int) -> None:
    """Refuse what the encoder would change silently; strings are left to it and to one scan of its text."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is int:
        if not _LOWEST_INT <= value <= _HIGHEST_INT:
            raise _RefusedError("an integer beyond 64 bits; store it as str(value)")
    elif kind is float:
        if not math.isfinite(value):
            raise _RefusedError("NaN and infinity are not JSON; store None or a string")
    elif depth == MAX_DEPTH:
        raise _RefusedError(f"nested more than {MAX_DEPTH} deep, or it contains itself")
    elif kind is dict:
        key: object = None
        try:
            for key, item in value.items():
                if type(key) is not str:
                    raise _RefusedError(
                        f"the key is not a plain str but {type(key).__qualname__}; convert it"
                    )
                if type(item) not in _PLAIN:
                    _check(item, depth + 1)
        except _RefusedError as refused:
            refused.path.append(f"[{key!r}]")
            raise
    elif kind is list or kind is tuple:
        item = None
        try:
            for item in value:
                if type(item) not in _PLAIN:
                    _check(item, depth + 1)
        except _RefusedError as refused:
            # Counting only when it fails costs the good values nothing.
            index = next(index for index, other in enumerate(value) if other is item)
            refused.path.append(f"[{index}]")
            raise
    else:
        _check_special(kind, value, depth)


def _check_special(kind: type, value: Any, depth: int) -> None:
    """Check what is not plain JSON by the plain form that msgspec will see, asked for in the same order."""
    codec = _codec()
    if isinstance(value, codec.leaves):
        return
    if isinstance(value, enum.Enum):
        _check(value._value_, depth + 1)
    elif isinstance(value, codec.struct):
        _check(_fields(value, type(value).__struct_fields__, codec.unset), depth)  # type: ignore[attr-defined]
    elif isinstance(value, dict):
        _check(dict(dict.items(value)), depth)
    elif isinstance(value, list):
        _check(list(list.__iter__(value)), depth)
    elif isinstance(value, tuple):
        _check(tuple(tuple.__iter__(value)), depth)
    elif dataclasses.is_dataclass(kind):
        names = tuple(field.name for field in dataclasses.fields(kind))
        _check(_fields(value, names, codec.unset), depth)
    elif isinstance(value, str | int | float):
        base = next(base.__name__ for base in (str, int, float) if isinstance(value, base))
        raise _RefusedError(f"{kind.__qualname__} is a subclass of {base}; store {base}(value)")
    else:
        instead = _INSTEAD.get(kind.__name__, "JSON, a dataclass, Struct, Enum, datetime, date, time or UUID")
        raise _RefusedError(f"{kind.__qualname__} is not a kind of value that comes back; store {instead}")


def _fields(value: object, names: tuple[str, ...], unset: object) -> dict[str, object]:
    """Return what is encoded of a Struct or dataclass: fields that are unset or deleted are left out."""
    present = ((name, getattr(value, name, unset)) for name in names)
    return {name: item for name, item in present if item is not unset}
