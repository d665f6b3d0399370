"""Row 5: a service that always fails to start, for 1,000 attempts on a clock that the test moves.

The attempts follow the backoff, for ever, and leave nothing behind.
"""

from __future__ import annotations

import gc
import itertools
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from jsorc import CommonService, Orchestrator
from jsorc.testing.clock import FakeClock
from tests.services import LONG

ATTEMPTS = 1_000
WARM = 200
BASE, CAP = 1.0, 60.0


class Hopeless(CommonService[Any]):
    """Fails at every start, with a socket pair and a daemon in its hands."""

    began: list[float]

    def run(self) -> None:
        self.began.append(self.clock.monotonic())
        self.spawn_daemon(reader=lambda stop: stop.wait(LONG))
        raise ConnectionRefusedError("the server is not there")

    def failed(self) -> None:
        self.terminate_daemon("reader")

    def on_delete(self) -> None:
        """Comes when the next attempt replaces this one."""


def figures() -> dict[str, int]:
    gc.collect()
    return {
        "threads": threading.active_count(),
        "handles": len(list(Path("/proc/self/fd").glob("*"))),  # none where there is no /proc
        "objects": len(gc.get_objects()),
    }


def attempt(orchestrator: Orchestrator, clock: FakeClock, failures: int) -> float:
    """Waits until so many failures are noted and nothing of the attempt goes on; when the next is due."""
    slot = orchestrator._supervisor.slot("hopeless")
    assert slot is not None
    pause = threading.Event()
    for _ in range(int(LONG / 0.001)):
        is_over = slot.starting is None and orchestrator._regenerator._is_idle("hopeless")
        if slot.backoff.failures == failures and is_over:
            assert slot.backoff.due is not None  # read last: before, it may be the one that has passed
            return slot.backoff.due
        pause.wait(0.001)  # real time passes for the threads; the clock stands
    raise AssertionError(f"attempt {failures} did not end")


@pytest.mark.timeout(240)
def test_attempts_follow_the_backoff_and_leave_nothing_behind(
    clock: FakeClock, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "jsorc")  # pytest would keep every line
    began: list[float] = []
    orchestrator = Orchestrator(discover=False, environ={}, clock=clock)
    orchestrator.service("hopeless", config="HOPELESS_CONFIG")(
        type("Hopeless", (Hopeless,), {"began": began})
    )
    orchestrator.configure(HOPELESS_CONFIG={"automated": True}, JSORC_CONFIG={"control": False})
    orchestrator.start()
    warm: dict[str, int] = {}
    dues: list[float] = []
    try:
        for number in range(1, ATTEMPTS):
            due = attempt(orchestrator, clock, number)
            if number == WARM:
                warm = figures()
            dues.append(due)
            clock.advance(due - clock.monotonic())
        attempt(orchestrator, clock, ATTEMPTS)
        after = figures()
    finally:
        orchestrator.stop()
    assert len(began) == ATTEMPTS
    for number, (before, at) in enumerate(itertools.pairwise(began)):
        delay = min(CAP, BASE * 2.0**number)
        assert delay / 2 - 1e-6 <= at - before <= delay + 1e-6, f"attempt {number + 2}"
    assert began[1:] == pytest.approx(dues)
    with capsys.disabled():
        print(f"\nafter {WARM} attempts: {warm}; after {ATTEMPTS}: {after}")
    assert after["threads"] <= warm["threads"] + 2  # such as one that has just done its work
    assert after["handles"] <= warm["handles"] + 1
    # Each attempt adds a time to either list of this test, which is no object of its own to the collector.
    assert after["objects"] <= warm["objects"] + 100
