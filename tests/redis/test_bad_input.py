"""What a user can get wrong about Redis: each is one clear error that says where, why and what mends it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from jsorc.errors import ConfigError, DeadlineExceeded, ServiceUnavailable
from jsorc_redis.service import RedisService
from tests.redis.imposters import Imposter
from tests.servers import RedisServer

MakeService = Callable[..., RedisService]

PASSWORD = "correct-horse-battery"


def failure(service: RedisService) -> BaseException:
    assert service.has_failed()
    assert service.app is None
    assert service.error is not None
    return service.error


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_an_absent_redis_names_the_address_the_setting_and_start(
    make_service: MakeService, free_port: int
) -> None:
    error = failure(make_service(port=free_port))
    assert isinstance(error, ServiceUnavailable)
    for part in (f"localhost:{free_port}", "refused", "REDIS_HOST", "REDIS_PORT", "JsOrc.start()"):
        assert part in str(error)


def test_poke_raises_what_the_failed_start_said(make_service: MakeService, free_port: int) -> None:
    service = make_service(port=free_port)
    with pytest.raises(ServiceUnavailable, match=f"localhost:{free_port}.*REDIS_HOST"):
        service.poke()


def test_a_host_that_does_not_exist_is_named(make_service: MakeService) -> None:
    error = failure(make_service(host="nowhere.invalid"))
    assert "nowhere.invalid:6379" in str(error)
    assert "only on a loopback host" in str(error)


def test_a_url_to_nowhere_names_its_own_variable(make_service: MakeService, free_port: int) -> None:
    error = failure(make_service(url=f"redis://user:{PASSWORD}@127.0.0.1:{free_port}/0"))
    assert "REDIS_URL" in str(error)
    assert PASSWORD not in shown(error)


def test_a_socket_that_does_not_exist_is_named(make_service: MakeService) -> None:
    error = failure(make_service(unix_socket_path="/nonexistent/redis.sock"))
    assert "/nonexistent/redis.sock" in str(error)
    assert "REDIS_CONFIG.unix_socket_path" in str(error)


def test_a_wrong_password_is_not_shown(
    make_redis: Callable[..., RedisServer], make_service: MakeService
) -> None:
    server = make_redis(password=PASSWORD)
    error = failure(make_service(port=server.port, password="wrong-" + PASSWORD))
    assert isinstance(error, ServiceUnavailable)
    assert "refuses the password" in str(error)
    assert "REDIS_CONFIG.password" in str(error)
    assert PASSWORD not in shown(error)


def test_a_wrong_password_in_a_url_is_not_shown(
    make_redis: Callable[..., RedisServer], make_service: MakeService
) -> None:
    server = make_redis(password=PASSWORD)
    error = failure(make_service(url=f"redis://:wrong-{PASSWORD}@127.0.0.1:{server.port}/0"))
    assert "refuses the password" in str(error)
    assert PASSWORD not in shown(error)


def test_a_missing_password_is_asked_for(
    make_redis: Callable[..., RedisServer], make_service: MakeService
) -> None:
    error = failure(make_service(port=make_redis(password=PASSWORD).port))
    assert "wants a password and none is set" in str(error)


def test_a_database_that_the_server_does_not_have_is_named(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    error = failure(make_service(port=redis_server.port, db=99))
    assert "has no database 99" in str(error)
    assert "REDIS_DB" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"\x00\xff\xfe\r\n",
        b"$notanumber\r\n",
        b"+OK\r\n",
        b":12\r\n",
    ],
)
def test_something_else_on_the_port_is_recognised(reply: bytes, make_service: MakeService) -> None:
    with Imposter(reply) as imposter:
        error = failure(make_service(host="127.0.0.1", port=imposter.port))
    assert isinstance(error, ServiceUnavailable)
    assert f"What answers at 127.0.0.1:{imposter.port} is not a Redis" in str(error)
    assert "REDIS_PORT" in str(error)


def test_a_port_that_hangs_up_may_be_something_else(make_service: MakeService) -> None:
    with Imposter(hang_up=True) as imposter:
        error = failure(make_service(host="127.0.0.1", port=imposter.port))
    assert isinstance(error, ServiceUnavailable)
    assert "closed the connection" in str(error)


def test_a_port_that_never_answers_costs_its_timeout(make_service: MakeService) -> None:
    with Imposter() as imposter:
        error = failure(make_service(host="127.0.0.1", port=imposter.port, socket_timeout=0.2))
    assert isinstance(error, DeadlineExceeded)
    assert "REDIS_CONFIG.socket_timeout" in str(error)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "still loading"),
        (b"-ERR max number of clients reached\r\n", "maxclients"),
        (b"-DENIED Redis is running in protected mode\r\n", "protected mode"),
    ],
)
def test_a_redis_that_cannot_be_used_yet_says_why(
    reply: bytes, words: str, make_service: MakeService
) -> None:
    with Imposter(reply) as imposter:
        error = failure(make_service(host="127.0.0.1", port=imposter.port))
    assert isinstance(error, ServiceUnavailable)
    assert words in str(error)


def test_an_old_server_that_repeats_the_password_is_not_quoted(make_service: MakeService) -> None:
    reply = (
        f"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `{PASSWORD}`\r\n"
    )
    with Imposter(reply.encode()) as imposter:
        error = failure(make_service(host="127.0.0.1", port=imposter.port, password=PASSWORD))
    assert "unknown command" in str(error)
    assert PASSWORD not in shown(error)


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ({"max_conections": 5}, "Did you mean 'max_connections'"),
        ({"port": 5}, "set REDIS_CONFIG.port itself"),
        ({"decode_responses": False}, "cannot be set"),
    ],
)
def test_a_client_argument_that_cannot_be_is_refused(
    client: dict[str, Any], words: str, make_service: MakeService
) -> None:
    error = failure(make_service(client=client))
    assert isinstance(error, ConfigError)
    assert words in str(error)


def test_an_unknown_option_of_the_url_is_refused(make_service: MakeService) -> None:
    error = failure(make_service(url="redis://localhost/0?socket_timeot=3"))
    assert isinstance(error, ConfigError)
    assert "Did you mean 'socket_timeout'" in str(error)


def test_tls_to_a_plain_server_fails_within_the_timeout(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    error = failure(make_service(port=redis_server.port, ssl=True, socket_timeout=0.3))
    assert isinstance(error, ServiceUnavailable)
    assert "REDIS_CONFIG.ssl" in str(error)
