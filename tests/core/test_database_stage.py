"""The database stage of the initial regeneration, with a plugin that stands in for a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jsorc import Orchestrator, hookimpl
from jsorc.daemons import Call
from jsorc.errors import Closed, DatabaseReady
from jsorc.provisioning import ProvisionResult
from jsorc.regeneration import ANSWER_TIMEOUT
from jsorc.testing.clock import FakeClock
from tests.services import LONG, Recorded, await_deadline, orchestrator_with, recorded

MANIFEST = {"kind": "StatefulSet"}


class Database:
    """Says what a test wants of a database."""

    def __init__(self, *answers: Callable[[], bool | None], leads: bool | None = None) -> None:
        self.answers = list(answers)
        self.leads = leads
        self.asked = threading.Semaphore(0)
        self.provisioned: list[Any] = []

    @hookimpl
    def jsorc_database_ready(self) -> bool | None:
        self.asked.release()
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()

    @hookimpl
    def jsorc_provision(self, service: Any, manifest: Any) -> ProvisionResult | None:
        if service is None:
            self.provisioned.append(manifest)
            return ProvisionResult(True, "applied")
        return None

    @hookimpl
    def jsorc_is_leader(self) -> bool | None:
        return self.leads


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., Orchestrator]]:
    made: list[Orchestrator] = []

    def make(database: Database | None, cls: type[Recorded], **config: Any) -> Orchestrator:
        orchestrator = orchestrator_with(
            {"thing": cls},
            clock=clock,
            DB_REGEN_CONFIG={"enabled": True, **config},
            DB_REGEN_MANIFEST=MANIFEST,
        )
        if database is not None:
            orchestrator.listen(database)
        made.append(orchestrator)
        return orchestrator

    yield make
    for orchestrator in made:
        orchestrator.stop()


Make = Callable[..., Orchestrator]


def yes() -> bool:
    return True


def no() -> bool:
    return False


def exit_with(call: Call[Any]) -> object:
    assert call.wait(LONG)
    with pytest.raises(DatabaseReady) as raised:
        call.result()
    return raised.value.code


def pass_time(clock: FakeClock, call: Call[Any]) -> None:
    """Lets the waits of a wait with backoff pass, until the call ends."""
    while not call.wait(0):
        due, now = clock.next_due(), clock.monotonic()
        if due is not None and due > now and due - now != pytest.approx(ANSWER_TIMEOUT):
            clock.advance(due - now)


def test_a_database_that_is_there_is_passed_by(make: Make) -> None:
    database = Database(yes)
    orchestrator = make(database, recorded())
    orchestrator.start()
    assert orchestrator.svc("thing").is_running()
    assert database.provisioned == []


def test_a_stage_that_is_not_enabled_asks_nobody(make: Make) -> None:
    database = Database(no)
    make(database, recorded(), enabled=False).start()
    assert not database.asked.acquire(blocking=False)


def test_where_no_plugin_has_a_database_the_start_goes_on_and_says_so(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    orchestrator = make(None, recorded())
    orchestrator.start()
    assert orchestrator.svc("thing").is_running()
    assert "no plugin answers jsorc_database_ready" in caplog.text


def test_one_that_comes_up_is_provisioned_once_waited_for_and_ends_the_process(
    make: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    database, cls = Database(no, no, no, no, yes), recorded()
    orchestrator = make(database, cls)
    starting = Call(orchestrator.start, name="start")
    pass_time(clock, starting)
    assert exit_with(starting) == 75
    assert database.provisioned == [MANIFEST]
    assert cls.journal == []  # no service begins before the database is there
    steps = [record for record in caplog.records if "waiting for the database" in record.getMessage()]
    assert len(steps) == 3


def test_the_code_of_the_exit_is_configured(make: Make, clock: FakeClock) -> None:
    starting = Call(make(Database(no, yes), recorded(), exit_code=3).start, name="start")
    pass_time(clock, starting)
    assert exit_with(starting) == 3


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1)])
def test_an_answer_that_raises_means_not_ready(error: BaseException, make: Make, clock: FakeClock) -> None:
    def fail() -> bool:
        raise error

    starting = Call(make(Database(fail, yes), recorded()).start, name="start")
    pass_time(clock, starting)
    assert exit_with(starting) == 75


def test_an_answer_that_hangs_means_not_ready(make: Make, clock: FakeClock) -> None:
    gate = threading.Event()

    def hang() -> bool:
        gate.wait(LONG)
        return True

    database = Database(hang, yes)
    starting = Call(make(database, recorded()).start, name="start")
    assert database.asked.acquire(timeout=LONG)
    await_deadline(clock, ANSWER_TIMEOUT)
    clock.advance(ANSWER_TIMEOUT)
    pass_time(clock, starting)
    gate.set()
    assert exit_with(starting) == 75
    assert database.provisioned == [MANIFEST]


def test_only_the_leader_provisions_it(make: Make, clock: FakeClock) -> None:
    database = Database(no, no, yes, leads=False)
    starting = Call(make(database, recorded()).start, name="start")
    pass_time(clock, starting)
    assert exit_with(starting) == 75
    assert database.provisioned == []


def test_a_stop_ends_the_wait(make: Make) -> None:
    database = Database(no)
    orchestrator = make(database, recorded())
    starting = Call(orchestrator.start, name="start")
    for _ in range(2):
        assert database.asked.acquire(timeout=LONG)
    orchestrator.stop()
    assert starting.wait(LONG)
    with pytest.raises(Closed):
        starting.result()
