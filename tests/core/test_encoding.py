"""Values and names: what is refused, and what the error says about it."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import Counter, OrderedDict, defaultdict, namedtuple
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsorc.encoding import MAX_DEPTH, check_name, check_text, decoder, encode
from jsorc.errors import JsOrcError, UnstorableValue


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@dataclasses.dataclass
class Order:
    lines: list[Any]
    limit: ClassVar[object] = object()


@dataclasses.dataclass(slots=True)
class Slotted:
    kept: Any = 1
    deleted: Any = float("nan")


class Sparse(msgspec.Struct, omit_defaults=True, rename="camel", tag="sparse"):
    first_name: Any = msgspec.UNSET
    plain: Any = 1


class Grid(msgspec.Struct, array_like=True):
    cells: Any


class Key(enum.StrEnum):
    A = "a"


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "where", "reason"),
    [
        (float("nan"), "the value itself", "NaN"),
        ({"a": [1, {"b": {1, 2}}]}, "['a'][1]['b']", "set is not a kind of value .* a sorted list"),
        ([(), (0, b"x")], "[1][1]", "bytes .* base64"),
        (Order([2**64]), "['lines'][0]", "64 bits"),
        ({"a": {1: 2}}, "['a'][1]", "the key is not a plain str but int"),
        ({Key.A: 1}, f"[{Key.A!r}]", "the key is not a plain str but Key"),
        (Grid([Grid(1j)]), "['cells'][0]['cells']", "complex is not a kind"),
        (type("Name", (str,), {})("x"), "the value itself", r"Name is a subclass of str; store str\(value\)"),
        (type("Count", (int,), {})(1), "the value itself", "subclass of int"),
    ],
)
def test_the_error_says_where_and_why(value: Any, where: str, reason: str) -> None:
    with pytest.raises(UnstorableValue, match=reason) as caught:
        encode(value, "object", "user:1")
    assert f"object 'user:1' cannot be stored: at {where}: " in str(caught.value)


def test_the_error_is_a_type_error_a_value_error_and_one_of_the_project() -> None:
    assert issubclass(UnstorableValue, TypeError)
    assert issubclass(UnstorableValue, ValueError)
    assert issubclass(UnstorableValue, JsOrcError)


@pytest.mark.parametrize(
    "value", ["secret\ud800", "secret\0", ["secret", 1j], {"a": ["secret", float("inf")]}]
)
def test_the_error_does_not_show_the_value(value: Any) -> None:
    with pytest.raises(UnstorableValue) as caught:
        encode(value, "object", "a")
    error: BaseException | None = caught.value
    while error is not None:
        assert "secret" not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_value_may_nest_as_deep_as_the_limit_and_no_deeper() -> None:
    assert decoder()(encode(nested(MAX_DEPTH), "object", "a")) == nested(MAX_DEPTH)
    with pytest.raises(UnstorableValue, match=f"more than {MAX_DEPTH} deep"):
        encode(nested(MAX_DEPTH + 1), "object", "a")


def test_a_value_that_contains_itself_twice_is_refused_at_once() -> None:
    value: list[Any] = []
    value += [value, value]
    with pytest.raises(UnstorableValue, match="contains itself"):
        encode(value, "object", "a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (defaultdict(list, a=[1]), '{"a":[1]}'),
        (Counter("aab"), '{"a":2,"b":1}'),
        (Pair(1, (2,)), "[1,[2]]"),
        (Order([Order([])]), '{"lines":[{"lines":[]}]}'),
        (Sparse(), '{"type":"sparse"}'),
        (Sparse(first_name=[Key.A]), '{"type":"sparse","firstName":["a"]}'),
        (Grid({"a": Key.A}), '[{"a":"a"}]'),
        ("a\\u0000b", '"a\\\\u0000b"'),
    ],
)
def test_what_msgspec_encodes_is_encoded_as_it_does(value: Any, text: str) -> None:
    assert encode(value, "object", "a") == text == msgspec.json.encode(value).decode()


def test_a_deleted_field_is_left_out_as_msgspec_does() -> None:
    value = Slotted()
    with pytest.raises(UnstorableValue, match="NaN"):
        encode(value, "object", "a")
    del value.deleted
    assert encode(value, "object", "a") == '{"kept":1}'


@pytest.mark.parametrize("base", [dict, list, tuple])
def test_a_subclass_cannot_hide_its_content_from_the_check(base: Any) -> None:
    hiding = type("Hiding", (base,), {"__iter__": lambda self: iter(()), "items": lambda self: []})
    with pytest.raises(UnstorableValue, match="NaN"):
        encode(hiding({"a": float("nan")} if base is dict else [float("nan")]), "object", "a")


@pytest.mark.parametrize("text", ["\0", "\\\0", "\\\\\0", "u0000\0", "\\u0000\0"])
def test_a_nul_is_found_behind_any_number_of_backslashes(text: str) -> None:
    with pytest.raises(UnstorableValue, match="NUL"):
        encode([text], "object", "a")


@given(st.text(st.sampled_from("\\u0\0"), max_size=12))
def test_a_nul_is_never_taken_for_text_nor_text_for_a_nul(text: str) -> None:
    if "\0" in text:
        with pytest.raises(UnstorableValue):
            encode(text, "object", "a")
    else:
        assert decoder()(encode(text, "object", "a")) == text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.text(st.characters(categories=["Cs", "Lu"], include_characters="\0\\"), max_size=4)
    | st.binary(max_size=2)
    | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=12,
)


@given(JSON)
def test_a_value_comes_back_as_it_was_or_is_refused(value: Any) -> None:
    try:
        text = encode(value, "object", "a")
    except UnstorableValue:
        return
    assert repr(decoder()(text)) == repr(value)
    assert repr(json.loads(text)) == repr(value)


@pytest.mark.parametrize("name", ["a", "a b", "文", "\U0001f600" * 255, " ", "a\nb"])
def test_a_name_is_returned_as_it_is(name: str) -> None:
    assert check_name("object id", name) is name


def test_a_name_of_a_subclass_becomes_a_plain_string() -> None:
    assert type(check_name("object id", Key.A)) is str
    assert check_name("object id", Key.A) == "a"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("", "found 0"),
        ("x" * 256, "found 256"),
        ("文" * 256, "found 256"),
        ("a\0b", "NUL"),
        ("a\ud800", "lone surrogate"),
        (1, "found int"),
        (None, "found NoneType"),
        (b"a", "found bytes"),
    ],
)
def test_a_name_that_is_not_one_is_refused(name: object, found: str) -> None:
    with pytest.raises(UnstorableValue, match=f"^object id: wanted .*{found}"):
        check_name("object id", name)


def test_a_text_to_compare_names_with_may_be_empty_or_long() -> None:
    assert check_text("prefix", "") == ""
    assert check_text("prefix", "文" * 300) == "文" * 300
