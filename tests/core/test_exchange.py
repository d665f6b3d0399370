"""An instance in place of another: the candidate proves itself first, and a failure restores the old one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc.daemons import Call
from jsorc.errors import Closed, ServiceUnavailable, StaleRevision, StartCycle
from tests.services import LONG, Listener, Recorded, boom, orchestrator_with, recorded


class Store:
    """Stands for the stored settings: what was kept, and whether that was taken back."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __call__(self) -> Callable[[], None]:
        self.events.append("stored")
        return lambda: self.events.append("taken back")


@pytest.fixture
def store() -> Store:
    return Store()


def running(cls: type[Recorded]) -> Orchestrator:
    orchestrator = orchestrator_with({"thing": cls})
    assert orchestrator.svc("thing").is_running()
    return orchestrator


def exchange(orchestrator: Orchestrator, store: Any, **config: Any) -> Any:
    return orchestrator._supervisor.exchange("thing", {"automated": True, **config}, {}, store)


def on_new(fail: Callable[[Any], object]) -> Callable[[Any], object]:
    """A step that only an instance with `new` in its config takes."""
    return lambda service: fail(service) if service.config.get("new") else None


def test_the_candidate_runs_and_is_pinged_before_it_is_stored_and_takes_the_place(store: Store) -> None:
    cls = recorded()
    orchestrator = running(cls)
    old = orchestrator.svc("thing")
    del cls.journal[:]

    def noting() -> Callable[[], None]:
        cls.journal.append("store")
        return store()

    fresh = exchange(orchestrator, noting, new=True)
    assert cls.journal == ["init", "run", "ping", "store", "post_run", "on_delete"]
    assert orchestrator.svc("thing") is fresh is not old
    assert fresh.config == {"new": True}
    with pytest.raises(ServiceUnavailable, match="replaced"):
        old.poke()


def test_the_old_one_serves_until_the_new_one_runs(store: Store, gate: threading.Event) -> None:
    trying = threading.Event()

    def run(service: Recorded) -> None:
        if service.config.get("new"):
            trying.set()
            gate.wait(LONG)
        service.app = f"app {len(service.made)}"

    orchestrator = running(recorded(run=run))
    exchanging = Call(lambda: exchange(orchestrator, store, new=True), name="exchange")
    assert trying.wait(LONG)
    assert orchestrator.svc("thing").poke() == "app 1"
    gate.set()
    assert exchanging.wait(LONG)
    assert orchestrator.svc("thing").poke() == "app 2"


@pytest.mark.parametrize(
    "steps",
    [
        {"run": lambda me: boom(me) if me.config.get("new") else setattr(me, "app", "old")},
        {"ping": on_new(boom)},
        {"ping": lambda me: not me.config.get("new")},
        {"init": on_new(boom)},
    ],
    ids=["run raises", "ping raises", "ping says no", "init raises"],
)
def test_a_candidate_that_does_not_start_changes_nothing(steps: dict[str, Any], store: Store) -> None:
    cls = recorded(**steps)
    orchestrator = running(cls)
    old = orchestrator.svc("thing")
    with pytest.raises(ServiceUnavailable, match="nothing was stored"):
        exchange(orchestrator, store, new=True)
    assert store.events == []
    assert orchestrator.svc("thing") is old
    assert old.is_running()
    assert cls.made[-1].app is None


def test_a_store_that_refuses_changes_nothing() -> None:
    def refuse() -> Callable[[], None]:
        raise StaleRevision("read again")

    cls = recorded()
    orchestrator = running(cls)
    with pytest.raises(StaleRevision):
        exchange(orchestrator, refuse, new=True)
    assert orchestrator.svc("thing").poke() == "app 1"
    assert cls.made[-1].app is None
    assert cls.journal.count("on_delete") == 1


def test_a_post_run_that_fails_restores_the_old_one_and_its_daemons(store: Store) -> None:
    beating = threading.Semaphore(0)

    def post_run(service: Recorded) -> None:
        if service.config.get("new"):
            raise ValueError("boom")
        service.spawn_daemon(heart=lambda stop: (beating.release(), stop.wait(LONG)))

    orchestrator = running(recorded(post_run=post_run))
    old = orchestrator.svc("thing")
    assert beating.acquire(timeout=LONG)
    with pytest.raises(ServiceUnavailable, match="the old one is back: boom"):
        exchange(orchestrator, store, new=True)
    assert store.events == ["stored", "taken back"]
    assert orchestrator.svc("thing") is old
    assert beating.acquire(timeout=LONG)
    assert old._own_daemons().alive() == ["heart"]
    orchestrator.stop()


