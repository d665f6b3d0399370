"""Probes by a clock that the test moves: what counts as dead, when, and what a report changes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jsorc.errors import DeadlineExceeded, ServiceUnavailable
from jsorc.probes import AT_ONCE, SPACING, Prober
from jsorc.service import CommonService
from jsorc.testing.clock import FakeClock
from tests.services import LONG


class Patient(CommonService[str]):
    """A service whose ping does what the test says, and which tells when it was pinged."""

    def __init__(self, name: str = "thing", **policy: Any) -> None:
        super().__init__(policy, {})
        self.name = name
        self.answer: Callable[[], object] = lambda: True
        self.pinged: queue.Queue[int] = queue.Queue()
        self.start()

    def run(self) -> None:
        self.app = "app"

    def ping(self) -> object:
        self.pinged.put(1)
        return self.answer()


class Doctor:
    """A prober that the test drives, and the deaths that it was told of."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.deaths: queue.Queue[tuple[CommonService[Any], BaseException]] = queue.Queue()
        self.prober = Prober(clock, self._died)

    def _died(self, service: CommonService[Any], error: BaseException) -> None:
        service._fail(error)
        self.deaths.put((service, error))

    def probe(self, service: Patient) -> None:
        """Lets one probe begin and end."""
        self.prober.tick()
        service.pinged.get(timeout=LONG)
        self.ended(service)

    def ended(self, service: Patient) -> None:
        assert service._ping is not None
        assert service._ping.wait(LONG)

    def timed_out(self, service: Patient) -> None:
        """Lets one probe begin that hangs, and its deadline pass."""
        self.prober.tick()
        self.clock.advance(service.policy.ping_timeout)
        self.prober.tick()


@pytest.fixture
def doctor(clock: FakeClock) -> Doctor:
    return Doctor(clock)


def refuse() -> None:
    raise ConnectionRefusedError("refused")


def test_each_service_is_probed_at_its_own_interval(doctor: Doctor) -> None:
    often, seldom = Patient("often", ping_interval=1), Patient("seldom", ping_interval=5)
    doctor.prober.watch(often)
    doctor.prober.watch(seldom)
    assert doctor.prober.tick() == 1
    assert often.pinged.empty()
    for _ in range(5):
        doctor.clock.advance(1)
        doctor.probe(often)
    seldom.pinged.get(timeout=LONG)
    assert seldom.pinged.empty()
    assert doctor.deaths.empty()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(refuse, "refused"), (lambda: False, "ping() returned False"), (lambda: exit(1), "1")],
)
def test_a_refusal_is_a_death_at_the_first_probe(
    answer: Callable[[], object], reason: str, doctor: Doctor
) -> None:
    service = Patient()
    service.answer = answer
    doctor.prober.watch(service)
    doctor.clock.advance(10)
    doctor.probe(service)
    dead, error = doctor.deaths.get(timeout=LONG)
    assert dead is service
    assert reason in str(error)


def test_none_is_not_false(doctor: Doctor) -> None:
    service = Patient()
    service.answer = lambda: None
    doctor.prober.watch(service)
    doctor.clock.advance(10)
    doctor.probe(service)
    assert doctor.prober.tick() == 20


def test_probes_that_hang_count_to_the_limit_a_second_apart(doctor: Doctor, gate: threading.Event) -> None:
    service = Patient(ping_failures=3)
    service.answer = lambda: gate.wait(LONG)
    doctor.prober.watch(service)
    doctor.clock.advance(10)
    for probe in (1, 2):
        doctor.timed_out(service)
        assert doctor.deaths.empty(), probe
        assert doctor.prober.tick() == doctor.clock.monotonic() + 1
        doctor.clock.advance(1)
    doctor.timed_out(service)
    _, error = doctor.deaths.get(timeout=LONG)
    assert isinstance(error, DeadlineExceeded)
    assert "3 probes in a row" in str(error)
    assert doctor.clock.monotonic() == 10 + 3 * 2 + 2
    assert service.pinged.qsize() == 1  # no thread of another ping beside one that hangs
    assert service._hangs()


@pytest.mark.parametrize("error", [TimeoutError("slow"), DeadlineExceeded("slow")])
def test_a_ping_that_says_itself_that_it_timed_out_counts_like_one_that_hangs(
    error: Exception, doctor: Doctor
) -> None:
    def slow() -> None:
        raise ServiceUnavailable("no answer") from error

    service = Patient(ping_failures=2)
    service.answer = slow
    doctor.prober.watch(service)
    doctor.clock.advance(10)
    doctor.probe(service)
    assert doctor.deaths.empty()
    doctor.clock.advance(1)
    doctor.probe(service)
    doctor.deaths.get(timeout=LONG)


def test_an_answer_between_two_timeouts_begins_the_count_anew(doctor: Doctor) -> None:
    answers = iter([False, True, False, True, False])

    def answer() -> None:
        if not next(answers):
            raise TimeoutError

    service = Patient(ping_failures=2)
    service.answer = answer
    doctor.prober.watch(service)
    for _ in range(5):
        doctor.clock.advance(10)
        doctor.probe(service)
    assert doctor.deaths.empty()


