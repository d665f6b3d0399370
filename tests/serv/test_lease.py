"""The lease of beat: one holder at a time, whatever becomes of it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Orchestrator, ServiceUnavailable
from jsorc.testing.clock import FakeClock
from jsorc_serv.store import OrmStore
from jsorc_serv.tasks.lease import NAME, TERM, Lease


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(database: str, orchestrator: Orchestrator) -> OrmStore:
    return OrmStore(orchestrator)


@pytest.fixture
def make(store: OrmStore, clock: FakeClock) -> Callable[[], Lease]:
    return lambda: Lease(store, clock)


def test_the_first_to_ask_has_it_and_renews_it(make: Callable[[], Lease], clock: FakeClock) -> None:
    first, second = make(), make()
    for _ in range(40):
        assert first.hold()
        assert not second.hold()
        clock.advance(1)


def test_it_is_taken_from_a_holder_of_whom_nothing_is_heard_for_a_term(
    make: Callable[[], Lease], clock: FakeClock
) -> None:
    first, second, third = make(), make(), make()
    assert first.hold()
    assert not second.hold()  # who observes it from now on
    clock.advance(TERM - 0.1)
    assert not second.hold()
    clock.advance(0.1)
    assert not third.hold()  # who has not observed it for so long
    assert second.hold()
    assert not first.hold()  # which has missed its time, and finds out


def test_one_that_was_given_up_is_taken_at_once(make: Callable[[], Lease]) -> None:
    first, second = make(), make()
    assert first.hold()
    first.release()
    first.release()
    assert second.hold()
    assert not first.hold()


class Failing(OrmStore):
    """Loses the answers of the database from some moment on; what was asked for may be done all the same."""

    lost = False
    done = False

    def replace_glob(self, *args: Any) -> bool:
        if self.lost:
            if self.done:
                super().replace_glob(*args)
            raise ServiceUnavailable("no answer")
        return super().replace_glob(*args)


@pytest.fixture
def failing(database: str, orchestrator: Orchestrator) -> Failing:
    return Failing(orchestrator)


def test_a_holder_that_cannot_renew_it_stops_before_anybody_takes_it(
    failing: Failing, make: Callable[[], Lease], clock: FakeClock
) -> None:
    first, second = Lease(failing, clock), make()
    assert first.hold()
    assert not second.hold()
    failing.lost = True
    clock.advance(TERM / 2 - 0.1)
    assert first.hold()
    clock.advance(0.1)
    with pytest.raises(ServiceUnavailable):
        first.hold()
    assert not second.hold()


def test_a_renewal_whose_answer_was_lost_is_recognised(failing: Failing, clock: FakeClock) -> None:
    lease = Lease(failing, clock)
    assert lease.hold()
    failing.lost = failing.done = True
    clock.advance(TERM / 2)
    with pytest.raises(ServiceUnavailable):
        lease.hold()
    failing.lost = False
    assert lease.hold()


def test_it_can_be_read_by_a_person(make: Callable[[], Lease], store: OrmStore) -> None:
    assert make().hold()
    record = json.loads(store.load_globs([NAME])[NAME])
    assert record["holder"].count(":") == 2
