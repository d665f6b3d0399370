"""Fixtures for the tests of core: distributions that are installed for one test, and who looks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from jsorc import Orchestrator
from tests.installed import Site


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
