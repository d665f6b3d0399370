"""The initial regeneration: what starts, in which order, and what is provisioned when it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Orchestrator, hookimpl
from jsorc.daemons import Call
from jsorc.errors import ConfigError, ProvisionError
from jsorc.provisioners import PROVISION_TIMEOUT
from jsorc.provisioning import ProvisionResult
from jsorc.regeneration import Readiness
from jsorc.testing.clock import FakeClock
from tests.services import (
    LONG,
    Listener,
    Recorded,
    await_deadline,
    boom,
    due_in,
    fails,
    recorded,
)

pytestmark = pytest.mark.usefixtures("clock")

Make = Callable[..., Orchestrator]


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


def test_what_a_provisioner_raised_is_the_error_where_nobody_else_provisions(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> ProvisionResult:
        raise ValueError("no cluster at https://me:hunter22@cluster")

    orchestrator = make({"thing": recorded(run=boom)})
    orchestrator.listen(Provisioner(fail), "acme-cluster")
    orchestrator.start()
    error = orchestrator.svc("thing").error
    assert isinstance(error, ProvisionError)
    assert "acme-cluster raised ValueError: no cluster at https://me:****" in str(error)
    assert "nothing provisions it here" not in caplog.text
    assert "hunter22" not in caplog.text


def test_a_manifest_is_handed_to_the_first_that_answers(make: Make) -> None:
    orchestrator = make({"thing": recorded()})
    first, second = Provisioner(done), Provisioner(lambda: None)
    for provisioner in (first, second):  # the latest is asked first
        orchestrator.listen(provisioner)
    assert orchestrator.provision(orchestrator.svc("thing"), "kind: List") == done()
    assert second.asked == first.asked == [("thing", "kind: List")]


def test_a_manifest_that_nobody_answers_is_told_from_one_that_fails(make: Make) -> None:
    def fail() -> ProvisionResult:
        raise ValueError("boom")

    orchestrator = make({})
    orchestrator.listen(Provisioner(lambda: None))
    assert orchestrator.provision(None, {}) is None
    orchestrator.listen(Provisioner(fail), "acme-cluster")
    with pytest.raises(ProvisionError, match="acme-cluster raised ValueError: boom"):
        orchestrator.provision(None, {})
    orchestrator.listen(Provisioner(done))
    assert orchestrator.provision(None, {}) == done()


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
