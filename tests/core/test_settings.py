"""How the layers of the settings are merged, read, explained and validated."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import pytest

from jsorc.errors import ConfigError, RegistrationError
from jsorc.redaction import MASK, mask_text
from jsorc.settings import CoreConfig, DatabaseConfig, JsOrcSettings, Resolved, validate

Make = Callable[..., JsOrcSettings]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Settings of a redis plugin, with an environment and a folder of their own."""

    def settings(environ: dict[str, str] | None = None, **defaults: Any) -> JsOrcSettings:
        made = JsOrcSettings(environ={} if environ is None else environ, start=tmp_path)
        values = {
            "REDIS_CONFIG": {"host": "localhost", "port": 6379, "client": {"a": 1}},
            "REDIS_MANIFEST": "jsorc_redis:manifest.yaml",
            **defaults,
        }
        made.declare(
            "jsorc-redis",
            values,
            {"REDIS_HOST": "REDIS_CONFIG.host", "REDIS_PASSWORD": "REDIS_CONFIG.password"},
        )
        return made

    return settings


def test_the_settings_of_core_are_always_known() -> None:
    settings = JsOrcSettings(environ={"JSORC_SETTINGS": os.devnull})
    assert settings.names() == ["DB_REGEN_CONFIG", "DB_REGEN_MANIFEST", "JSORC_CONFIG"]
    assert settings["JSORC_CONFIG"] == {
        "backoff_interval": 10,
        "pre_loaded_services": ["kube", "redis", "prome", "mail", "task", "elastic"],
        "use": {},
        "namespace": "default",
        "control": True,
    }
    assert settings.core() == CoreConfig(
        10.0, ["kube", "redis", "prome", "mail", "task", "elastic"], {}, "default", True
    )
    assert settings.database() == DatabaseConfig(enabled=False, exit_code=75)


def test_the_default_of_a_plugin_is_the_value_when_nothing_else_is_set(make: Make) -> None:
    assert make()["REDIS_CONFIG"] == {"host": "localhost", "port": 6379, "client": {"a": 1}}


def test_two_distributions_merge_their_defaults_by_name_not_by_order(make: Make) -> None:
    settings = make()
    settings.declare("jsorc-serv", {"REDIS_CONFIG": {"port": 3}}, {})
    settings.declare("a-first", {"REDIS_CONFIG": {"port": 1, "more": True}}, {})
    assert settings["REDIS_CONFIG"] == {"host": "localhost", "port": 3, "client": {"a": 1}, "more": True}


@pytest.mark.parametrize(
    ("values", "env"),
    [
        ({"REDIS__CONFIG": {}}, {}),
        ({"1": {}}, {}),
        ({"CONFIG": {}}, {}),
        ({"JSORC_CONFIG": {}}, {}),
        ({"JSORC_STRICT": 1}, {}),
        ({"X_CONFIG": 5}, {}),
        ({"X_CONFIG": {"a": {1, 2}}}, {}),
        ({}, {"A=B": "X_CONFIG.a"}),
        ({}, {"JSORC_STRICT": "X_CONFIG.a"}),
        ({}, {"X": "X_CONFIG..a"}),
        ({}, {"X": ""}),
    ],
)
def test_a_refused_declaration_leaves_nothing_behind(
    values: dict[str, Any], env: dict[str, str], make: Make
) -> None:
    settings = make()
    before = settings.names()
    with pytest.raises(RegistrationError, match="jsorc-bad"):
        settings.declare("jsorc-bad", {"GOOD_CONFIG": {}, **values}, env)
    assert settings.names() == before


def test_resetting_the_declarations_keeps_what_the_application_configured(make: Make) -> None:
    settings = make()
    settings.configure(REDIS_CONFIG={"port": 1})
    settings.expect("MAIL_CONFIG")
    settings.reset_declarations()
    assert settings["REDIS_CONFIG"] == {"port": 1}
    assert "MAIL_CONFIG" not in settings
    assert "JSORC_CONFIG" in settings


