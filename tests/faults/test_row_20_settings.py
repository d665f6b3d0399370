"""Row 20: whatever stands in jsorc.toml and the environment is valid settings or a ConfigError that names it.

Each property asks for everything that a start asks for; any exception but ConfigError fails it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jsorc import redaction
from jsorc.errors import ConfigError
from jsorc.settings import JsOrcSettings, validate

NAMES = (
    "JSORC_CONFIG",
    "DB_REGEN_CONFIG",
    "DB_REGEN_MANIFEST",
    "REDIS_CONFIG",
    "REDIS_MANIFEST",
    "API_TOKEN",
)
VARIABLES = ("REDIS_HOST", "REDIS_PORT", "JSORC_IGNORE_STORED", "JSORC_STRICT")

many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Embedded:
    data_dir: str | None = None
    appendfsync: str = "everysec"


@dataclass
class RedisConfig:
    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 6379
    password: str | None = None
    timeout: float = 2.0
    embedded: Embedded | None = None
    client: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(autouse=True, scope="module")
def forget_the_secrets_of_this_module() -> Iterator[None]:
    """The random passwords of these properties would be masked in every later test of the process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_known", redaction._KnownSecrets())
        yield


def texts() -> st.SearchStrategy[str]:
    """What an environment variable can hold: any text without NUL, and bytes that are no UTF-8."""
    undecoded = st.binary().map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
    nested = st.integers(1, 5000).flatmap(lambda depth: st.sampled_from(["[" * depth, '{"a":' * depth]))
    huge = st.integers(1, 6000).map(lambda digits: "9" * digits)
    escaped = st.sampled_from(
        ['"\\ud800"', '{"\\udfff": 1}', "NaN", "[NaN]", "1e999", "-Infinity", "[1e999]"]
    )
    any_text = st.text(st.characters(exclude_characters="\0", exclude_categories=()))
    return st.one_of(any_text, undecoded, nested, huge, escaped, json_values().map(json.dumps))


def json_values() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    keys = st.sampled_from(["host", "port", "password", "client", "embedded", "use", "namespace", "$env"])
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )


def variables() -> st.SearchStrategy[str]:
    key = st.sampled_from(
        ["PORT", "port", "HOST", "USE", "CLIENT", "EMBEDDED", "A", "", "0", "$env", "ß", "\udcff"]
    )
    setting = st.sampled_from(
        ["JSORC_CONFIG", *(f"JSORC_{name}" for name in NAMES if not name.startswith("JSORC_"))]
    )
    prefixed = st.tuples(setting, st.lists(key | st.text(max_size=3), max_size=4)).map(
        lambda parts: "__".join([parts[0], *parts[1]])
    )
    free = st.text(st.characters(exclude_characters="\0=", exclude_categories=()), min_size=1)
    return st.one_of(prefixed, st.sampled_from(VARIABLES), free.map("JSORC_".__add__), free)


@contextmanager
def folder_with(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "jsorc.toml").write_bytes(content)
        yield Path(folder)


def started(environ: dict[str, str], start: Path) -> JsOrcSettings:
    made = JsOrcSettings(environ=environ, start=start)
    made.declare(
        "jsorc-redis",
        {"REDIS_CONFIG": {"host": "localhost", "client": {}}, "REDIS_MANIFEST": "m:m.yaml", "API_TOKEN": ""},
        {"REDIS_HOST": "REDIS_CONFIG.host", "REDIS_PORT": "REDIS_CONFIG.port"},
    )
    return made


def ask_for_everything(made: JsOrcSettings, *named: str) -> None:
    """Each answer is JSON that fits its model, or a ConfigError that names the setting or one of `named`."""
    made.warn_unknown()
    for name in NAMES:
        try:
            resolved = made.resolve(name)
            json.dumps(resolved.value, allow_nan=False).encode()
            assert made.get(name) == resolved.value
            for origin in made.explain(name).values():
                str(origin).encode()
            repr(resolved).encode()
            if name == "REDIS_CONFIG":
                port = validate(resolved, RedisConfig)["port"]
                assert type(port) is int
                assert 1 <= port <= 65535
        except ConfigError as error:
            assert_names(error, name, *named)
    for name, validated in {"JSORC_CONFIG": made.core, "DB_REGEN_CONFIG": made.database}.items():
        try:
            validated()
        except ConfigError as error:
            assert_names(error, name, *named)


def assert_names(error: ConfigError, *named: str) -> None:
    message = str(error)
    message.encode()
    assert len(message) < 2000
    assert any(name in message for name in named), message


