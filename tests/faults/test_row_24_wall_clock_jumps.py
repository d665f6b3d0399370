"""Row 24: the wall clock jumps an hour forwards and back, by functions in place of those of `time`.

Neither probes nor passes nor attempts take notice.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from tests.services import LONG, Listener, Recorded, orchestrator_with, recorded

pytestmark = pytest.mark.alone

HOUR = 3600.0
INTERVAL = 0.2
SLACK = 0.5
PROBES = 12


class WallClock:
    """The functions of `time` that tell the hour, shifted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shift = 0.0
        real, real_ns = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: real() + self.shift)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(self.shift * 1e9))


def test_no_probe_storm_and_no_missed_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = WallClock(monkeypatch)
    probes: list[float] = []
    passes: list[float] = []
    enough = threading.Event()

    def ping(_: Recorded) -> None:
        probes.append(time.monotonic())
        wall.shift = next(jumps)
        if len(probes) == PROBES:
            enough.set()

    jumps = itertools.cycle([HOUR, -HOUR, 0.0])
    orchestrator = orchestrator_with(
        {"thing": recorded(ping=ping)},
        thing={"ping_interval": INTERVAL},
        JSORC_CONFIG={"backoff_interval": INTERVAL, "control": False},
    )
    orchestrator._stored.refresh = _noting(orchestrator._stored.refresh, passes)  # type: ignore[method-assign]
    orchestrator.start()
    began = len(passes)
    assert enough.wait(LONG)
    orchestrator.stop()
    assert_regular(probes)
    assert_regular(passes[began:])
    assert len(passes) - began >= PROBES // 2
    assert orchestrator.settings.core().backoff_interval == INTERVAL


def _noting(function: Callable[[], bool], times: list[float]) -> Callable[[], bool]:
    def call() -> bool:
        times.append(time.monotonic())
        return function()

    return call


def assert_regular(times: list[float]) -> None:
    """Neither sooner than the interval nor much later."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) > INTERVAL * 0.7, gaps
    assert max(gaps) < INTERVAL + SLACK, gaps


def test_attempts_and_deadlines_keep_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = WallClock(monkeypatch)
    began: list[float] = []

    def run(service: Recorded) -> None:
        began.append(time.monotonic())
        wall.shift = HOUR if len(began) % 2 else -HOUR
        if len(began) < 3:
            raise ConnectionRefusedError("the server is not there")
        service.app = "there"

    listener = Listener()
    orchestrator = orchestrator_with({"thing": recorded(run=run)}, JSORC_CONFIG={"control": False})
    orchestrator.listen(listener)
    orchestrator.start()
    listener.await_state("thing", "RUNNING")
    orchestrator.stop()
    first, second = (later - earlier for earlier, later in itertools.pairwise(began))
    assert 0.5 <= first <= 1 + SLACK
    assert 1 <= second <= 2 + SLACK
