"""The service on a real server: what it connects to, what it shows, and what it closes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from jsorc.errors import DeadlineExceeded, ServiceUnavailable
from jsorc_redis.service import RedisService
from tests.servers import RedisServer

MakeService = Callable[..., RedisService]


def test_the_app_is_the_client_of_redis_py_itself(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    client = make_service(port=redis_server.port).poke()
    assert type(client) is redis.Redis
    client.set("greeting", "hello")
    assert client.get("greeting") == "hello"


def test_a_password_opens_the_door(make_redis: Callable[..., RedisServer], make_service: MakeService) -> None:
    server = make_redis(password="hunter22")
    assert make_service(port=server.port, password="hunter22").poke().ping()


def test_a_url_is_enough(make_redis: Callable[..., RedisServer], make_service: MakeService) -> None:
    server = make_redis(password="hunter22")
    service = make_service(host="nowhere.invalid", url=server.url)
    assert service.poke().ping()
    assert service.details()["address"] == f"127.0.0.1:{server.port}"


def test_the_database_is_the_one_that_was_asked_for(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    make_service(port=redis_server.port, db=3).poke().set("here", "1")
    assert make_service(port=redis_server.port, db=3).poke().exists("here")
    assert not make_service(port=redis_server.port).poke().exists("here")


def test_a_unix_socket_is_spoken_to(
    make_redis: Callable[..., RedisServer], make_service: MakeService, tmp_path: Path
) -> None:
    path = str(tmp_path / "redis.sock")
    make_redis(config={"unixsocket": path})
    for config in ({"unix_socket_path": path}, {"url": f"unix://{path}?db=2"}):
        service = make_service(**config)
        assert service.poke().ping()
        assert service.details()["address"] == path


def test_further_arguments_reach_the_client(redis_server: RedisServer, make_service: MakeService) -> None:
    client = make_service(port=redis_server.port, client={"client_name": "ledger"}).poke()
    assert client.client_getname() == "ledger"


def test_every_call_has_a_deadline_and_is_made_once(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    service = make_service(port=redis_server.port, socket_timeout=0.3)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="did not answer in time"):
            service.ping()
        assert time.monotonic() - began < 1.5  # the client's own retries would make it 26 times the timeout
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    service.ping()


def test_a_probe_notices_that_the_server_is_gone(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    service = make_service(port=redis_server.port)
    service.ping()
    redis_server.kill()
    with pytest.raises(ServiceUnavailable, match=f"localhost:{redis_server.port}"):
        service.ping()


def test_a_probe_works_again_when_the_server_does(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    service = make_service(port=redis_server.port)
    redis_server.kill()
    redis_server.start()
    service.ping()


def test_its_details_name_the_address_and_the_server(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    details = make_service(port=redis_server.port, db=2).details()
    assert details["address"] == f"localhost:{redis_server.port}"
    assert details["db"] == 2
    assert details["server"].split()[0] in {"Redis", "Valkey"}
    # Nobody started it here, so whatever an embedded server may have left on this port is not shown.
    assert "data_dir" not in details


def test_a_user_who_may_not_ask_for_the_version_is_served_all_the_same(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    with redis.Redis(port=redis_server.port) as admin:
        admin.execute_command(
            "ACL", "SETUSER", "clerk", "on", ">hunter22", "~*", "+@all", "-info", "-@dangerous"
        )
    service = make_service(port=redis_server.port, username="clerk", password="hunter22")
    assert service.poke().ping()
    assert "server" not in service.details()


def test_a_service_that_is_dropped_closes_its_connections(
    redis_server: RedisServer, make_service: MakeService
) -> None:
    service = make_service(port=redis_server.port, client={"client_name": "leaver"})
    with redis.Redis(port=redis_server.port, decode_responses=True) as observer:
        names = [client["name"] for client in observer.client_list()]
        assert "leaver" in names
        service.on_delete()
        deadline = time.monotonic() + 5
        while "leaver" in [client["name"] for client in observer.client_list()]:
            assert time.monotonic() < deadline, "the connection is still open"


@pytest.mark.parametrize("method", ["failed", "on_delete"])
def test_closing_twice_does_nothing(
    method: str, redis_server: RedisServer, make_service: MakeService
) -> None:
    service = make_service(port=redis_server.port)
    getattr(service, method)()
    getattr(service, method)()


def test_a_service_that_never_connected_says_so_when_probed(
    make_service: MakeService, free_port: int
) -> None:
    service = make_service(port=free_port)
    with pytest.raises(ServiceUnavailable, match="has not been connected to"):
        service.ping()