def test_an_expected_setting_is_known_and_empty() -> None:
    settings = JsOrcSettings(environ={"JSORC_SETTINGS": os.devnull})
    settings.expect("MAIL_CONFIG", "MAIL_MANIFEST")
    assert settings["MAIL_CONFIG"] == {}
    assert settings["MAIL_MANIFEST"] is None
    assert settings.get("MAIL_CONFIG", "nothing") == "nothing"
    with pytest.raises(RegistrationError):
        settings.expect("not a name")


def test_an_unknown_setting_is_named_with_the_nearest(make: Make) -> None:
    settings = make()
    assert settings.get("NOPE_CONFIG") is None
    assert "NOPE_CONFIG" not in settings
    with pytest.raises(ConfigError, match='No setting is named REDS_CONFIG; did you mean "REDIS_CONFIG"'):
        settings["REDS_CONFIG"]


def test_configure_merges_deeply_over_earlier_calls(make: Make) -> None:
    settings = make()
    settings.configure(REDIS_CONFIG={"client": {"b": 2}})
    settings.configure(REDIS_CONFIG={"client": {"c": 3}, "port": 1})
    assert settings["REDIS_CONFIG"] == {"host": "localhost", "port": 1, "client": {"a": 1, "b": 2, "c": 3}}


def test_lists_are_replaced_not_merged(make: Make) -> None:
    settings = make(X_CONFIG={"names": ["a", "b"]})
    settings.configure(X_CONFIG={"names": ("c",)})
    assert settings["X_CONFIG"] == {"names": ["c"]}


def test_the_callers_values_are_never_changed_and_copies_go_out(make: Make) -> None:
    given = {"client": {"b": [1]}}
    settings = make()
    settings.configure(REDIS_CONFIG=given)
    settings.configure(REDIS_CONFIG={"client": {"c": 1}})
    out = settings["REDIS_CONFIG"]
    out["client"]["b"].append(2)
    given["client"]["b"].append(3)
    assert given == {"client": {"b": [1, 3]}}
    assert settings["REDIS_CONFIG"]["client"] == {"a": 1, "b": [1], "c": 1}


@pytest.mark.parametrize(
    "value",
    [
        {1: 2},
        {"a": object()},
        {"a": b"x"},
        {"a": float("nan")},
        {"a": 2**64},
        {"a": "\ud800"},
        {"a": {1}},
        "text",
        None,
    ],
)
def test_what_is_not_json_like_is_refused_and_nothing_is_half_applied(value: Any, make: Make) -> None:
    settings = make()
    with pytest.raises(ConfigError, match="REDIS_CONFIG"):
        settings.configure(OTHER_CONFIG={"a": 1}, REDIS_CONFIG=value)
    assert "OTHER_CONFIG" not in settings
    assert settings["REDIS_CONFIG"]["port"] == 6379


def test_a_circle_is_refused(make: Make) -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(ConfigError, match="levels deep"):
        make().configure(REDIS_CONFIG=circle)


def test_a_manifest_may_be_a_reference_or_a_table_or_nothing(make: Make) -> None:
    settings = make()
    assert settings["REDIS_MANIFEST"] == "jsorc_redis:manifest.yaml"
    settings.configure(REDIS_MANIFEST={"Service": []})
    assert settings["REDIS_MANIFEST"] == {"Service": []}
    settings.configure(REDIS_MANIFEST=None)
    assert settings["REDIS_MANIFEST"] is None


def test_a_file_lies_between_defaults_and_configure(make: Make, tmp_path: Path) -> None:
    (tmp_path / "jsorc.toml").write_text('[REDIS_CONFIG]\nport = 1\nhost = "file"\n')
    settings = make()
    settings.configure(REDIS_CONFIG={"port": 2})
    assert settings["REDIS_CONFIG"] == {"host": "file", "port": 2, "client": {"a": 1}}


