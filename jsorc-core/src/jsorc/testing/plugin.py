"""The pytest plugin: an orchestrator for each test, and a clock for it that the test moves.

It is loaded into every pytest run, so it imports nothing of JsOrc until a fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsorc import Orchestrator
    from jsorc.testing.clock import FakeClock

__all__ = ["clock", "jsorc"]

# The suites are not test modules by name, and their assertions should explain themselves all the same.
pytest.register_assert_rewrite("jsorc.testing.hook_contract", "jsorc.testing.service_contract")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it; the `jsorc` fixture's orchestrator goes by it."""
    from jsorc.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def jsorc(request: pytest.FixtureRequest) -> Iterator[Orchestrator]:
    """A fresh orchestrator that finds the installed plugins, stopped after the test.

    It goes by the `clock` fixture where the test asks for that as well, and else by the system's clock.
    """
    from jsorc import Orchestrator
    from jsorc.clock import SYSTEM, Clock

    # A project may have a fixture of this name that is something else.
    chosen = request.getfixturevalue("clock") if "clock" in request.fixturenames else SYSTEM
    orchestrator = Orchestrator(clock=chosen if isinstance(chosen, Clock) else SYSTEM)
    yield orchestrator
    orchestrator.stop()
