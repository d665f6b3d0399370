"""A forked child has nothing of its parent's, closes nothing of it, and begins anew."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc.errors import ServiceUnavailable
from jsorc.testing.forking import in_child
from tests.services import LONG, Listener, Recorded, orchestrator_with, recorded

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@pytest.fixture
def orchestrator() -> Iterator[Orchestrator]:
    orchestrator = orchestrator_with({"thing": recorded()})
    yield orchestrator
    orchestrator.stop()


def test_the_child_starts_its_own_instance_and_the_parents_goes_on(orchestrator: Orchestrator) -> None:
    parents = orchestrator.svc("thing")
    assert in_child(lambda: orchestrator.svc("thing").poke()) == "app 2"
    assert in_child(lambda: orchestrator.svc("thing") is parents) is False
    assert parents.poke() == "app 1"
    assert isinstance(parents, Recorded)
    assert "on_delete" not in parents.journal


def test_the_parents_instance_says_in_the_child_whose_it_is(orchestrator: Orchestrator) -> None:
    parents = orchestrator.svc("thing")
    kind, message = in_child(parents.poke)
    assert kind == ServiceUnavailable.__name__
    assert "belongs to the process that forked" in message


def test_the_child_calls_no_handler_of_the_parents_instances(orchestrator: Orchestrator) -> None:
    service = orchestrator.svc("thing")

    def ask() -> list[str]:
        orchestrator.stop()
        return service.journal  # type: ignore[attr-defined, no-any-return]

    assert in_child(ask) == ["init", "run", "post_run"]


def test_the_child_has_no_threads_of_supervision_and_may_start_them_itself(
    orchestrator: Orchestrator,
) -> None:
    orchestrator.start()

    def ask() -> list[Any]:
        before = threading.active_count()
        orchestrator.start()
        answer = [before, threading.active_count() > before, orchestrator.ready().ok]
        orchestrator.stop()
        return answer

    assert in_child(ask) == [1, True, True]


def test_locks_that_other_threads_hold_are_free_in_the_child(
    orchestrator: Orchestrator,
) -> None:
    service = orchestrator.svc("thing")
    release, held = threading.Event(), threading.Event()
    locks = [
        orchestrator._lock,
        orchestrator._supervisor._lock,
        orchestrator._supervisor.prober._lock,
        orchestrator._stored._lock,
        orchestrator._regenerator._lock,
        orchestrator._announcer._lock,
        orchestrator._registry._lock,
        orchestrator._plugins._lock,
        orchestrator.settings._lock,
        service._lock,
    ]

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        release.wait(LONG)
        for lock in locks:
            lock.release()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(LONG)
    try:
        assert in_child(lambda: [orchestrator.svc("thing").poke(), orchestrator.regenerate()]) == [
            "app 2",
            True,
        ]
    finally:
        release.set()
        holder.join(LONG)


def test_a_fork_during_a_start_leaves_the_child_free_to_start(orchestrator: Orchestrator) -> None:
    running, go_on = threading.Event(), threading.Event()

    def run(service: Recorded) -> None:
        if len(service.made) == 1:
            running.set()
            go_on.wait(LONG)
        service.app = f"app {len(service.made)}"

    other = orchestrator_with({"slow": recorded(run=run)})
    thread = threading.Thread(target=lambda: other.svc("slow"))
    thread.start()
    assert running.wait(LONG)
    assert in_child(lambda: other.svc("slow").poke()) == "app 2"
    go_on.set()
    thread.join(LONG)
    assert other.svc("slow").poke() == "app 1"
    other.stop()


def test_a_listener_of_the_parent_hears_the_child_in_the_child(orchestrator: Orchestrator) -> None:
    listener = Listener()
    orchestrator.listen(listener)

    def ask() -> list[str]:
        listener._changed = threading.Condition()
        orchestrator.svc("thing")
        orchestrator.stop()
        return listener.states("thing")

    assert in_child(ask) == ["STARTED", "RUNNING", "NOT_STARTED"]
    assert listener.states("thing") == []