def test_the_file_is_found_upward_and_the_nearest_wins(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "jsorc.toml").write_text('[X_CONFIG]\nat = "far"\n')
    settings = JsOrcSettings(environ={}, start=inner)
    assert settings["X_CONFIG"] == {"at": "far"}
    (inner / "pyproject.toml").write_text("[project]\nname = 'no table of ours'\n")
    assert settings["X_CONFIG"] == {"at": "far"}
    (inner.parent / "pyproject.toml").write_text('[tool.jsorc.X_CONFIG]\nat = "near"\n')
    assert settings["X_CONFIG"] == {"at": "near"}
    (inner.parent / "jsorc.toml").write_text('[X_CONFIG]\nat = "beside"\n')
    assert settings["X_CONFIG"] == {"at": "beside"}


def test_the_working_folder_is_where_the_search_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = JsOrcSettings(environ={})
    (tmp_path / "jsorc.toml").write_text("[X_CONFIG]\na = 1\n")
    monkeypatch.chdir(tmp_path)
    assert settings["X_CONFIG"] == {"a": 1}


def test_a_broken_project_file_of_somebody_else_is_no_mistake_here(make: Make, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert make()["REDIS_CONFIG"]["port"] == 6379
    (tmp_path / "pyproject.toml").write_text("[tool.jsorc\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml is not valid TOML"):
        make()["REDIS_CONFIG"]


def test_a_changed_file_is_read_again(make: Make, tmp_path: Path) -> None:
    settings = make()
    file = tmp_path / "jsorc.toml"
    file.write_text("[REDIS_CONFIG]\nport = 1\n")
    assert settings["REDIS_CONFIG"]["port"] == 1
    file.write_text("[REDIS_CONFIG]\nport = 22\n")
    assert settings["REDIS_CONFIG"]["port"] == 22
    file.unlink()
    assert settings["REDIS_CONFIG"]["port"] == 6379


def test_an_unchanged_file_is_parsed_once(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tomllib

    settings = make()
    (tmp_path / "jsorc.toml").write_text("[REDIS_CONFIG]\nport = 1\n")
    assert settings["REDIS_CONFIG"]["port"] == 1
    monkeypatch.delattr(tomllib, "loads")
    assert settings["REDIS_CONFIG"]["port"] == 1


def test_the_named_file_is_used_instead_of_a_search(make: Make, tmp_path: Path) -> None:
    (tmp_path / "jsorc.toml").write_text("[REDIS_CONFIG]\nport = 1\n")
    (tmp_path / "other.toml").write_text("[REDIS_CONFIG]\nport = 2\n")
    assert make({"JSORC_SETTINGS": "other.toml"})["REDIS_CONFIG"]["port"] == 2
    assert make({"JSORC_SETTINGS": os.devnull})["REDIS_CONFIG"]["port"] == 6379


@pytest.mark.parametrize("named", ["missing.toml", ".", "a\0b", "pyproject.toml"])
def test_a_named_file_that_cannot_be_used_is_an_error(named: str, make: Make, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    with pytest.raises(ConfigError, match="JSORC_SETTINGS names"):
        make({"JSORC_SETTINGS": named})["REDIS_CONFIG"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"[REDIS_CONFIG\n", r"jsorc\.toml is not valid TOML"),
        (b"\xff", r"jsorc\.toml is not UTF-8"),
        (b"REDIS_CONFIG = 5\n", "REDIS_CONFIG, set by .*jsorc.toml, must be a table"),
        (
            b"[REDIS_CONFIG]\nsince = 2020-01-01\n",
            "REDIS_CONFIG.since, .*date; in a TOML file, put it in quotes",
        ),
        (b"[REDIS_CONFIG]\nport = inf\n", "REDIS_CONFIG.port"),
        (b"[REDIS_CONFIG]\nport = 0x" + b"f" * 9000, "REDIS_CONFIG.port"),
        (b"[REDIS_CONFIG]\nport = " + b"9" * 9000, r"jsorc\.toml is not valid TOML"),
        (b"x = " + b"[" * 50000, r"jsorc\.toml is not valid TOML"),
    ],
)
def test_a_bad_file_is_an_error_that_names_it_or_the_key(
    content: bytes, named: str, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "jsorc.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=named):
        make()["REDIS_CONFIG"]


def test_the_environment_is_read_when_a_setting_is_resolved(make: Make) -> None:
    environ: dict[str, str] = {}
    settings = make(environ)
    settings.configure(REDIS_CONFIG={"port": 1})
    assert settings["REDIS_CONFIG"]["port"] == 1
    environ["JSORC_REDIS_CONFIG__PORT"] = "2"
    assert settings["REDIS_CONFIG"]["port"] == 2


def test_os_environ_is_read_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = JsOrcSettings(start=tmp_path)
    monkeypatch.setenv("JSORC_X_CONFIG__A", "1")
    assert settings["X_CONFIG"] == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6380", 6380),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ('"6380"', "6380"),
        ("[1, 2]", [1, 2]),
        ("text", "text"),
        ("", ""),
        ("007", "007"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("{broken", "{broken"),
        ("9" * 5000, "9" * 5000),
        ("99999999999999999999", "99999999999999999999"),
        ("[" * 50000, "[" * 50000),
    ],
)
def test_a_value_is_understood_as_json_and_else_is_text(text: str, value: Any, make: Make) -> None:
    assert make({"JSORC_REDIS_CONFIG__VALUE": text})["REDIS_CONFIG"]["value"] == value


def test_keys_are_found_without_regard_to_case(make: Make) -> None:
    settings = make(
        {"JSORC_X_CONFIG__MAXSIZE__INNER_KEY": "2", "JSORC_X_CONFIG__other": "3"},
        X_CONFIG={"maxSize": {"Inner_Key": 1}},
    )
    assert settings["X_CONFIG"] == {"maxSize": {"Inner_Key": 2}, "other": 3}


def test_a_key_beneath_something_that_is_no_table_makes_one(make: Make) -> None:
    settings = make({"JSORC_REDIS_CONFIG__EMBEDDED__DATA_DIR": "/d"}, REDIS_CONFIG={"embedded": None})
    assert settings["REDIS_CONFIG"] == {"embedded": {"data_dir": "/d"}}
    assert list(settings.explain("REDIS_CONFIG")) == ["embedded.data_dir"]


def test_the_prefix_is_not_doubled_for_names_that_begin_with_it(tmp_path: Path) -> None:
    environ = {"JSORC_CONFIG__USE__HOOK": "jsorc-redis", "JSORC_DB_REGEN_CONFIG__ENABLED": "true"}
    settings = JsOrcSettings(environ=environ, start=tmp_path)
    assert settings.core().use == {"hook": "jsorc-redis"}
    assert settings.database().enabled is True


def test_a_whole_value_in_json_merges_deeply_and_single_keys_win_over_it(make: Make) -> None:
    environ = {"JSORC_REDIS_CONFIG": '{"port": 1, "client": {"b": 2}}', "JSORC_REDIS_CONFIG__PORT": "2"}
    assert make(environ)["REDIS_CONFIG"] == {"host": "localhost", "port": 2, "client": {"a": 1, "b": 2}}


@pytest.mark.parametrize("text", ["", "text", "5", "[1]", "null", '{"a":', '{"$env": "X"}', '{"a": NaN}'])
def test_a_whole_value_that_is_no_json_object_is_an_error_for_a_table(text: str, make: Make) -> None:
    with pytest.raises(ConfigError, match="REDIS_CONFIG"):
        make({"JSORC_REDIS_CONFIG": text})["REDIS_CONFIG"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("mine:manifest.yaml", "mine:manifest.yaml"), ("5", "5"), ('{"a": 1}', {"a": 1}), ("null", None)],
)
def test_a_manifest_may_be_plain_text_in_the_environment(text: str, value: Any, make: Make) -> None:
    assert make({"JSORC_REDIS_MANIFEST": text})["REDIS_MANIFEST"] == value


