"""The interval pass and regeneration by hand: what died or failed is tried again, by a moved clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from jsorc import Orchestrator
from jsorc.daemons import Call
from jsorc.testing.clock import FakeClock
from tests.services import (
    LONG,
    Listener,
    Recorded,
    ask_from_threads,
    boom,
    due_in,
    fails,
    recorded,
)

pytestmark = pytest.mark.usefixtures("clock")

Make = Callable[..., Orchestrator]


def test_a_service_that_dies_is_started_again(make: Make, clock: FakeClock) -> None:
    dead = threading.Event()

    def ping(service: Recorded) -> None:
        if dead.is_set() and len(service.made) == 1:
            raise ConnectionResetError("gone")

    listener = Listener()
    orchestrator = make({"thing": recorded(ping=ping)})
    orchestrator.listen(listener)
    orchestrator.start()
    dead.set()
    clock.advance(10)
    listener.await_state("thing", "FAILED")
    while not orchestrator._supervisor.failing:
        pass  # it is noted an instant after
    clock.advance(due_in(orchestrator, clock, "thing"))
    listener.await_state("thing", "RUNNING", count=2)
    assert listener.states("thing") == ["STARTED", "RUNNING", "FAILED", "STARTED", "RUNNING"]


def test_a_dependent_waits_for_what_it_needs_and_starts_as_soon_as_that_runs(
    make: Make, clock: FakeClock
) -> None:
    listener = Listener()
    top = recorded()
    orchestrator = make({"base": recorded(run=fails(3))}, TOP_CONFIG={"automated": True})
    orchestrator.service("top", config="TOP_CONFIG", needs=["base"])(top)
    orchestrator.listen(listener)
    orchestrator.start()
    for attempt in range(2, 5):
        clock.advance(due_in(orchestrator, clock, "base"))
        listener.await_state("base", "STARTED", count=attempt)
        if attempt < 4:
            listener.await_state("base", "FAILED", count=attempt)
            _noted(orchestrator, "base", attempt)
    listener.await_state("top", "RUNNING")
    assert listener.states("top") == ["STARTED", "FAILED", "STARTED", "RUNNING"]


def _noted(orchestrator: Orchestrator, name: str, failures: int) -> None:
    slot = orchestrator._supervisor.slot(name)
    assert slot is not None
    while slot.backoff.failures < failures:
        pass  # it is noted an instant after the state is told


def test_a_preloaded_service_that_is_not_automated_is_tried_again_too(make: Make, clock: FakeClock) -> None:
    listener = Listener()
    orchestrator = make(
        {"thing": recorded(run=fails(1))},
        thing={"automated": False},
        JSORC_CONFIG={"pre_loaded_services": ["thing"]},
    )
    orchestrator.listen(listener)
    orchestrator.start()
    clock.advance(due_in(orchestrator, clock, "thing"))
    listener.await_state("thing", "RUNNING")


def test_settings_that_were_mended_bring_a_service_up(make: Make, clock: FakeClock) -> None:
    listener = Listener()
    orchestrator = make({"thing": recorded()}, thing={"ping_failures": "many"})
    orchestrator.listen(listener)
    orchestrator.start()
    orchestrator.configure(THING_CONFIG={"ping_failures": 3})
    clock.advance(due_in(orchestrator, clock, "thing"))
    listener.await_state("thing", "RUNNING")


@pytest.mark.parametrize("asked", [False, True], ids=["never asked for", "asked for while it was off"])
def test_a_service_that_is_enabled_later_is_begun_at_the_next_pass(
    asked: bool, make: Make, clock: FakeClock
) -> None:
    listener = Listener()
    orchestrator = make({"thing": recorded()}, thing={"enabled": False})
    orchestrator.listen(listener)
    orchestrator.start()
    if asked:
        assert not orchestrator.svc("thing").is_running()
    orchestrator.configure(THING_CONFIG={"enabled": True})
    clock.await_waiters()
    clock.advance(10)
    listener.await_state("thing", "RUNNING")


def test_the_pass_survives_an_interval_that_makes_no_sense(
    make: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    orchestrator = make({"thing": recorded(run=fails(1))})
    orchestrator.listen(listener)
    orchestrator.start()
    orchestrator.configure(JSORC_CONFIG={"backoff_interval": -3})
    clock.advance(10)
    _noted(orchestrator, "thing", 2)
    assert orchestrator.alive()
    orchestrator.configure(JSORC_CONFIG={"backoff_interval": 3})
    clock.advance(due_in(orchestrator, clock, "thing"))
    listener.await_state("thing", "RUNNING")
    assert caplog.text.count("the interval is 10 s until this is mended") == 1


def test_a_class_that_cannot_be_imported_is_tried_at_each_pass_and_stops_no_other(
    make: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    from jsorc.registration import Registration

    orchestrator = make({"thing": recorded()}, LATE_CONFIG={"automated": True})
    orchestrator._registry.add(Registration("service", "late", "no_such_module:Late", config="LATE_CONFIG"))
    orchestrator.start()
    assert orchestrator.svc("thing").is_running()
    assert orchestrator.ready().waiting == ("late",)
    assert "no_such_module" in caplog.text


# Regeneration by hand


def test_regenerate_brings_up_what_failed_whatever_the_backoff_says(make: Make) -> None:
    cls = recorded(run=fails(1))
    orchestrator = make({"thing": cls})
    orchestrator.start()
    assert orchestrator.svc("thing").has_failed()
    assert orchestrator.regenerate() is True
    assert orchestrator.svc("thing").is_running()


def test_regenerate_leaves_what_runs_alone(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls})
    orchestrator.start()
    assert orchestrator.regenerate() is True
    assert cls.journal.count("run") == 1


def test_regenerate_while_a_pass_goes_on_returns_false_at_once(make: Make, gate: threading.Event) -> None:
    running = threading.Event()

    def run(service: Recorded) -> None:
        if service.journal.count("run") == 1:
            raise ConnectionError("nobody there")
        running.set()
        gate.wait(LONG)
        service.app = "app"

    cls = recorded(run=run)
    orchestrator = make({"thing": cls})
    orchestrator.start()
    passing = Call(orchestrator.regenerate, name="pass")
    assert running.wait(LONG)
    assert ask_from_threads(50, orchestrator.regenerate) == [False] * 50
    gate.set()
    assert passing.wait(LONG)
    assert passing.result() is True
    assert cls.journal.count("run") == 2


def test_regenerate_during_the_start_returns_false(make: Make, gate: threading.Event) -> None:
    running = threading.Event()

    def run(service: Recorded) -> None:
        running.set()
        gate.wait(LONG)
        service.app = "app"

    orchestrator = make({"thing": recorded(run=run)})
    starting = Call(orchestrator.start, name="start")
    assert running.wait(LONG)
    assert orchestrator.regenerate() is False
    gate.set()
    assert starting.wait(LONG)


# Asking


def test_a_second_start_returns_at_once(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls})
    orchestrator.start()
    orchestrator.start()
    assert cls.journal.count("run") == 1


def test_alive_says_whether_the_process_does_its_part(make: Make) -> None:
    orchestrator = make({"thing": recorded(run=boom)})
    assert orchestrator.alive()
    orchestrator.start()
    assert orchestrator.alive()
    assert not orchestrator.ready().ok
    orchestrator.stop()
    assert not orchestrator.alive()
    assert not orchestrator.ready().ok


def test_a_service_that_leaves_its_thread_by_systemexit_hurts_no_pass(
    make: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(_: object) -> None:
        raise SystemExit(9)

    caplog.set_level(logging.DEBUG)
    orchestrator = make({"thing": recorded(run=leave, failed=leave), "other": recorded()})
    orchestrator.start()
    assert orchestrator.svc("other").is_running()
    assert orchestrator.svc("thing").has_failed()
    assert orchestrator.alive()
