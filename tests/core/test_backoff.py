"""How long a failed service waits, with the draws of the jitter given."""

from __future__ import annotations

import random

import pytest

from jsorc.backoff import Backoff


class Draws(random.Random):
    """Always draws the same."""

    def __init__(self, value: float) -> None:
        self.value = value
        super().__init__()

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(("draw", "part"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_delays_double_to_the_cap_and_half_of_each_is_drawn(draw: float, part: float) -> None:
    backoff = Backoff(draw=Draws(draw))
    delays = [backoff.failed(100.0) - 100.0 for _ in range(9)]
    assert delays == pytest.approx([part * delay for delay in (1, 2, 4, 8, 16, 32, 60, 60, 60)])


def test_it_is_never_given_up() -> None:
    backoff = Backoff()
    for _ in range(5000):
        assert 0.5 <= backoff.failed(0.0) <= 60
    assert backoff.failures == 5000


def test_the_draws_spread_over_the_whole_upper_half() -> None:
    delays = [Backoff().failed(0.0) for _ in range(1000)]
    assert min(delays) < 0.55
    assert max(delays) > 0.95


def test_ten_minutes_of_health_begin_anew_and_less_do_not() -> None:
    for healthy, expected in ((599.9, 4.0), (600.0, 1.0)):
        backoff = Backoff(draw=Draws(1.0))
        backoff.failed(0.0)
        backoff.failed(1.0)
        backoff.succeeded(10.0)
        assert backoff.due is None
        now = 10.0 + healthy
        assert backoff.failed(now) - now == pytest.approx(expected)


def test_health_before_an_earlier_failure_does_not_count() -> None:
    backoff = Backoff(draw=Draws(1.0))
    backoff.succeeded(0.0)
    backoff.failed(700.0)
    assert backoff.healthy_since is None
    assert backoff.failed(1400.0) == pytest.approx(1402.0)


def test_a_failure_that_was_forgiven_does_not_lengthen_the_delay() -> None:
    backoff = Backoff(draw=Draws(1.0))
    for _ in range(5):
        assert backoff.failed(0.0) == pytest.approx(1.0)
        backoff.forgive()
    backoff.forgive()
    assert backoff.failures == 0