def test_a_key_of_a_manifest_that_is_a_reference_is_an_error(make: Make) -> None:
    with pytest.raises(ConfigError, match="JSORC_REDIS_MANIFEST__A"):
        make({"JSORC_REDIS_MANIFEST__A": "1"})["REDIS_MANIFEST"]


@pytest.mark.parametrize(
    "variable", ["JSORC_REDIS_CONFIG__", "JSORC_REDIS_CONFIG____PORT", "JSORC_REDIS_CONFIG" + "__A" * 5000]
)
def test_a_variable_with_empty_or_too_many_keys_is_an_error_that_names_it(variable: str, make: Make) -> None:
    with pytest.raises(ConfigError, match="JSORC_REDIS_CONFIG__"):
        make({variable: "1"})["REDIS_CONFIG"]


def test_a_text_that_is_not_unicode_is_an_error_that_names_the_key(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"REDIS_CONFIG\.PORT.*JSORC_REDIS_CONFIG__PORT"):
        make({"JSORC_REDIS_CONFIG__PORT": "\udcff"})["REDIS_CONFIG"]


def test_a_declared_name_sets_its_key_and_the_prefixed_name_wins(make: Make) -> None:
    assert make({"REDIS_HOST": "h"})["REDIS_CONFIG"]["host"] == "h"
    assert make({"REDIS_HOST": "h", "JSORC_REDIS_CONFIG": '{"host": "j"}'})["REDIS_CONFIG"]["host"] == "j"


