"""Listeners hear every change of state once and in order, and delay nobody."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from jsorc import events, hookimpl
from jsorc.daemons import Call
from jsorc.events import Announcer
from jsorc.service import ServiceState
from jsorc.testing.clock import FakeClock
from tests.services import LONG, Listener, ask_from_threads, boom, orchestrator_with, recorded

STARTED, RUNNING = ServiceState.STARTED, ServiceState.RUNNING


class Slow:
    def __init__(self, gate: threading.Event) -> None:
        self.gate = gate

    @hookimpl
    def jsorc_state_changed(self, service: Any) -> None:
        self.gate.wait(LONG)


class Failing:
    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.told = 0

    @hookimpl
    def jsorc_state_changed(self) -> None:
        self.told += 1
        raise self.error


def test_every_change_is_told_once_and_in_order() -> None:
    listener = Listener()
    orchestrator = orchestrator_with({"thing": recorded()})
    orchestrator.listen(listener)
    orchestrator.svc("thing")
    orchestrator.svc_reset("thing")
    orchestrator.stop()
    assert (
        listener.changes
        == [
            ("thing", "NOT_STARTED", "STARTED"),
            ("thing", "STARTED", "RUNNING"),
            ("thing", "RUNNING", "NOT_STARTED"),
        ]
        * 2
    )


def test_a_failure_is_told_with_its_error() -> None:
    listener = Listener()
    orchestrator = orchestrator_with({"thing": recorded(run=boom)})
    orchestrator.listen(listener)
    orchestrator.svc("thing")
    orchestrator.stop()
    assert listener.states("thing") == ["STARTED", "FAILED"]
    assert listener.errors[0] is None
    assert str(listener.errors[1]) == "boom"


def test_settings_that_do_not_fit_are_told_as_a_failure() -> None:
    listener = Listener()
    orchestrator = orchestrator_with({"thing": recorded()}, thing={"start_timeout": -1})
    orchestrator.listen(listener)
    orchestrator.svc("thing")
    orchestrator.stop()
    assert listener.changes == [("thing", "NOT_STARTED", "FAILED")]


def test_many_services_that_start_at_once_are_each_told_in_order() -> None:
    listener = Listener()
    names = [f"thing{number}" for number in range(20)]
    orchestrator = orchestrator_with(dict.fromkeys(names, recorded()))
    orchestrator.listen(listener)
    left = iter(names)
    lock = threading.Lock()

    def ask() -> None:
        with lock:
            name = next(left)
        orchestrator.svc(name)

    ask_from_threads(20, ask)
    orchestrator.stop()
    assert len(listener.changes) == 60
    for name in names:
        assert listener.states(name) == ["STARTED", "RUNNING", "NOT_STARTED"]


def test_a_listener_that_hangs_delays_neither_services_nor_other_listeners(gate: threading.Event) -> None:
    listener = Listener()
    orchestrator = orchestrator_with({"thing": recorded()})
    orchestrator.listen(Slow(gate))
    orchestrator.listen(listener)
    starting = Call(lambda: orchestrator.svc("thing"), name="start")
    assert starting.wait(LONG)
    listener.await_state("thing", "RUNNING")


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(3)])
def test_a_listener_that_fails_is_logged_and_hears_the_next_change(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    failing, listener = Failing(error), Listener()
    orchestrator = orchestrator_with({"thing": recorded()})
    orchestrator.listen(failing, "the-failing-one")
    orchestrator.listen(listener)
    orchestrator.svc("thing")
    orchestrator.stop()
    assert failing.told == 3
    assert listener.states("thing") == ["STARTED", "RUNNING", "NOT_STARTED"]
    assert "listener the-failing-one failed on NOT_STARTED -> STARTED" in caplog.text


def test_a_close_waits_for_slow_listeners_only_so_long(
    clock: FakeClock, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    telling = threading.Event()

    def slow(**_: object) -> None:
        telling.set()
        gate.wait(LONG)

    announcer = Announcer(lambda: [("slow", slow)], clock)
    announcer.announce(recorded()({}), STARTED, RUNNING, None)
    assert telling.wait(LONG)
    closing = Call(lambda: announcer.close(1.0), name="close")
    clock.await_waiters()
    clock.advance(1)
    assert closing.wait(LONG)
    assert "listener slow did not hear all changes" in caplog.text


def test_a_listener_that_is_far_behind_loses_the_oldest_changes_and_the_log_says_so(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "BACKLOG", 10)
    heard: list[object] = []
    telling = threading.Event()

    def slow(error: object, **_: object) -> None:
        telling.set()
        gate.wait(LONG)
        heard.append(str(error))

    announcer = Announcer(lambda: [("slow", slow)])
    service = recorded()({})
    for number in range(31):
        announcer.announce(service, STARTED, RUNNING, ValueError(number))
        assert telling.wait(LONG)  # it has taken the first
    gate.set()
    announcer.close(LONG)
    assert heard == ["0", *map(str, range(21, 31))]
    messages = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(messages) == 1
