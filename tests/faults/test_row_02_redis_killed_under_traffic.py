"""Row 2: Redis is killed while threads read and write through the hook.

It is noticed within a second of the first error, and every call ends: with an answer or ServiceUnavailable.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from jsorc import Orchestrator
from jsorc.errors import ServiceUnavailable
from tests.faults.conftest import server_pid
from tests.services import LONG, Listener

pytestmark = pytest.mark.alone

THREADS = 4
TIMEOUT = 2.0
NOTICED_WITHIN = 1.0


class Traffic:
    """Threads that write and read one object each, and what they met."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.done = threading.Semaphore(0)
        self.failed = threading.Event()
        self.first_error = 0.0
        self.slowest = 0.0
        self.surprises: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            began = time.monotonic()
            try:
                with self._orchestrator.src("hook") as unit:
                    unit.save_obj(f"thread:{number}", turn)
                assert self._orchestrator.src("hook").get_obj(f"thread:{number}") == turn
                self.done.release()
            except ServiceUnavailable:
                with self._lock:
                    self.first_error = self.first_error or time.monotonic()
                self.failed.set()
            except BaseException as error:
                self.surprises.append(error)
                return
            self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive(), "a call hangs"


def test_it_is_noticed_within_a_second_and_no_call_hangs(make_embedded: Callable[..., Orchestrator]) -> None:
    listener = Listener()
    orchestrator = make_embedded()
    orchestrator.start()
    orchestrator.listen(listener)
    noticed: list[float] = []
    fail = orchestrator.svc("redis")._fail

    def noticing(error: BaseException) -> bool:
        noticed.append(time.monotonic())
        return fail(error)

    orchestrator.svc("redis")._fail = noticing  # type: ignore[method-assign]
    traffic = Traffic(orchestrator)
    for _ in range(100):
        assert traffic.done.acquire(timeout=LONG)
    os.kill(server_pid(orchestrator), signal.SIGKILL)
    assert traffic.failed.wait(LONG)
    listener.await_state("redis", "FAILED")
    assert noticed[0] - traffic.first_error < NOTICED_WITHIN
    listener.await_state("redis", "RUNNING")
    while traffic.done.acquire(blocking=False):
        pass
    for _ in range(100):
        assert traffic.done.acquire(timeout=LONG), "traffic does not go on"
    traffic.stop()
    assert traffic.surprises == []
    assert traffic.slowest < 2 * TIMEOUT + 1  # a unit makes two calls