def test_stored_settings_win_unless_they_are_ignored_or_not_asked_for(make: Make) -> None:
    environ = {"JSORC_REDIS_CONFIG__PORT": "1"}
    settings = make(environ)
    settings.set_stored({"REDIS_CONFIG": {"port": 2}})
    assert settings["REDIS_CONFIG"]["port"] == 2
    assert settings.resolve("REDIS_CONFIG", stored=False).value["port"] == 1
    environ["JSORC_IGNORE_STORED"] = "1"
    assert settings["REDIS_CONFIG"]["port"] == 1


def test_storing_replaces_what_was_stored_before_and_is_all_or_nothing(make: Make) -> None:
    settings = make()
    settings.set_stored({"REDIS_CONFIG": {"port": 2}})
    with pytest.raises(ConfigError, match=r"X_CONFIG\.a"):
        settings.set_stored({"REDIS_CONFIG": {"port": 3}, "X_CONFIG": {"a": object()}})
    assert settings["REDIS_CONFIG"]["port"] == 2
    settings.set_stored({})
    assert settings["REDIS_CONFIG"]["port"] == 6379


def test_a_reference_is_read_from_the_environment_in_every_layer(make: Make, tmp_path: Path) -> None:
    (tmp_path / "jsorc.toml").write_text('[X_CONFIG]\nb = { "$env" = "B" }\n')
    environ = {"A": "a", "B": "b", "C": "[3]", "D": "d", "E": "5", "JSORC_X_CONFIG__D": '{"$env": "D"}'}
    settings = make(environ, X_CONFIG={"a": {"$env": "A"}, "c": 1, "d": {"deep": 1}})
    settings.configure(X_CONFIG={"c": {"$env": "C"}})
    settings.set_stored({"X_CONFIG": {"e": [{"$env": "E"}]}})
    assert settings["X_CONFIG"] == {"a": "a", "b": "b", "c": [3], "d": "d", "e": [5]}


def test_a_reference_to_a_missing_variable_is_an_error_only_while_it_is_effective(make: Make) -> None:
    settings = make(X_CONFIG={"password": {"$env": "NOT_THERE"}})
    with pytest.raises(ConfigError, match=r"X_CONFIG\.password refers to the environment variable NOT_THERE"):
        settings["X_CONFIG"]
    settings.configure(X_CONFIG={"password": "pw"})
    assert settings["X_CONFIG"] == {"password": "pw"}


@pytest.mark.parametrize("reference", [{"$env": 5}, {"$env": "A", "more": 1}, {"$env": None}])
def test_a_malformed_reference_is_an_error_that_names_the_key(reference: dict[str, Any], make: Make) -> None:
    with pytest.raises(ConfigError, match=r"X_CONFIG\.a"):
        make({"A": "1"}, X_CONFIG={"a": reference})["X_CONFIG"]


def test_the_text_of_a_reference_is_not_a_reference_itself(make: Make) -> None:
    assert make({"A": '{"$env": "B"}'}, X_CONFIG={"a": {"$env": "A"}})["X_CONFIG"] == {"a": {"$env": "B"}}