def test_an_old_one_that_cannot_be_restored_is_failed_and_not_pretended_to_run(store: Store) -> None:
    def post_run(service: Recorded) -> None:
        if service.config.get("new") or service.journal.count("post_run") > 1:
            raise ValueError("boom")

    orchestrator = running(recorded(post_run=post_run))
    with pytest.raises(ServiceUnavailable):
        exchange(orchestrator, store, new=True)
    assert orchestrator.svc("thing").has_failed()
    assert "thing" in orchestrator._supervisor.failing


def test_what_could_not_be_taken_back_is_said() -> None:
    def stubborn() -> Callable[[], None]:
        def take_back() -> None:
            raise StaleRevision("somebody was faster")

        return take_back

    orchestrator = running(recorded(post_run=on_new(boom)))
    with pytest.raises(ServiceUnavailable, match="could not be taken back: somebody was faster"):
        exchange(orchestrator, stubborn, new=True)
    assert orchestrator.svc("thing").poke() == "app 1"


def test_a_failed_service_is_exchanged_for_one_that_runs(store: Store) -> None:
    def run(service: Recorded) -> None:
        if service.config.get("new"):
            service.app = "there"

    orchestrator = orchestrator_with({"thing": recorded(run=run)})
    assert orchestrator.svc("thing").has_failed()
    assert exchange(orchestrator, store, new=True).poke() == "there"
    assert "thing" not in orchestrator._supervisor.failing


def test_a_cold_service_is_exchanged_and_others_wait_for_it(store: Store, gate: threading.Event) -> None:
    trying = threading.Event()

    def run(service: Recorded) -> None:
        trying.set()
        gate.wait(LONG)
        service.app = f"app {len(service.made)}"

    orchestrator = orchestrator_with({"thing": recorded(run=run)})
    exchanging = Call(lambda: exchange(orchestrator, store), name="exchange")
    assert trying.wait(LONG)
    asking = Call(lambda: orchestrator.svc("thing"), name="ask")
    gate.set()
    assert exchanging.wait(LONG)
    assert asking.wait(LONG)
    assert asking.result() is exchanging.result()


def test_one_that_is_switched_off_takes_the_place_without_starting(store: Store) -> None:
    cls = recorded()
    orchestrator = running(cls)
    exchange(orchestrator, store, enabled=False)
    assert cls.journal.count("run") == 1
    with pytest.raises(ServiceUnavailable, match="not enabled"):
        orchestrator.svc("thing").poke()


def test_a_candidate_that_asks_for_its_own_service_gets_the_one_that_serves(store: Store) -> None:
    asked: list[object] = []

    def run(service: Recorded) -> None:
        if service.config.get("new"):
            asked.append(orchestrator.svc("thing").poke())
        service.app = f"app {len(service.made)}"

    orchestrator = running(recorded(run=run))
    assert exchange(orchestrator, store, new=True).poke() == "app 2"
    assert asked == ["app 1"]


def test_a_candidate_that_asks_for_itself_where_none_serves_is_a_circle(store: Store) -> None:
    orchestrator = orchestrator_with({"thing": recorded(run=lambda _: orchestrator.svc("thing"))})
    with pytest.raises(ServiceUnavailable, match="thing -> thing") as raised:
        exchange(orchestrator, store)
    assert isinstance(raised.value.__cause__, StartCycle)


def test_a_stop_during_an_exchange_leaves_nothing_running(gate: threading.Event) -> None:
    storing = threading.Event()

    def slow_store() -> Callable[[], None]:
        storing.set()
        gate.wait(LONG)
        return lambda: None

    cls = recorded()
    orchestrator = running(cls)
    exchanging = Call(lambda: exchange(orchestrator, slow_store, new=True), name="exchange")
    assert storing.wait(LONG)
    orchestrator.stop()
    gate.set()
    assert exchanging.wait(LONG)
    with pytest.raises((Closed, ServiceUnavailable)):
        exchanging.result()
    assert [service.app for service in cls.made] == [None, None]
    assert cls.journal.count("on_delete") == 2


def test_listeners_hear_of_the_candidate_only_once_it_was_accepted(store: Store) -> None:
    listener = Listener()
    cls = recorded(ping=on_new(boom))
    orchestrator = running(cls)
    orchestrator.listen(listener)
    with pytest.raises(ServiceUnavailable):
        exchange(orchestrator, store, new=True)
    exchange(orchestrator, store, other=True)
    listener.await_state("thing", "NOT_STARTED")
    assert listener.states("thing") == ["STARTED", "RUNNING", "NOT_STARTED"]
