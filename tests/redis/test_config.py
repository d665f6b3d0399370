"""How `REDIS_CONFIG` is read: the address, the URL, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from jsorc.errors import ConfigError
from jsorc_redis.config import Endpoint


def test_without_settings_it_is_the_redis_of_this_machine() -> None:
    endpoint = Endpoint.of({})
    assert (endpoint.address, endpoint.db, endpoint.is_local) == ("localhost:6379", 0, True)


def test_what_a_url_says_wins_over_the_keys() -> None:
    endpoint = Endpoint.of(
        {"host": "elsewhere", "port": 1, "db": 2, "username": "a", "url": "redis://b:p%40ss@10.0.0.1:7000/5"}
    )
    assert (endpoint.address, endpoint.db) == ("10.0.0.1:7000", 5)
    assert (endpoint.username, endpoint.password) == ("b", "p@ss")


def test_the_keys_fill_what_a_url_leaves_open() -> None:
    endpoint = Endpoint.of({"db": 3, "username": "a", "password": "secret", "url": "redis://10.0.0.1"})
    assert (endpoint.address, endpoint.db, endpoint.username) == ("10.0.0.1:6379", 3, "a")
    assert endpoint.password == "secret"


@pytest.mark.parametrize(
    ("config", "local"),
    [
        ({"host": "localhost"}, True),
        ({"host": "LOCALHOST"}, True),
        ({"host": "127.0.0.7"}, True),
        ({"host": "::1"}, True),
        ({"unix_socket_path": "/run/redis.sock"}, True),
        ({"url": "unix:///run/redis.sock?db=1"}, True),
        ({"url": "redis://127.0.0.1:7000/0"}, True),
        ({"host": "redis"}, False),
        ({"host": "10.0.0.1"}, False),
        ({"host": "localhost", "ssl": True}, False),
        ({"url": "rediss://localhost:7000/0"}, False),
        ({"host": "localhost", "url": "redis://cache.example:6379/0"}, False),
    ],
)
def test_only_a_loopback_address_or_a_socket_without_tls_is_local(
    config: dict[str, Any], local: bool
) -> None:
    assert Endpoint.of(config).is_local is local


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert Endpoint.of({"host": "::1", "port": 7000}).address == "[::1]:7000"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:6379",
        "localhost:6379",
        "redis://localhost:notaport/0",
        "redis://localhost:99999/0",
        "redis://:sec/ret-word@localhost:6379/0",
        "redis://localhost:6379/0?socket_timeout=sec-ret-word",
        "redis://localhost:6379/-1",
        "unix://",
        "redis://[::1/0",
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_URL") as caught:
        Endpoint.of({"url": url})
    assert "ret-word" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "config",
    [{"ssl": True, "url": "redis://localhost"}, {"ssl": True, "unix_socket_path": "/run/redis.sock"}],
)
def test_tls_where_there_is_none_is_a_contradiction(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="ssl"):
        Endpoint.of(config)


def test_the_password_is_not_in_the_representation() -> None:
    assert "hunter22" not in repr(Endpoint.of({"password": "hunter22"}))