def test_every_key_is_explained_with_layer_source_and_value(make: Make, tmp_path: Path) -> None:
    (tmp_path / "jsorc.toml").write_text("[REDIS_CONFIG]\ndb = 1\n")
    settings = make({"JSORC_REDIS_CONFIG__PORT": "2", "REDIS_HOST": "h"})
    settings.configure(REDIS_CONFIG={"client": {"b": 1}})
    settings.set_stored({"REDIS_CONFIG": {"ssl": True}})
    origins = settings.explain("REDIS_CONFIG")
    assert {path: (origin.layer, origin.source, origin.value) for path, origin in origins.items()} == {
        "client.a": ("default", "jsorc-redis", 1),
        "client.b": ("application", "configure", 1),
        "db": ("application", str(tmp_path / "jsorc.toml"), 1),
        "host": ("environment", "REDIS_HOST", "h"),
        "port": ("environment", "JSORC_REDIS_CONFIG__PORT", 2),
        "ssl": ("stored", "svc_config_set", True),
    }
    assert str(origins["port"]) == "2, environment (JSORC_REDIS_CONFIG__PORT)"
    assert settings.explain("REDIS_MANIFEST")[""].source == "jsorc-redis"


def test_a_replaced_table_is_forgotten_with_its_keys(make: Make) -> None:
    settings = make({"JSORC_REDIS_CONFIG__CLIENT": "null"})
    assert sorted(settings.explain("REDIS_CONFIG")) == ["client", "host", "port"]


def test_secrets_are_masked_where_settings_are_shown_and_known_afterwards(make: Make) -> None:
    secrets = [f"seed-{uuid.uuid4().hex}" for _ in range(6)]
    environ = {"REDIS_PASSWORD": secrets[0], "SMTP": secrets[1]}
    settings = make(environ, API_TOKEN=secrets[5])
    settings.configure(
        REDIS_CONFIG={
            "url": f"redis://u:{secrets[2]}@h",
            "auth": {"deep": [secrets[3]]},
            "api_key": {"$env": "SMTP"},
            "signature": secrets[4],
        }
    )
    resolved = settings.resolve("REDIS_CONFIG", secret_keys=["signature"])
    token = settings.resolve("API_TOKEN")
    told = repr(resolved) + repr(resolved.origins) + repr(token) + "".join(map(str, token.origins.values()))
    assert not [secret for secret in secrets if secret in told]
    assert resolved.value["password"] == secrets[0]
    assert [mask_text(secret) for secret in secrets] == [MASK] * len(secrets)


def test_an_error_about_a_secret_does_not_show_it(make: Make) -> None:
    secret = f"seed-{uuid.uuid4().hex}"

    class Strict(msgspec.Struct):
        token: int
        other: Annotated[str, msgspec.Meta(max_length=3)] = ""

    settings = make(X_CONFIG={"token": secret, "other": f"{secret}"})
    with pytest.raises(ConfigError, match=r"X_CONFIG\.token") as caught:
        validate(settings.resolve("X_CONFIG"), Strict)
    assert secret not in str(caught.value)


