"""What is to run is started, provisioned when it fails, and tried again, by a clock that the test moves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jsorc import Orchestrator, hookimpl
from jsorc.daemons import Call
from jsorc.errors import ConfigError
from jsorc.provisioning import ProvisionResult
from jsorc.regeneration import PROVISION_TIMEOUT, Readiness
from jsorc.testing.clock import FakeClock
from tests.services import (
    LONG,
    Listener,
    Recorded,
    ask_from_threads,
    await_deadline,
    orchestrator_with,
    recorded,
)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def make(gate: threading.Event, clock: FakeClock) -> Iterator[Callable[..., Orchestrator]]:
    made: list[Orchestrator] = []

    def make(*args: Any, **options: Any) -> Orchestrator:
        made.append(orchestrator_with(*args, clock=clock, **options))
        return made[-1]

    yield make
    gate.set()
    for orchestrator in made:
        orchestrator.stop()


Make = Callable[..., Orchestrator]


def boom(_: object) -> None:
    raise ValueError("boom")


def fails(times: int) -> Callable[[Any], None]:
    """A `run` that fails so many times and then works."""

    def run(service: Recorded) -> None:
        if service.journal.count("run") <= times:
            raise ConnectionError("nobody there")
        service.app = "app"

    return run


class Provisioner:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, answer: Callable[[], ProvisionResult | None], leads: bool | None = None) -> None:
        self.answer = answer
        self.leads = leads
        self.asked: list[tuple[str | None, Any]] = []

    @hookimpl
    def jsorc_provision(self, service: Any, manifest: Any) -> ProvisionResult | None:
        self.asked.append((service and service.name, manifest))
        return self.answer()

    @hookimpl
    def jsorc_is_leader(self) -> bool | None:
        return self.leads


def done() -> ProvisionResult:
    return ProvisionResult(True, "it was started")


def due_in(orchestrator: Orchestrator, clock: FakeClock, name: str) -> float:
    slot = orchestrator._supervisor.slot(name)
    assert slot is not None
    assert slot.backoff.due is not None
    return slot.backoff.due - clock.monotonic()


# The initial regeneration


def test_preloaded_and_automated_services_start_and_no_others(make: Make) -> None:
    classes = {name: recorded() for name in ("preloaded", "automated", "neither", "disabled")}
    orchestrator = make(
        classes,
        preloaded={"automated": False},
        neither={"automated": False},
        disabled={"enabled": False},
        JSORC_CONFIG={"pre_loaded_services": ["preloaded", "disabled", "not registered"]},
    )
    orchestrator.start()
    assert [name for name, cls in classes.items() if "run" in cls.journal] == ["preloaded", "automated"]
    assert orchestrator.ready() == Readiness(True, ())


def test_what_a_wanted_service_needs_is_wanted_too_and_started_before(make: Make) -> None:
    order: list[str] = []

    def noting(name: str) -> Callable[[Recorded], None]:
        def run(service: Recorded) -> None:
            order.append(name)
            service.app = name

        return run

    orchestrator = make(A_CONFIG={"automated": True})
    orchestrator.service("a", config="A_CONFIG", needs=["b"])(recorded(run=noting("a")))
    orchestrator.service("b", needs=["c"])(recorded(run=noting("b")))
    orchestrator.service("c")(recorded(run=noting("c")))
    orchestrator.start()
    assert order == ["c", "b", "a"]


def test_needs_that_form_a_circle_end_as_failures(make: Make) -> None:
    orchestrator = make(A_CONFIG={"automated": True})
    orchestrator.service("a", config="A_CONFIG", needs=["b"])(recorded())
    orchestrator.service("b", needs=["a"])(recorded())
    orchestrator.start()
    assert set(orchestrator.ready().waiting) == {"a", "b"}
    errors = " ".join(str(slot.service.error) for slot in orchestrator._supervisor.slots() if slot.service)
    assert "a -> b -> a" in errors or "b -> a -> b" in errors


def test_a_failed_service_is_provisioned_from_its_manifest_and_started_again(make: Make) -> None:
    cls = recorded(run=fails(1))
    provisioner = Provisioner(done)
    orchestrator = make(THING_CONFIG={"automated": True}, THING_MANIFEST={"kind": "Deployment"})
    orchestrator.service("thing", config="THING_CONFIG", manifest="THING_MANIFEST")(cls)
    orchestrator.listen(provisioner)
    orchestrator.start()
    assert provisioner.asked == [("thing", {"kind": "Deployment"})]
    assert orchestrator.svc("thing").is_running()
    assert cls.journal.count("run") == 2


@pytest.mark.parametrize("answer", [done, lambda: ProvisionResult(False, "no room")])
def test_a_provisioner_that_says_done_when_nothing_is_there_leaves_it_tagged(
    answer: Callable[[], ProvisionResult], make: Make, clock: FakeClock
) -> None:
    orchestrator = make({"thing": recorded(run=boom), "other": recorded()})
    orchestrator.listen(Provisioner(answer))
    orchestrator.start()
    assert orchestrator.svc("thing").has_failed()
    assert orchestrator.svc("other").is_running()
    assert 0.5 <= due_in(orchestrator, clock, "thing") <= 1
    assert orchestrator.ready() == Readiness(False, ("thing",))


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(3)])
def test_a_provisioner_that_raises_is_passed_over(error: BaseException, make: Make) -> None:
    def fail() -> ProvisionResult:
        raise error

    cls = recorded(run=fails(1))
    orchestrator = make({"thing": cls})
    second = Provisioner(done)
    orchestrator.listen(second)
    orchestrator.listen(Provisioner(fail))  # the latest is asked first
    orchestrator.start()
    assert [name for name, _ in second.asked] == ["thing"]
    assert orchestrator.svc("thing").is_running()


def test_a_provisioner_that_hangs_is_given_up_and_others_start_meanwhile(
    make: Make, clock: FakeClock, gate: threading.Event
) -> None:
    asked = threading.Event()

    def hang() -> None:
        asked.set()
        gate.wait(LONG)

    listener = Listener()
    orchestrator = make({"thing": recorded(run=boom), "other": recorded()})
    orchestrator.listen(listener)
    orchestrator.listen(Provisioner(hang))
    starting = Call(orchestrator.start, name="start")
    assert asked.wait(LONG)
    listener.await_state("other", "RUNNING")
    assert not starting.wait(0)
    await_deadline(clock, PROVISION_TIMEOUT)
    clock.advance(PROVISION_TIMEOUT)
    assert starting.wait(LONG)
    starting.result()
    assert orchestrator.svc("thing").has_failed()


def test_running_services_are_probed_while_another_is_still_provisioned(
    make: Make, clock: FakeClock, gate: threading.Event
) -> None:
    asked, pinged = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        gate.wait(LONG)

    listener = Listener()
    orchestrator = make({"thing": recorded(run=boom), "other": recorded(ping=lambda _: pinged.set())})
    orchestrator.listen(listener)
    orchestrator.listen(Provisioner(hang))
    Call(orchestrator.start, name="start")
    assert asked.wait(LONG)
    listener.await_state("other", "RUNNING")
    while orchestrator.svc("other").name not in orchestrator._supervisor.prober._watches:
        pass  # it is installed an instant after it is RUNNING
    clock.advance(10)
    assert pinged.wait(LONG)


def test_a_replica_that_does_not_lead_provisions_nothing_but_mends_its_own_connections(
    make: Make, clock: FakeClock
) -> None:
    listener = Listener()
    provisioner = Provisioner(done, leads=False)
    orchestrator = make({"thing": recorded(run=fails(1))})
    orchestrator.listen(provisioner)
    orchestrator.listen(listener)
    orchestrator.start()
    assert orchestrator.svc("thing").has_failed()
    clock.advance(due_in(orchestrator, clock, "thing"))
    listener.await_state("thing", "RUNNING")
    assert provisioner.asked == []


def test_settings_that_do_not_fit_are_not_provisioned(make: Make) -> None:
    provisioner = Provisioner(done)
    orchestrator = make({"thing": recorded()}, thing={"ping_failures": "many"})
    orchestrator.listen(provisioner)
    orchestrator.start()
    assert isinstance(orchestrator.svc("thing").error, ConfigError)
    assert provisioner.asked == []


def test_a_service_is_not_provisioned_for_what_another_lacks(make: Make) -> None:
    provisioner = Provisioner(lambda: None)
    orchestrator = make({"base": recorded(run=boom)}, TOP_CONFIG={"automated": True})
    orchestrator.service("top", config="TOP_CONFIG", needs=["base"])(recorded())
    orchestrator.listen(provisioner)
    orchestrator.start()
    assert [name for name, _ in provisioner.asked] == ["base"]


def test_nobody_provisions_is_said_once_and_says_what_mends_it(
    make: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    orchestrator = make({"thing": recorded(run=boom)})
    orchestrator.listen(listener)
    orchestrator.start()
    clock.advance(due_in(orchestrator, clock, "thing"))
    listener.await_state("thing", "FAILED", count=2)
    told = [record for record in caplog.records if "nothing provisions it here" in record.getMessage()]
    assert len(told) == 1
    assert "THING_CONFIG" in told[0].getMessage()


def test_a_script_that_never_started_is_not_provisioned_for(make: Make) -> None:
    provisioner = Provisioner(done)
    orchestrator = make({"thing": recorded(run=boom)})
    orchestrator.listen(provisioner)
    assert orchestrator.svc("thing").has_failed()
    assert provisioner.asked == []


# Afterwards


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
    from jsorc.registry import Registration

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
