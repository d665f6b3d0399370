"""Row 6: `run()` hangs, on the machine's own clock.

The service is FAILED at its `start_timeout`, what it returns late is discarded, others start meanwhile, and
the stop does not wait for it.
"""

from __future__ import annotations

import threading
import time

import pytest

from jsorc.daemons import Call
from jsorc.errors import DeadlineExceeded, ServiceUnavailable
from tests.services import LONG, Listener, Recorded, orchestrator_with, recorded

pytestmark = pytest.mark.alone

START_TIMEOUT = 0.5
SLACK = 0.7


def test_it_fails_in_time_and_others_start_meanwhile() -> None:
    hanging, gate = threading.Event(), threading.Event()

    def run(service: Recorded) -> None:
        hanging.set()
        gate.wait(LONG)
        service.app = "late"

    listener = Listener()
    cls = recorded(run=run)
    orchestrator = orchestrator_with(
        {"stuck": cls, "healthy": recorded()},
        stuck={"start_timeout": START_TIMEOUT},
        JSORC_CONFIG={"control": False},
    )
    orchestrator.listen(listener)
    began = time.monotonic()
    starting = Call(orchestrator.start, name="start")
    assert hanging.wait(LONG)
    listener.await_state("healthy", "RUNNING")
    listener.await_state("stuck", "FAILED")
    assert START_TIMEOUT <= time.monotonic() - began < START_TIMEOUT + SLACK
    assert starting.wait(LONG)
    assert orchestrator.svc("healthy").poke() == "app 1"
    stuck = orchestrator.svc("stuck")
    assert isinstance(stuck.error, DeadlineExceeded)
    # No attempt begins beside the thread that hangs, however often one is due or asked for.
    assert orchestrator.regenerate()
    assert cls.journal.count("run") == 1
    gate.set()
    assert stuck._attempt is not None
    assert stuck._attempt.wait(LONG)
    assert stuck.app is None
    with pytest.raises(ServiceUnavailable):
        stuck.poke()
    orchestrator.stop()


def test_a_stop_does_not_wait_for_it() -> None:
    hanging, gate = threading.Event(), threading.Event()

    def run(_: Recorded) -> None:
        hanging.set()
        gate.wait(LONG)

    cls = recorded(run=run)
    orchestrator = orchestrator_with({"stuck": cls}, JSORC_CONFIG={"control": False})
    starting = Call(orchestrator.start, name="start")
    assert hanging.wait(LONG)
    began = time.monotonic()
    assert orchestrator.stop() == []
    assert starting.wait(LONG)
    assert time.monotonic() - began < 1 + SLACK
    assert cls.journal.count("on_delete") == 1
    gate.set()