def test_unknown_names_are_logged_once_each_with_the_nearest(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jsorc.toml").write_text("[REDIS_CONFIGG]\na = 1\n")
    environ = {
        "JSORC_REDS_CONFIG__PORT": "1",
        "JSORC_STRICT": "1",
        "JSORC_PLUGINS_BLOCK": "",
        "JSORC_PLUGINS_ALLOW": "",
        "JSORC_IGNORE_STORED": "",
        "JSORC_SETTINGS": "",
        "JSORC_REDIS_CONFIG__PORT": "1",
        "JSORC_CONFIG__NAMESPACE": "x",
        "OTHER": "1",
    }
    settings = make(environ)
    settings.configure(RADIS_CONFIG={}, REDIS_CONFIG={})
    with caplog.at_level(logging.WARNING, logger="jsorc.settings"):
        settings.warn_unknown()
        settings.warn_unknown()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert (
        'JSORC_REDS_CONFIG__PORT is not known to any plugin; did you mean "JSORC_REDIS_CONFIG"?'
        in messages[0]
    )
    assert (
        'RADIS_CONFIG given to configure is not known to any plugin; did you mean "REDIS_CONFIG"?'
        in messages[1]
    )
    assert "REDIS_CONFIGG in " in messages[2]


def test_a_broken_file_does_not_keep_the_other_warnings_back(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jsorc.toml").write_text("[")
    with caplog.at_level(logging.WARNING, logger="jsorc.settings"):
        make({"JSORC_NOTHING_LIKE_IT": "1"}).warn_unknown()
    assert len(caplog.records) == 1


@dataclass
class Embedded:
    data_dir: str | None = None
    appendfsync: str = "everysec"


@dataclass
class RedisConfig:
    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 6379
    password: str | None = None
    ssl: bool = False
    timeout: float = 2.0
    embedded: Embedded | None = None
    client: dict[str, Any] = field(default_factory=dict)


class RedisTable(TypedDict):
    host: str
    port: NotRequired[Annotated[int, msgspec.Meta(ge=1, le=65535)]]


class RedisStruct(msgspec.Struct):
    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 6379


def resolved(value: Any, **environ: str) -> Resolved:
    settings = JsOrcSettings(environ={"JSORC_SETTINGS": os.devnull, **environ})
    settings.configure(REDIS_CONFIG=value)
    return settings.resolve("REDIS_CONFIG")


def test_missing_keys_are_filled_from_the_models_defaults() -> None:
    assert validate(resolved({"host": "h", "timeout": 3, "embedded": {}}), RedisConfig) == {
        "host": "h",
        "port": 6379,
        "password": None,
        "ssl": False,
        "timeout": 3.0,
        "embedded": {"data_dir": None, "appendfsync": "everysec"},
        "client": {},
    }


@pytest.mark.parametrize("model", [RedisConfig, RedisTable, RedisStruct])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"host": "h", "prot": 1},
            r'REDIS_CONFIG has no key "prot", set by application \(configure\); did you mean "port"',
        ),
        (
            {"host": "h", "port": "x"},
            r"REDIS_CONFIG\.port is 'x', set by application \(configure\): Expected `int`, got `str`",
        ),
        ({"host": "h", "port": 70000}, r"REDIS_CONFIG\.port is 70000.*<= 65535"),
        ({"host": "h", "port": True}, r"REDIS_CONFIG\.port"),
        ({"port": 1}, r"REDIS_CONFIG\.host is missing.*JSORC_REDIS_CONFIG__HOST"),
    ],
)
def test_what_does_not_fit_is_named_with_setting_key_and_origin(
    model: type, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(resolved(value), model)


def test_keys_and_defaults_are_checked_for_every_kind_of_model() -> None:
    assert validate(resolved({"host": "h"}), RedisTable) == {"host": "h"}
    assert validate(resolved({"host": "h"}), RedisStruct) == {"host": "h", "port": 6379}


def test_an_unknown_key_of_a_nested_model_is_named_with_its_path() -> None:
    with pytest.raises(ConfigError, match=r'REDIS_CONFIG\.embedded has no key "appendfsnc".*"appendfsync"'):
        validate(resolved({"host": "h", "embedded": {"appendfsnc": "no"}}), RedisConfig)


def test_a_text_of_the_environment_stays_text_where_text_is_wanted() -> None:
    environ = {"JSORC_REDIS_CONFIG__PASSWORD": "12345", "JSORC_REDIS_CONFIG__HOST": "[1]"}
    checked = validate(resolved({}, **environ), RedisConfig)
    assert (checked["password"], checked["host"]) == ("12345", "[1]")


def test_the_words_of_the_environment_for_booleans_are_understood() -> None:
    for text, value in {"True": True, "1": True, "false": False, "0": False}.items():
        assert validate(resolved({"host": "h"}, JSORC_REDIS_CONFIG__SSL=text), RedisConfig)["ssl"] is value


def test_a_key_of_the_environment_finds_the_models_spelling() -> None:
    @dataclass
    class Spelled:
        maxSize: int = 0

    assert validate(resolved({}, JSORC_REDIS_CONFIG__MAXSIZE="3"), Spelled) == {"maxSize": 3}


def test_without_a_model_every_key_passes_and_a_numeric_password_stays_text() -> None:
    given = resolved({"any": [1]}, JSORC_REDIS_CONFIG__PASSWORD="12345", JSORC_REDIS_CONFIG__PORT="1")
    assert validate(given, None) == {"any": [1], "password": "12345", "port": 1}
    checked = validate(given, None)
    checked["any"].append(2)
    assert given.value["any"] == [1]


def test_a_rule_over_several_keys_is_an_error_of_the_setting() -> None:
    @dataclass
    class Range:
        low: int = 0
        high: int = 1

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low must not be above high")

    with pytest.raises(ConfigError, match="REDIS_CONFIG does not fit: low must not be above high"):
        validate(resolved({"low": 2}), Range)


@pytest.mark.parametrize("model", [int, Path])
def test_a_model_that_cannot_be_one_is_an_error(model: type) -> None:
    with pytest.raises(ConfigError, match="The model of REDIS_CONFIG"):
        validate(resolved({}), model)


def test_a_model_with_a_choice_that_cannot_be_told_apart_is_an_error() -> None:
    @dataclass
    class Either:
        store: RedisConfig | Embedded | None = None

    with pytest.raises(ConfigError, match="The model of REDIS_CONFIG"):
        validate(resolved({"store": {}}), Either)


def test_a_setting_that_is_no_table_is_an_error(make: Make) -> None:
    with pytest.raises(ConfigError, match="REDIS_MANIFEST must be a table"):
        validate(make().resolve("REDIS_MANIFEST"), None)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("BACKOFF_INTERVAL", "0"),
        ("BACKOFF_INTERVAL", "-1"),
        ("BACKOFF_INTERVAL", "1e300"),
        ("BACKOFF_INTERVAL", "soon"),
        ("PRE_LOADED_SERVICES", "redis"),
        ("PRE_LOADED_SERVICES__0", "redis"),
        ("USE", "[]"),
        ("USE__HOOK", "{}"),
        ("NAMESPACE", "{a}"),
        ("NAMESPACE", "../a"),
        ("NAMESPACE", ""),
        ("CONTROL", "maybe"),
        ("INTERVAL", "1"),
    ],
)
def test_nonsense_in_the_configuration_of_core_is_an_error_that_names_the_key(key: str, text: str) -> None:
    settings = JsOrcSettings(environ={"JSORC_SETTINGS": os.devnull, f"JSORC_CONFIG__{key}": text})
    with pytest.raises(ConfigError, match=key.split("__")[0].lower()):
        settings.core()


