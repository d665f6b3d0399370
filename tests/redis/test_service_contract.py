"""RedisService passes the suite that every service passes, on a real server with a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jsorc.testing import ServiceContract
from jsorc_redis.service import RedisService
from tests.servers import RedisServer


class TestRedisService(ServiceContract):
    service_class = RedisService

    @pytest.fixture(autouse=True)
    def server(self, make_redis: Callable[..., RedisServer]) -> None:
        self.redis = make_redis(password="hunter22-of-redis")

    def make_config(self) -> dict[str, Any]:
        # The name in place of the loopback address, so that nothing but the test starts a server again.
        return {"host": "127.0.0.1", "port": self.redis.port, "password": self.redis.password}

    def stop_server(self) -> None:
        self.redis.kill()

    def start_server(self) -> None:
        self.redis.start()
