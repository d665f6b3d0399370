"""What `info()` says of a winner, and `svc_class`: facts for a command or a page, without a start."""

from __future__ import annotations

import pytest

from jsorc import MemoryHook, Orchestrator
from jsorc.errors import NotRegistered
from tests.services import orchestrator_with, recorded


def test_info_names_the_setting_and_the_needs_of_a_service() -> None:
    orchestrator = orchestrator_with({"thing": recorded()})
    orchestrator.service("other", needs=["thing"])(recorded())
    services = orchestrator.info()["services"]
    assert (services["thing"]["setting"], services["thing"]["needs"]) == ("THING_CONFIG", [])
    assert (services["other"]["setting"], services["other"]["needs"]) == (None, ["thing"])


def test_info_names_the_needs_of_a_repository() -> None:
    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.repository("hook", needs=["redis"])(MemoryHook)
    assert orchestrator.info()["repository"]["hook"]["needs"] == ["redis"]


def test_the_class_of_a_service_is_told_without_starting_it() -> None:
    thing = recorded()
    orchestrator = orchestrator_with({"thing": thing})
    assert orchestrator.svc_class("thing") is thing
    assert thing.made == []
    with pytest.raises(NotRegistered, match="thin"):
        orchestrator.svc_class("thin")
