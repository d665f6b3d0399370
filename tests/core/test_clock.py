"""What the two clocks promise to those who wait by them."""

from __future__ import annotations

import threading

import pytest

from jsorc.clock import SYSTEM
from jsorc.testing.clock import FakeClock


def test_the_system_clock_never_goes_back() -> None:
    readings = [SYSTEM.monotonic() for _ in range(1000)]
    assert readings == sorted(readings)


def test_a_wait_ends_when_the_event_is_set() -> None:
    event = threading.Event()
    threading.Thread(target=event.set).start()
    assert SYSTEM.wait(event, 60)


def test_a_wait_ends_after_its_timeout_and_says_that_the_event_is_not_set() -> None:
    before = SYSTEM.monotonic()
    assert not SYSTEM.wait(threading.Event(), 0.05)
    assert SYSTEM.monotonic() - before >= 0.05


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_of_nothing_only_looks(timeout: float) -> None:
    event = threading.Event()
    assert not SYSTEM.wait(event, timeout)
    event.set()
    assert SYSTEM.wait(event, timeout)


def test_a_timeout_longer_than_the_system_allows_is_no_error() -> None:
    event = threading.Event()
    event.set()
    assert SYSTEM.wait(event, float("inf"))


def test_fake_time_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(start=100)
    assert clock.monotonic() == clock.monotonic() == 100
    clock.advance(2.5)
    assert clock.monotonic() == 102.5


def test_fake_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        FakeClock().advance(-1)


def test_a_fake_wait_lasts_until_the_fake_time_has_passed() -> None:
    clock = FakeClock()
    answers: list[bool] = []
    waiting = threading.Thread(
        target=lambda: answers.append(clock.wait(threading.Event(), 3600)), daemon=True
    )
    waiting.start()
    clock.await_waiters()
    assert clock.next_due() == 3600
    clock.advance(3599)
    assert clock.waiters() == 1
    clock.advance(1)
    waiting.join(10)
    assert answers == [False]
    assert clock.waiters() == 0


def test_a_fake_wait_ends_at_once_when_the_event_is_set() -> None:
    clock, event = FakeClock(), threading.Event()
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(clock.wait(event, None)), daemon=True)
    waiting.start()
    clock.await_waiters()
    assert clock.next_due() is None
    event.set()
    waiting.join(10)
    assert answers == [True]
    assert clock.monotonic() == 0


def test_ten_small_steps_end_a_wait_of_their_sum() -> None:
    clock, event = FakeClock(), threading.Event()
    waiting = threading.Thread(target=clock.wait, args=(event, 1.0), daemon=True)
    waiting.start()
    clock.await_waiters()
    for _ in range(10):
        clock.advance(0.1)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_test_that_waits_for_nobody_is_told_so() -> None:
    with pytest.raises(TimeoutError, match="0 threads wait"):
        FakeClock().await_waiters(timeout=0.01)
