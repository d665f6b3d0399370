"""The values that every hook keeps, and those that it refuses.

`HookContract` runs through both tables; nothing here knows a hook.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REFUSED", "STORABLE", "WRAPPINGS", "same"]


class Colour(enum.Enum):
    """An Enum, of which the value is stored."""

    RED = "red"


class Level(enum.IntEnum):
    """An Enum whose members are integers too."""

    HIGH = 3


class Raw(enum.Enum):
    """An Enum with a value that is not storable."""

    BYTES = b"bytes"


@dataclasses.dataclass
class Point:
    """A dataclass that may hold anything."""

    x: Any
    y: Any = 0


class Box(msgspec.Struct):
    """A Struct that may hold anything."""

    content: Any


class Text(str):
    """A string that is more than one, which JSON cannot tell."""

    __slots__ = ()


STORABLE: dict[str, tuple[Any, Any]] = {
    "none": (None, None),
    "true": (True, True),
    "false": (False, False),
    "zero": (0, 0),
    "lowest integer": (-(2**63), -(2**63)),
    "highest integer": (2**64 - 1, 2**64 - 1),
    "float": (0.1, 0.1),
    "float without fraction": (1.0, 1.0),
    "smallest float": (5e-324, 5e-324),
    "largest float": (1.7976931348623157e308, 1.7976931348623157e308),
    "empty string": ("", ""),
    "string": ("plain", "plain"),
    "non-ASCII string": ("naïve Ω 文", "naïve Ω 文"),
    "astral string": ("\U0001f600\U0010ffff", "\U0001f600\U0010ffff"),
    "control characters": ("\x01\t\n\r\x1f\x7f\u2028", "\x01\t\n\r\x1f\x7f\u2028"),
    "text that looks like an escape": ("\\u0000 \\ud800 \\\\u0000", "\\u0000 \\ud800 \\\\u0000"),
    "quotes": ("'\"`%s%%{}", "'\"`%s%%{}"),
    "long string": ("x" * 100_000, "x" * 100_000),
    "empty list": ([], []),
    "list": ([1, "a", None, [True]], [1, "a", None, [True]]),
    "empty dict": ({}, {}),
    "dict": ({"a": {"b": []}, "": 1, "文": 2}, {"a": {"b": []}, "": 1, "文": 2}),
    "tuple": ((1, (2, "b")), [1, [2, "b"]]),
    "dataclass": (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": 0}}),
    "struct": (Box([Box(1)]), {"content": [{"content": 1}]}),
    "enum": (Colour.RED, "red"),
    "integer enum": ([Level.HIGH], [3]),
    "datetime": (datetime.datetime(2024, 2, 29, 12, 30, 15, 250), "2024-02-29T12:30:15.000250"),
    "datetime with a zone": (
        datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC),
        "2024-02-29T12:30:00Z",
    ),
    "date": (datetime.date(1, 1, 1), "0001-01-01"),
    "time": (datetime.time(23, 59, 58), "23:59:58"),
    "uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "a shared part": ([[1]] * 2, [[1], [1]]),
}
"""What is saved and what is read, by a label."""


def _list_in_itself() -> list[Any]:
    value: list[Any] = []
    value.append([value, value])
    return value


def _dict_in_itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def _dataclass_in_itself() -> Point:
    value = Point(None)
    value.x = value
    return value


REFUSED: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"bytes",
    "bytearray": lambda: bytearray(b"bytes"),
    "memoryview": lambda: memoryview(b"bytes"),
    "Decimal": lambda: decimal.Decimal("1.5"),
    "integer above 64 bits": lambda: 2**64,
    "integer below 64 bits": lambda: -(2**63) - 1,
    "huge integer": lambda: 10**400,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "integer key": lambda: {1: "a"},
    "None key": lambda: {None: "a"},
    "boolean key": lambda: {True: "a"},
    "bytes key": lambda: {b"a": "a"},
    "UUID key": lambda: {uuid.UUID(int=1): "a"},
    "tuple key": lambda: {("a",): "a"},
    "set": lambda: {1, 2},
    "frozenset": lambda: frozenset({1, 2}),
    "lone surrogate": lambda: "a\ud800",
    "lone surrogate in a key": lambda: {"\udfff": 1},
    "NUL": lambda: "a\0b",
    "NUL after a backslash": lambda: "\\\0",
    "NUL in a key": lambda: {"\0": 1},
    "list that contains itself": _list_in_itself,
    "dict that contains itself": _dict_in_itself,
    "dataclass that contains itself": _dataclass_in_itself,
    "complex": lambda: 1j,
    "object": object,
    "class": lambda: Point,
    "function": lambda: _list_in_itself,
    "generator": lambda: (item for item in [1]),
    "range": lambda: range(3),
    "timedelta": lambda: datetime.timedelta(seconds=1),
    "encoded JSON": lambda: msgspec.Raw(b"not JSON"),
    "unset": lambda: {"a": msgspec.UNSET},
    "subclass of str": lambda: Text("a"),
    "enum of bytes": lambda: Raw.BYTES,
}
"""Makes a value that would not come back as it was given, by a label."""

WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "dict": lambda value: {"good": 1, "bad": value},
    "list": lambda value: [1, value],
    "tuple": lambda value: (1, value),
    "dataclass": Point,
    "struct": Box,
    "deep": lambda value: {"a": [Box((Point(value),))]},
}
"""Puts a value inside another, by a label."""


def same(found: Any, expected: Any) -> bool:
    """Tell whether two JSON values are the same; unlike `==` this tells 1 from 1.0 and from True.

    Args:
        found: A JSON value.
        expected: A JSON value with its keys in the same order.

    Returns:
        True if they are.
    """
    return repr(found) == repr(expected)
