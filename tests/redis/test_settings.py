"""The settings on their way to the service: environment names, types, ranges and misspelt keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc.errors import ConfigError, ServiceUnavailable
from tests.servers import RedisServer

MakeOrchestrator = Callable[..., Orchestrator]


def test_the_environment_says_where_redis_is(
    make_redis: Callable[..., RedisServer],
    make_orchestrator: MakeOrchestrator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = make_redis(password="12345")
    monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
    monkeypatch.setenv("REDIS_PORT", str(server.port))
    monkeypatch.setenv("REDIS_DB", "4")
    monkeypatch.setenv("REDIS_PASSWORD", "12345")
    service = make_orchestrator(host="nowhere.invalid", port=1).svc("redis")
    assert service.poke().ping()
    assert service.details()["address"] == f"127.0.0.1:{server.port}"
    assert service.details()["db"] == 4


def test_a_url_in_the_environment_is_enough(
    redis_server: RedisServer, make_orchestrator: MakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{redis_server.port}/2")
    service = make_orchestrator().svc("redis")
    assert service.poke().ping()
    assert service.details()["db"] == 2


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"port": 0}, "REDIS_CONFIG.port"),
        ({"port": 65_536}, "REDIS_CONFIG.port"),
        ({"port": "six"}, "REDIS_CONFIG.port"),
        ({"db": -1}, "REDIS_CONFIG.db"),
        ({"socket_timeout": 0}, "REDIS_CONFIG.socket_timeout"),
        ({"socket_timeout": None}, "REDIS_CONFIG.socket_timeout"),
        ({"host": ""}, "REDIS_CONFIG.host"),
        ({"hots": "here"}, "host"),
        ({"client": 5}, "REDIS_CONFIG.client"),
        ({"embedded": {"appendfsync": "sometimes"}}, "REDIS_CONFIG.embedded.appendfsync"),
        ({"embedded": {"datadir": "/x"}}, "data_dir"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(
    config: dict[str, Any], words: str, make_orchestrator: MakeOrchestrator
) -> None:
    orchestrator = make_orchestrator(**config)
    with pytest.raises(ServiceUnavailable) as caught:
        orchestrator.svc("redis").poke()
    assert isinstance(caught.value.__cause__, ConfigError)
    assert words in str(caught.value)


def test_a_service_with_broken_settings_can_be_shown_and_stopped(make_orchestrator: MakeOrchestrator) -> None:
    orchestrator = make_orchestrator(port=0)
    assert orchestrator.svc("redis").has_failed()
    assert orchestrator.svc("redis").details() == {}
    orchestrator.info()
    assert orchestrator.stop() == []


def test_a_password_is_in_nothing_that_is_shown(
    make_redis: Callable[..., RedisServer], make_orchestrator: MakeOrchestrator
) -> None:
    server = make_redis(password="correct-horse-battery")
    orchestrator = make_orchestrator(url=server.url)
    assert orchestrator.svc("redis").poke().ping()
    assert "correct-horse" not in repr(orchestrator.info())
    assert "correct-horse" not in repr(orchestrator.settings.explain("REDIS_CONFIG"))
