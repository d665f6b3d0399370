"""The OrmHook keeps the contract of every hook, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
from django.db import connections

from jsorc import Hook, Orchestrator
from jsorc.testing import HookContract


class TestOrmHook(HookContract):
    @pytest.fixture(autouse=True)
    def store(self, database: str, orchestrator: Orchestrator) -> None:
        self.alias = database
        self.orchestrator = orchestrator

    def make_hook(self) -> Hook:
        return self.orchestrator.src("hook", Hook)  # type: ignore[type-abstract]

    def leave_elsewhere(self) -> None:
        connections[self.alias].close()
