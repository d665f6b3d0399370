"""Row 9: regeneration is triggered fifty times while one goes on: one pass, and the others return at once."""

from __future__ import annotations

import threading
import time

import pytest

from jsorc.daemons import Call
from tests.services import LONG, Recorded, ask_from_threads, orchestrator_with, recorded

pytestmark = pytest.mark.alone

TRIGGERS = 50


def test_there_is_one_pass_and_the_others_return_false_at_once() -> None:
    passing, gate = threading.Event(), threading.Event()

    def run(service: Recorded) -> None:
        if service.journal.count("run") == 1:
            raise ConnectionRefusedError("the server is not there")
        passing.set()
        gate.wait(LONG)
        service.app = "there"

    cls = recorded(run=run)
    orchestrator = orchestrator_with({"thing": cls}, JSORC_CONFIG={"control": False})
    orchestrator.start()
    # By hand or by the backoff, whichever is faster: it is one attempt.
    first = Call(orchestrator.regenerate, name="regenerate")
    assert passing.wait(LONG)
    began = time.monotonic()
    assert ask_from_threads(TRIGGERS, orchestrator.regenerate) == [False] * TRIGGERS
    assert time.monotonic() - began < 1
    gate.set()
    assert first.wait(LONG)
    assert cls.journal.count("run") == 2
    assert orchestrator.svc("thing").poke() == "there"
    orchestrator.stop()