def test_a_probe_that_answers_after_its_deadline_is_not_heard(doctor: Doctor, gate: threading.Event) -> None:
    service = Patient(ping_failures=2)
    service.answer = lambda: (gate.wait(LONG), refuse())
    doctor.prober.watch(service)
    doctor.clock.advance(10)
    doctor.timed_out(service)
    gate.set()
    doctor.ended(service)
    assert doctor.deaths.empty()
    assert service.is_running()


def test_a_report_makes_the_next_probe_immediate(doctor: Doctor) -> None:
    service = Patient()
    doctor.prober.watch(service)
    doctor.clock.advance(3)
    doctor.prober.wake.clear()
    doctor.prober.report(service)
    assert doctor.prober.wake.is_set()
    doctor.probe(service)
    assert doctor.prober.tick() == 13


def test_a_report_during_a_probe_brings_another_at_once(doctor: Doctor, gate: threading.Event) -> None:
    service = Patient()
    service.answer = lambda: gate.wait(LONG)
    doctor.prober.watch(service)
    doctor.clock.advance(10)
    doctor.prober.tick()
    service.pinged.get(timeout=LONG)
    doctor.prober.report(service)
    gate.set()
    doctor.ended(service)
    assert doctor.prober.tick() == pytest.approx(10 + SPACING)


def test_a_storm_of_reports_is_one_probe_at_a_time_and_no_storm_of_them(doctor: Doctor) -> None:
    service = Patient()
    doctor.prober.watch(service)
    probes = 0
    for _ in range(100):  # a second of a thousand reports
        for _ in range(10):
            doctor.prober.report(service)
        doctor.prober.tick()
        while not service.pinged.empty():
            service.pinged.get()
            probes += 1
        if service._ping is not None:
            doctor.ended(service)
        doctor.clock.advance(0.01)
    assert 5 <= probes <= 11
    assert len(doctor.prober._planned) < 100


def test_a_replaced_instance_is_not_probed_and_its_reports_are_not_heard(doctor: Doctor) -> None:
    old, new = Patient(), Patient()
    doctor.prober.watch(old)
    doctor.prober.watch(new)
    doctor.prober.report(old)
    assert doctor.prober.tick() == 10
    doctor.clock.advance(10)
    doctor.probe(new)
    assert old.pinged.empty()


def test_plans_of_replaced_instances_do_not_pile_up(doctor: Doctor) -> None:
    for _ in range(5000):
        doctor.prober.watch(Patient())
    assert len(doctor.prober._planned) < 200


def test_one_that_no_longer_runs_is_not_probed(doctor: Doctor) -> None:
    service = Patient()
    doctor.prober.watch(service)
    service._fail(ValueError("boom"))
    doctor.clock.advance(10)
    assert doctor.prober.tick() is None
    assert service.pinged.empty()


def test_many_hanging_probes_hold_up_the_rest_only_to_their_deadline(
    doctor: Doctor, gate: threading.Event
) -> None:
    hanging = [Patient(f"hanging{number}") for number in range(AT_ONCE)]
    healthy = Patient("healthy")
    for service in hanging:
        service.answer = lambda: gate.wait(LONG)
        doctor.prober.watch(service)
    doctor.prober.watch(healthy)
    doctor.clock.advance(10)
    assert doctor.prober.tick() == 12
    assert healthy.pinged.empty()
    doctor.clock.advance(2)
    doctor.probe(healthy)


def test_failures_that_take_their_time_hold_up_no_probe(clock: FakeClock, gate: threading.Event) -> None:
    def slow(_: CommonService[Any], __: BaseException) -> None:
        gate.wait(LONG)

    doctor = Doctor(clock)
    doctor.prober = Prober(clock, slow)
    for number in range(2 * AT_ONCE):
        dying = Patient(f"dying{number}")
        dying.answer = refuse
        doctor.prober.watch(dying)
    healthy = Patient("healthy")
    doctor.prober.watch(healthy)
    doctor.clock.advance(10)
    doctor.prober.tick()
    healthy.pinged.get(timeout=LONG)


def test_a_clear_ends_all_probing(doctor: Doctor) -> None:
    service = Patient()
    doctor.prober.watch(service)
    doctor.prober.clear()
    doctor.clock.advance(100)
    assert doctor.prober.tick() is None
    doctor.prober.report(service)
    assert doctor.prober.tick() is None


def test_latencies_are_kept_for_the_last_probes(doctor: Doctor) -> None:
    service = Patient(ping_interval=1, ping_timeout=5)
    service.answer = lambda: doctor.clock.advance(0.25)
    doctor.prober.watch(service)
    for _ in range(70):
        doctor.clock.advance(2)
        doctor.probe(service)
    assert doctor.prober.latencies(service) == [0.25] * 60
