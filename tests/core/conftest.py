"""Fixtures for the tests of core: distributions that are installed for one test, and who looks for them.

Also a gate for what should hang, and orchestrators of the test's own services.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc.clock import SYSTEM
from tests.installed import Site
from tests.services import orchestrator_with


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of installed distributions, first on `sys.path`."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    made = Site(folder)
    yield made
    made.forget()


@pytest.fixture
def discovering(request: pytest.FixtureRequest) -> Iterator[Callable[..., Orchestrator]]:
    """Makes orchestrators that discover what `site` has, without this environment's own plugins.

    `discovering(JSORC_STRICT="1")` takes further environment variables.
    """
    own = {entry.dist.metadata["Name"] for entry in entry_points(group="jsorc.services") if entry.dist}
    request.getfixturevalue("site")
    made: list[Orchestrator] = []

    def make(**variables: str) -> Orchestrator:
        blocked = ",".join([*own, variables.pop("JSORC_PLUGINS_BLOCK", "")])
        environ = {"JSORC_SETTINGS": os.devnull, "JSORC_PLUGINS_BLOCK": blocked, **variables}
        made.append(Orchestrator(environ=environ))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.stop()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Set at the end, so that nothing of a test is left hanging in it."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def make(request: pytest.FixtureRequest, gate: threading.Event) -> Iterator[Callable[..., Orchestrator]]:
    """Makes orchestrators as `orchestrator_with` does, by the `clock` fixture where the test has it."""
    clock = request.getfixturevalue("clock") if "clock" in request.fixturenames else SYSTEM
    made: list[Orchestrator] = []

    def make(*args: Any, **options: Any) -> Orchestrator:
        made.append(orchestrator_with(*args, **{"clock": clock, **options}))
        return made[-1]

    yield make
    gate.set()
    for orchestrator in made:
        orchestrator.stop(timeout=5)