@many
@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf[REDIS_CONFIG]\nport = 1\n")
@example(b"REDIS_CONFIG = " + b"[" * 20000)
@example(b"REDIS_CONFIG." + b"a." * 3000 + b"b = 1")
@example(b"[REDIS_CONFIG]\nport = " + b"9" * 5000)
@example(b"[REDIS_CONFIG]\nport = 0x" + b"f" * 20000)
@example(b"[REDIS_CONFIG]\nport = 1e999\nhost = nan")
@example(b"[REDIS_CONFIG]\nport = 07:32:00")
@example(b"JSORC_CONFIG = { '$env' = 5 }")
def test_any_bytes_in_the_file_are_settings_or_an_error_that_names_it(content: bytes) -> None:
    with folder_with(content) as folder:
        ask_for_everything(started({}, folder), "jsorc.toml")


@many
@given(st.sampled_from(NAMES), st.text(max_size=12), json_values())
def test_any_toml_value_under_any_key_is_settings_or_an_error(name: str, key: str, value: Any) -> None:
    escaped = json.dumps(key.encode("utf-8", "replace").decode()).replace("\x7f", "\\u007f")
    content = f"[{name}]\n{escaped} = {inline(value)}\n".encode("utf-8", "replace")
    with folder_with(content) as folder:
        ask_for_everything(started({}, folder), "jsorc.toml")


def inline(value: Any) -> str:
    """A value as inline TOML; what TOML cannot say comes out as bad TOML, which is welcome here."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


@many
@given(st.dictionaries(variables(), texts(), max_size=5))
@example({"JSORC_REDIS_CONFIG__PORT": "\udc80"})
@example({"JSORC_REDIS_CONFIG__\udc80": "1"})
@example({"JSORC_REDIS_CONFIG": "\udc80{}"})
@example({"JSORC_REDIS_CONFIG" + "__A" * 20000: "1"})
@example({"JSORC_REDIS_CONFIG__A": "1", "JSORC_REDIS_CONFIG__A__B": "2", "JSORC_REDIS_CONFIG__a": "[]"})
@example({"JSORC_REDIS_CONFIG__PASSWORD__$env": "HOME"})
@example({"JSORC_REDIS_CONFIG__PASSWORD": '{"$env": "\\ud800"}'})
@example({"REDIS_PORT": '{"$env": "REDIS_PORT"}'})
@example({"JSORC_REDIS_CONFIG__CLIENT": '{"a":' * 99 + "1" + "}" * 99})
@example({"JSORC_CONFIG__USE": '{"hook": 99999999999999999999}'})
def test_any_text_in_the_environment_is_settings_or_an_error_that_names_the_key(
    environ: dict[str, str],
) -> None:
    with folder_with(b"") as folder:
        ask_for_everything(started({**environ, "JSORC_SETTINGS": "jsorc.toml"}, folder))


@many
@given(st.text(st.characters(exclude_categories=())))
@example("\0")
@example("a" * 5000)
@example("/")
@example("/dev")
@example("\udcff")
def test_any_name_of_a_file_is_settings_or_an_error_that_names_the_variable(named: str) -> None:
    with folder_with(b"") as folder:
        ask_for_everything(started({"JSORC_SETTINGS": named}, folder), "JSORC_SETTINGS", "jsorc.toml")


@many
@given(st.sampled_from(NAMES), json_values())
def test_any_stored_value_is_settings_or_an_error_that_names_the_key(name: str, value: Any) -> None:
    with folder_with(b"") as folder:
        made = started({"HOME": "/h"}, folder)
        try:
            made.set_stored({name: value})
        except ConfigError as error:
            assert_names(error, name)
        ask_for_everything(made)


@pytest.mark.parametrize("raw", [b"\xff", b"\xf0\x9f", b"{\xff", b'"\xed\xa0\x80"'])
def test_bytes_of_the_real_environment_that_are_no_text_are_an_error(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environb, b"JSORC_REDIS_CONFIG__HOST", raw)
    monkeypatch.setenv("JSORC_SETTINGS", os.devnull)
    with pytest.raises(ConfigError, match=r"REDIS_CONFIG.*JSORC_REDIS_CONFIG__HOST"):
        JsOrcSettings().resolve("REDIS_CONFIG")


def test_a_secret_in_a_file_that_cannot_be_read_is_not_shown() -> None:
    with folder_with(b'[REDIS_CONFIG]\npassword = "hunter2-hunter2" "') as folder:
        with pytest.raises(ConfigError, match=r"jsorc\.toml") as caught:
            started({}, folder).resolve("REDIS_CONFIG")
        assert "hunter2" not in str(caught.value)
