"""The ordered stop: who ends first, how long each has, and what whoever asks afterwards is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from jsorc import Orchestrator
from jsorc.daemons import Call
from jsorc.errors import Closed
from jsorc.testing.clock import FakeClock
from tests.services import LONG, Recorded, recorded

Make = Callable[..., Orchestrator]


def test_services_stop_in_the_reverse_order_of_their_starts(make: Make) -> None:
    stopped: list[str] = []

    def named(name: str, *needs: str) -> None:
        cls = recorded(on_delete=lambda _: stopped.append(name))
        orchestrator.service(name, needs=needs)(cls)

    orchestrator = make()
    named("a", "b")  # so b starts first, though it is asked for later
    named("b")
    named("c")
    orchestrator.svc("a")
    orchestrator.svc("c")
    orchestrator.stop()
    assert stopped == ["c", "a", "b"]


def test_after_the_stop_everything_raises_closed(make: Make) -> None:
    orchestrator = make({"thing": recorded(), "cold": recorded()})
    orchestrator.svc("thing")
    assert orchestrator.stop() == []
    for ask in (
        lambda: orchestrator.svc("thing"),
        lambda: orchestrator.svc("cold"),
        lambda: orchestrator.svc_reset("thing"),
        orchestrator.start,
    ):
        with pytest.raises(Closed):
            ask()  # type: ignore[no-untyped-call]
    assert orchestrator.stop() == []


def test_a_stop_ends_starts_that_are_under_way_and_whoever_waits_for_them(
    make: Make, gate: threading.Event
) -> None:
    running = threading.Event()

    def run(_: Recorded) -> None:
        running.set()
        gate.wait(LONG)

    cls = recorded(run=run)
    orchestrator = make({"thing": cls})
    waiting = [Call(lambda: orchestrator.svc("thing"), name="ask") for _ in range(5)]
    assert running.wait(LONG)
    orchestrator.stop()
    for call in waiting:
        assert call.wait(LONG)
        with pytest.raises(Closed):
            call.result()
    assert cls.journal.count("on_delete") == 1


def test_a_stop_gives_each_five_seconds_and_all_of_them_twenty(
    make: Make, clock: FakeClock, gate: threading.Event
) -> None:
    cls = recorded(on_delete=lambda _: gate.wait(LONG))
    names = [f"thing{number}" for number in range(9)]
    orchestrator = make(dict.fromkeys(names, cls), clock=clock)
    for name in names:
        orchestrator.svc(name)
    stopping = Call(orchestrator.stop, name="stop")
    given = []
    while not stopping.wait(0.001):
        due, now = clock.next_due(), clock.monotonic()
        if due is not None and due > now:
            given.append(round(due - now, 6))
            clock.advance(due - now)
    assert given[:4] == [5, 5, 5, 5]
    assert clock.monotonic() <= 25
    assert cls.journal.count("on_delete") == 9


def test_a_second_stop_waits_for_the_first(make: Make, gate: threading.Event) -> None:
    deleting = threading.Event()

    def on_delete(_: Recorded) -> None:
        deleting.set()
        gate.wait(LONG)

    orchestrator = make({"thing": recorded(on_delete=on_delete)})
    orchestrator.svc("thing")
    first = Call(orchestrator.stop, name="first")
    assert deleting.wait(LONG)
    second = Call(orchestrator.stop, name="second")
    assert not second.wait(0.05)
    gate.set()
    assert first.wait(LONG)
    assert second.wait(LONG)


def test_a_stop_from_within_the_stop_returns_at_once(make: Make) -> None:
    orchestrator = make({"thing": recorded(on_delete=lambda _: orchestrator.stop())})
    orchestrator.svc("thing")
    stopping = Call(orchestrator.stop, name="stop")
    assert stopping.wait(4)
