"""The buckets that say how often somebody may ask, with a clock that the test moves."""

from __future__ import annotations

from jsorc_serv.api.throttle import MOST, Throttles


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_lets_as_many_through_as_a_minute_has_and_fills_evenly() -> None:
    clock = Clock()
    throttles = Throttles(clock)
    assert [throttles.take("reads", "ada", 3) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert throttles.take("reads", "ada", 3) == 20.0
    clock.now += 20.0
    assert throttles.take("reads", "ada", 3) == 0.0
    assert throttles.take("reads", "ada", 3) == 20.0


def test_everybody_and_every_kind_has_a_bucket_of_its_own() -> None:
    throttles = Throttles(Clock())
    assert throttles.take("reads", "ada", 1) == 0.0
    assert throttles.take("reads", "ada", 1) > 0.0
    assert throttles.take("reads", "grace", 1) == 0.0
    assert throttles.take("changes", "ada", 1) == 0.0


def test_looking_takes_nothing() -> None:
    throttles = Throttles(Clock())
    assert [throttles.wait("logins", "::1", 1) for _ in range(3)] == [0.0, 0.0, 0.0]
    throttles.take("logins", "::1", 1)
    assert throttles.wait("logins", "::1", 1) == 60.0


def test_zero_sets_no_limit() -> None:
    throttles = Throttles(Clock())
    assert {throttles.take("reads", "ada", 0) for _ in range(1000)} == {0.0}


def test_the_number_of_buckets_is_bounded() -> None:
    throttles = Throttles(Clock())
    throttles.take("reads", "first", 1)
    for number in range(MOST):
        throttles.take("reads", str(number), 1)
    assert throttles.take("reads", "first", 1) == 0.0  # it was forgotten
