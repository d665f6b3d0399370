"""The example application on a real Redis: an order outlives the worker that packs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import RedisServer
from tests.task.orchestrators import eventually

SHOP = Path(__file__).parents[2] / "examples" / "shop.py"


class Shop:
    """The open shop, as its user sees it."""

    def __init__(self, port: int, log: Path) -> None:
        self.variables = {**os.environ, "REDIS_PORT": str(port), "SHOP_PACKING": "6"}
        self._log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(SHOP), "open"], env=self.variables, stdin=subprocess.PIPE, stdout=output
            )

    def said(self) -> list[str]:
        return self._log.read_text().splitlines()

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        command: list[str] = [sys.executable, str(SHOP), *arguments]
        return subprocess.Popen(command, env=self.variables, stdout=subprocess.PIPE, text=True)

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)


@pytest.fixture
def shop(redis_server: RedisServer, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(redis_server.port, tmp_path / "shop.log")
    yield shop
    if shop.process.poll() is None:
        shop.process.kill()
        shop.process.wait()


def active(port: int) -> int:
    """The process that packs an order, 0 while nothing is packed."""
    from celery import Celery

    url = f"redis://127.0.0.1:{port}/0"
    app: Any = Celery(broker=url, set_as_current=False)
    with app.connection_for_write() as connection:
        tasks = app.control.inspect(timeout=2, connection=connection, limit=1).active() or {}
    return next(
        (task["worker_pid"] for found in tasks.values() for task in found if "pack" in task["name"]), 0
    )


def test_an_order_is_packed_although_its_worker_is_killed_in_the_middle(
    shop: Shop, redis_server: RedisServer
) -> None:
    [opened] = eventually(lambda: [line for line in shop.said() if line.startswith("open, worker ")])
    worker = int(opened.split()[-1])
    order = shop.run("order", "7")
    packer = eventually(lambda: active(redis_server.port))
    os.kill(worker, signal.SIGKILL)
    said, _ = order.communicate(timeout=60)
    assert said.splitlines() == ["ordered 7", "order 7 is packed"]
    assert any(line.startswith("task FAILED") for line in shop.said())

    def orders() -> list[str]:
        listed, _ = shop.run("orders").communicate(timeout=30)
        return listed.splitlines() if "counted 1" in listed else []

    [line, counted] = eventually(orders)  # counted by the schedule
    assert line.startswith("order 7, packed by ")
    assert int(line.split()[-1]) != packer
    assert counted == "counted 1"
    assert shop.close() == 0
