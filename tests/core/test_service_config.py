"""What the config of a service may hold, where its keys go, and what is said of those that do not fit."""

from __future__ import annotations

import dataclasses
import logging
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from jsorc import Orchestrator
from jsorc.errors import ConfigError, ServiceUnavailable
from jsorc.service import ServicePolicy
from tests.services import Recorded, boom, orchestrator_with, recorded


def test_the_keys_of_the_policy_do_not_reach_the_config() -> None:
    given = {"host": "here", "automated": True, "ping_interval": 3, "nested": {"list": [1]}}
    service = recorded()(given)
    assert service.config == {"host": "here", "nested": {"list": [1]}}
    assert (service.enabled, service.automated, service.quiet) == (True, True, False)
    assert service.policy.ping_interval == 3
    service.config["nested"]["list"].append(2)
    assert given["nested"] == {"list": [1]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("enabled", "yes"),
        ("automated", 1),
        ("quiet", None),
        ("start_timeout", 0),
        ("start_timeout", float("nan")),
        ("ping_interval", -1),
        ("ping_timeout", "2"),
        ("ping_timeout", True),
        ("ping_failures", 0),
        ("ping_failures", 1.5),
        ("ping_failures", True),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        ServicePolicy.split({key: value})


@dataclasses.dataclass
class ThingConfig:
    host: str = "localhost"
    port: int = 80
    password: str | None = None


class Typed(Recorded):
    Config = ThingConfig
    journal: list[str] = []  # noqa: RUF012
    made: list[Recorded] = []  # noqa: RUF012
    steps: dict[str, Any] = {}  # noqa: RUF012


def orchestrator_of_typed(**config: Any) -> Orchestrator:
    return orchestrator_with({"thing": Typed}, thing=config)


def test_a_config_model_fills_in_what_is_missing() -> None:
    assert orchestrator_of_typed(port=81).svc("thing").config == {
        "host": "localhost",
        "port": 81,
        "password": None,
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"prot": 1}, ["THING_CONFIG", "prot", "application", "port"]),
        ({"port": "eighty"}, ["THING_CONFIG", "port", "application"]),
        ({"start_timeout": "soon"}, ["THING_CONFIG", "start_timeout", "application"]),
        ({"ping_failures": 0}, ["ping_failures"]),
        ({"enabled": "yes"}, ["THING_CONFIG", "enabled"]),
    ],
)
def test_a_config_that_does_not_fit_is_a_failed_service_whose_error_names_setting_key_and_layer(
    config: dict[str, Any], words: list[str]
) -> None:
    service = orchestrator_of_typed(**config).svc("thing")
    assert service.has_failed()
    assert isinstance(service.error, ConfigError)
    for word in words:
        assert word in str(service.error)


class ConfigTable(TypedDict, total=False):
    host: str
    port: Annotated[int, msgspec.Meta(ge=1)]


class ConfigStruct(msgspec.Struct):
    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1)] = 80


@dataclasses.dataclass
class ConfigDataclass:
    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1)] = 80


@pytest.mark.parametrize("model", [ConfigTable, ConfigStruct, ConfigDataclass])
@pytest.mark.parametrize(
    ("config", "word"), [({"prot": 1}, "prot"), ({"port": "eighty"}, "port"), ({"port": 0}, "port")]
)
def test_a_config_model_is_a_dataclass_a_typed_dict_or_a_struct(
    model: type, config: dict[str, Any], word: str
) -> None:
    cls = type("Thing", (recorded(),), {"Config": model})
    assert orchestrator_with({"thing": cls}, thing={"port": 81}).svc("thing").config["port"] == 81
    error = orchestrator_with({"thing": cls}, thing=config).svc("thing").error
    assert isinstance(error, ConfigError)
    assert "THING_CONFIG" in str(error)
    assert word in str(error)


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    assert "12345" not in str(orchestrator_of_typed(password=[12345]).svc("thing").error)


def test_an_init_that_raises_is_a_failed_service() -> None:
    service = orchestrator_with({"thing": recorded(init=boom)}).svc("thing")
    assert service.has_failed()
    with pytest.raises(ServiceUnavailable, match="boom"):
        service.poke()


def test_quiet_keeps_warnings_and_above() -> None:
    service = recorded()({"quiet": True})
    service.name = "a-quiet-one"
    assert not service.log.isEnabledFor(logging.INFO)
    assert service.log.isEnabledFor(logging.WARNING)


def test_quiet_ends_with_the_config_that_said_so(caplog: pytest.LogCaptureFixture) -> None:
    def run(service: Recorded) -> None:
        service.log.info("quiet: %s", service.quiet)
        service.app = "app"

    caplog.set_level("INFO", "jsorc.service.thing")
    orchestrator = orchestrator_with({"thing": recorded(run=run)}, thing={"quiet": True})
    orchestrator.svc("thing")
    orchestrator.configure(THING_CONFIG={"quiet": False})
    orchestrator.svc_reset("thing")
    assert [record.getMessage() for record in caplog.records] == ["quiet: False"]


def test_quiet_is_the_instances_alone_and_its_warnings_are_masked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "jsorc.service.two-of-them")
    loud, quiet = recorded()({}), recorded()({"quiet": True})
    loud.name = quiet.name = "two-of-them"
    log = loud.log
    quiet.log.warning("cannot reach redis://me:%s@host", "hunter22")
    quiet.log.info("not said")
    log.info("said")
    assert [record.getMessage() for record in caplog.records] == [
        "cannot reach redis://me:********@host",
        "said",
    ]
    logging.getLogger("jsorc.service.two-of-them").setLevel(logging.ERROR)
    assert not quiet.log.isEnabledFor(logging.WARNING)
