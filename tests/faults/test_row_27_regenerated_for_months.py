"""Row 27: 1,000 regenerations of 10 services; threads, file descriptors and memory level off.

Each attempt opens a pair of sockets, starts a daemon and fails, so that what is not given back shows.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from jsorc import CommonService
from tests.services import orchestrator_with

SERVICES = 10
REGENERATIONS = 1_000
WARM = 200


class Leaky(CommonService[Any]):
    """Fails at every start with its hands full."""

    sockets: tuple[socket.socket, ...] = ()

    def run(self) -> None:
        self.sockets = socket.socketpair()
        self.spawn_daemon(reader=self.read)
        self.app = self.sockets
        raise ConnectionRefusedError("the server is not there")

    def read(self, stop: threading.Event) -> None:
        stop.wait(60)

    def failed(self) -> None:
        self.terminate_daemon("reader")
        for each in self.sockets:
            each.close()


def figures() -> dict[str, int]:
    """What must not grow: threads, descriptors, and memory of this process in kilobytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "kilobytes": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
    }


@pytest.mark.timeout(180)
def test_a_thousand_regenerations_of_ten_services_leave_nothing_behind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    classes = {f"leaky{number}": type("Leaky", (Leaky,), {}) for number in range(SERVICES)}
    orchestrator = orchestrator_with(classes)
    logging.disable(logging.WARNING)  # pytest would keep the record of each of ten thousand failures
    try:
        for _ in range(WARM):
            assert orchestrator.regenerate()
        warm = figures()
        for _ in range(REGENERATIONS - WARM):
            assert orchestrator.regenerate()
        after = figures()
        attempts = [service["attempts"] for service in orchestrator.info()["services"].values()]
    finally:
        logging.disable(logging.NOTSET)
        orchestrator.stop()
    with capsys.disabled():
        print(f"\nafter {WARM} regenerations: {warm}; after {REGENERATIONS}: {after}")
    assert min(attempts) >= REGENERATIONS
    assert after["threads"] <= warm["threads"] + 2
    assert after["descriptors"] <= warm["descriptors"] + 2
    assert after["kilobytes"] <= warm["kilobytes"] + 4_096
