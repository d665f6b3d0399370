"""Live services: one start however many ask, circles, what a failed one costs, and the ordered stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc.daemons import Call
from jsorc.errors import (
    CastError,
    NotRegistered,
    PluginLoadError,
    ServiceUnavailable,
    StartCycle,
)
from jsorc.testing.clock import FakeClock
from tests.services import (
    LONG,
    Listener,
    Recorded,
    ask_from_threads,
    await_deadline,
    boom,
    recorded,
)

Make = Callable[..., Orchestrator]


def once(fail: Callable[[Any], None]) -> Callable[[Any], None]:
    """A `run` that fails the first time and then works."""

    def run(service: Recorded) -> None:
        if len(service.made) == 1:
            fail(service)
        service.app = f"app {len(service.made)}"

    return run


# One start


def test_a_hundred_threads_get_one_instance_that_ran_once(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls})
    answers = ask_from_threads(100, lambda: orchestrator.svc("thing"))
    assert set(map(id, answers)) == {id(cls.made[0])}
    assert cls.journal.count("run") == 1


def test_a_hundred_threads_get_the_same_failure(make: Make) -> None:
    cls = recorded(run=boom)
    orchestrator = make({"thing": cls})
    answers = ask_from_threads(100, lambda: orchestrator.svc("thing"))
    assert set(map(id, answers)) == {id(cls.made[0])}
    assert cls.journal.count("run") == cls.journal.count("failed") == 1


def test_one_that_is_not_enabled_is_made_and_not_started(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls}, thing={"enabled": False})
    assert orchestrator.svc("thing") is orchestrator.svc("thing")
    assert cls.journal == ["init"]


def test_a_cast_is_checked(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls, "other": recorded()})
    assert orchestrator.svc("thing", cls).made == cls.made
    with pytest.raises(CastError):
        orchestrator.svc("other", cls)


def test_an_unknown_name_raises_and_names_what_there_is(make: Make) -> None:
    with pytest.raises(NotRegistered, match="thing"):
        make({"thing": recorded()}).svc("thin")


def test_a_class_that_cannot_be_imported_raises_at_every_call_until_it_can(
    make: Make, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jsorc.registration import Registration

    orchestrator = make()
    orchestrator._registry.add(Registration("service", "late", "late_module_of_test_supervisor:Late"))
    for _ in range(2):
        with pytest.raises(PluginLoadError):
            orchestrator.svc("late")
    (tmp_path / "late_module_of_test_supervisor.py").write_text(
        "from jsorc import CommonService\n"
        "class Late(CommonService):\n"
        "    def run(self):\n        self.app = 'here'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert orchestrator.svc("late").poke() == "here"


# Circles


def test_a_service_that_asks_for_itself_is_a_circle(make: Make) -> None:
    orchestrator = make({"a": recorded(run=lambda _: orchestrator.svc("a"))})
    service = orchestrator.svc("a")
    assert isinstance(service.error, StartCycle)
    assert "a -> a" in str(service.error)


def test_post_run_may_ask_for_its_own_service(make: Make) -> None:
    asked: list[object] = []
    orchestrator = make({"a": recorded(post_run=lambda _: asked.append(orchestrator.svc("a").poke()))})
    assert orchestrator.svc("a").is_running()
    assert asked == ["app 1"]


def test_three_threads_whose_services_ask_in_a_circle_are_told_so(make: Make) -> None:
    all_run = threading.Barrier(3)

    def asks(name: str) -> Callable[[Recorded], None]:
        def run(service: Recorded) -> None:
            all_run.wait(LONG)
            service.app = orchestrator.svc(name).poke()

        return run

    orchestrator = make(
        {"a": recorded(run=asks("b")), "b": recorded(run=asks("c")), "c": recorded(run=asks("a"))}
    )
    names = iter("abc")
    lock = threading.Lock()

    def ask() -> Any:
        with lock:
            name = next(names)
        return orchestrator.svc(name)

    services = ask_from_threads(3, ask)
    assert all(service.has_failed() for service in services)
    circles = [str(service.error) for service in services if isinstance(service.error, StartCycle)]
    assert len(circles) == 1
    assert any(
        circle in circles[0] for circle in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c")
    )


def test_needs_that_form_a_circle_are_told_so(make: Make) -> None:
    orchestrator = make()
    orchestrator.service("a", needs=["b"])(recorded())
    orchestrator.service("b", needs=["c"])(recorded())
    orchestrator.service("c", needs=["a"])(recorded())
    service = orchestrator.svc("a")
    assert service.has_failed()
    assert "a -> b -> c -> a" in str(service.error)


def test_a_daemon_of_an_earlier_start_may_ask_for_anything(make: Make) -> None:
    # It has the context of the start that spawned it, and yet no start waits for it.
    asked: list[object] = []
    done = threading.Event()
    ask = threading.Event()

    def daemon(stop: threading.Event) -> None:
        ask.wait(LONG)
        asked.append(orchestrator.svc_reset("a"))
        done.set()

    def post_run(service: Recorded) -> None:
        if len(service.made) == 1:
            service.spawn_daemon(daemon=daemon)

    orchestrator = make({"a": recorded(post_run=post_run)})
    orchestrator.svc("a")
    ask.set()
    assert done.wait(LONG)
    assert asked == [orchestrator.svc("a")]


# Needs


def test_what_a_service_needs_is_started_first(make: Make) -> None:
    order: list[str] = []

    def running(name: str) -> Callable[[Recorded], None]:
        def run(service: Recorded) -> None:
            order.append(name)
            service.app = name

        return run

    orchestrator = make()
    orchestrator.service("a", needs=["b"])(recorded(run=running("a")))
    orchestrator.service("b")(recorded(run=running("b")))
    assert orchestrator.svc("a").is_running()
    assert order == ["b", "a"]


def test_a_service_whose_need_failed_fails_with_that_reason_and_does_not_run(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"b": recorded(run=boom)})
    orchestrator.service("a", needs=["b"])(cls)
    service = orchestrator.svc("a")
    assert service.has_failed()
    assert "a needs b, and b is FAILED: boom" in str(service.error)
    assert "run" not in cls.journal


# A failed service


def test_a_failed_one_is_tried_again_beside_the_caller_once_its_backoff_is_due(
    make: Make, clock: FakeClock
) -> None:
    listener = Listener()
    cls = recorded(run=once(boom))
    orchestrator = make({"thing": cls}, clock=clock)
    orchestrator.listen(listener)
    failed = orchestrator.svc("thing")
    assert orchestrator.svc("thing") is failed  # not due yet
    clock.advance(1)
    assert all(answer is failed for answer in ask_from_threads(20, lambda: _before(orchestrator, cls)))
    listener.await_state("thing", "RUNNING")
    assert orchestrator.svc("thing").poke() == "app 2"
    assert cls.journal.count("run") == 2


def _before(orchestrator: Orchestrator, cls: type[Recorded]) -> object:
    found = orchestrator.svc("thing")
    return cls.made[0] if found in cls.made[1:] else found  # the new one may run already


def test_a_failed_one_never_blocks_while_it_is_tried_again(
    make: Make, clock: FakeClock, gate: threading.Event
) -> None:
    running = threading.Event()

    def run(service: Recorded) -> None:
        if len(service.made) == 1:
            raise ValueError("boom")
        running.set()
        gate.wait(LONG)
        service.app = "there"

    orchestrator = make({"thing": recorded(run=run)}, clock=clock)
    failed = orchestrator.svc("thing")
    clock.advance(1)
    assert orchestrator.svc("thing") is failed
    assert running.wait(LONG)
    assert orchestrator.svc("thing") is failed
    with pytest.raises(ServiceUnavailable, match="boom"):
        orchestrator.svc("thing").poke()


def test_no_new_attempt_begins_while_the_last_one_hangs(
    make: Make, clock: FakeClock, gate: threading.Event
) -> None:
    running = threading.Event()

    def run(service: Recorded) -> None:
        if len(service.made) == 1:
            running.set()
            gate.wait(LONG)
        service.app = "there"

    cls = recorded(run=run)
    orchestrator = make({"thing": cls}, clock=clock, thing={"start_timeout": 5})
    starting = Call(lambda: orchestrator.svc("thing"), name="start")
    assert running.wait(LONG)
    await_deadline(clock, 5)
    clock.advance(5)
    assert starting.wait(LONG)
    clock.advance(60)
    assert orchestrator.svc("thing") is starting.result()
    fresh = orchestrator.svc_reset("thing")
    assert fresh.has_failed()
    assert "still hangs" in str(fresh.error)
    assert cls.journal.count("run") == 1
    gate.set()
    assert cls.made[0]._attempt is not None
    assert cls.made[0]._attempt.wait(LONG)
    assert orchestrator.svc_reset("thing").poke() == "there"


def test_the_next_attempt_reads_the_settings_anew(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls}, thing={"ping_failures": "many"})
    assert orchestrator.svc("thing").has_failed()
    orchestrator.configure(THING_CONFIG={"ping_failures": 2})
    assert orchestrator._supervisor.attempt("thing").is_running()


# Reset


def test_a_reset_ends_the_old_instance_before_the_fresh_one_starts(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls})
    old = orchestrator.svc("thing")
    fresh = orchestrator.svc_reset("thing")
    assert fresh is orchestrator.svc("thing") is not old
    assert cls.journal == ["init", "run", "post_run", "on_delete", "init", "run", "post_run"]


def test_a_reset_waits_for_a_start_that_is_under_way(make: Make, gate: threading.Event) -> None:
    running = threading.Event()

    def run(service: Recorded) -> None:
        running.set()
        gate.wait(LONG)
        service.app = f"app {len(service.made)}"

    orchestrator = make({"thing": recorded(run=run)})
    first = Call(lambda: orchestrator.svc("thing"), name="start")
    assert running.wait(LONG)
    second = Call(lambda: orchestrator.svc_reset("thing"), name="reset")
    gate.set()
    assert first.wait(LONG)
    assert second.wait(LONG)
    assert second.result().poke() == "app 2"


def test_a_reset_from_many_threads_leaves_one_live_instance(make: Make) -> None:
    cls = recorded()
    orchestrator = make({"thing": cls})
    orchestrator.svc("thing")
    ask_from_threads(10, lambda: orchestrator.svc_reset("thing"))
    assert [service.is_running() for service in cls.made].count(True) == 1
    assert cls.journal.count("on_delete") == len(cls.made) - 1


# Overrides


def test_an_override_stands_in_for_a_service_and_is_gone_after(make: Make) -> None:
    orchestrator = make({"thing": recorded()})
    real, fake = orchestrator.svc("thing"), object()
    with orchestrator.override("thing", fake):
        assert orchestrator.svc("thing") is fake
    assert orchestrator.svc("thing") is real