@pytest.mark.parametrize("code", ["-1", "256", "x"])
def test_an_exit_code_that_no_process_has_is_an_error(code: str) -> None:
    settings = JsOrcSettings(environ={"JSORC_SETTINGS": os.devnull, "JSORC_DB_REGEN_CONFIG__EXIT_CODE": code})
    with pytest.raises(ConfigError, match=r"DB_REGEN_CONFIG\.exit_code"):
        settings.database()


def test_concurrent_calls_lose_nothing(make: Make) -> None:
    settings = make()
    barrier = threading.Barrier(8)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait()
            for turn in range(50):
                settings.configure(X_CONFIG={f"k{number}": {str(turn): turn}})
                settings.declare(f"d{number}", {"X_CONFIG": {f"d{number}": turn}}, {})
                settings.resolve("X_CONFIG")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    value = settings["X_CONFIG"]
    assert all(len(value[f"k{number}"]) == 50 and value[f"d{number}"] == 49 for number in range(8))


def test_importing_the_settings_imports_nothing_heavy() -> None:
    heavy = ["asyncio", "difflib", "importlib.metadata", "json", "msgspec", "tomllib"]
    script = f"import sys; sys.path[:0] = {sys.path!r}; import jsorc.settings; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert not set(heavy) & set(done.stdout.split())
