"""TaskService does what every service does, on a real Redis."""

from __future__ import annotations

from typing import Any

import pytest

from jsorc.testing import ServiceContract
from jsorc_task.service import TaskService
from tests.servers import RedisServer

PASSWORD = "correct-horse-battery"


class Contract(ServiceContract):
    service_class = TaskService

    role: str

    @pytest.fixture(autouse=True)
    def server(self, make_redis: Any) -> None:
        self.redis: RedisServer = make_redis(password=PASSWORD)

    def make_config(self) -> dict[str, Any]:
        return {
            "broker_url": self.redis.url,
            "role": self.role,
            "pool": "threads",
            "ping_timeout": 10.0,
            "ping_interval": 1.0,
            "celery": {"redbeat_lock_key": "a-name-and-no-secret"},
        }

    def stop_server(self) -> None:
        self.redis.kill()

    def start_server(self) -> None:
        self.redis.start()


class TestClient(Contract):
    role = "client"


class TestWorker(Contract):
    role = "worker"
