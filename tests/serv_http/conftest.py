"""The fixtures of the tests over HTTP: one site with users of each kind, and sites of a test's own.

How a site is run is in site.py; the services that it has are in demo.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serv_http.site import Site

ROLES = ("restart_service", "change_config", "call_method", "apply_manifest", "regenerate")


@dataclass(frozen=True)
class Shared:
    """The site that tests share, and the tokens of its users: `tokens[user][scope]`."""

    site: Site
    tokens: dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A site without limits of how often; what a test changes in it, it changes back."""
    site = Site(
        tmp_path_factory.mktemp("site"),
        JSORC_SERV_CONFIG__THROTTLE__READS="0",
        JSORC_SERV_CONFIG__THROTTLE__CHANGES="0",
        JSORC_SERV_CONFIG__THROTTLE__LOGINS="0",
    )
    try:
        roles = list(ROLES)
        tokens = site.accounts(
            ("operator", True, [*roles, "view_auditentry"]),
            ("guest", False, roles),  # not staff, so that its permissions are worth nothing here
            ("helper", True, ["restart_service"]),
        )
        for service, state in (("echo", "RUNNING"), ("broken", "FAILED")):
            site.await_state(service, state, tokens["operator"]["read"])
        yield Shared(site, tokens)
    finally:
        site.stop()


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts sites: `make_site("--host", "::1", NAME="value")`; all are stopped after the test."""
    made: list[Site] = []

    def make(*options: str, **variables: Any) -> Site:
        site = Site(tmp_path / "site", *options, **variables)
        made.append(site)
        return site

    yield make
    for site in made:
        site.stop()
