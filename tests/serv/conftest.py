"""The fixtures of the tests of jsorc-serv: a Django project over two databases, and a PostgreSQL.

How a PostgreSQL is started is in postgres.py, the project in project.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsorc import Orchestrator
from tests.conftest import start_or_skip
from tests.environment import with_plugins
from tests.serv.postgres import PostgresServer
from tests.servers import free_port


@pytest.fixture(scope="session")
def postgres_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, postgres_port: int) -> None:
    """Django, configured for this process; `migrated` makes the tables."""
    from tests.serv.project import configure

    configure(tmp_path_factory.mktemp("project"), postgres_port)


@pytest.fixture(scope="session")
def shared_postgres(postgres_port: int) -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that leave it running."""
    server = PostgresServer(postgres_port)
    try:
        yield start_or_skip(server)
    finally:
        server.remove()


@pytest.fixture(params=["default", "postgres"])
def database(request: pytest.FixtureRequest, project: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each kind of database in turn, by its alias: migrated, empty, and the one that the router names."""
    alias: str = request.param
    if alias == "postgres":
        request.getfixturevalue("shared_postgres")
    from django.core.management import call_command
    from django.db import connections

    from jsorc_serv.models import StoredGlob, StoredObject
    from tests.serv.project import Router

    monkeypatch.setattr(Router, "chosen", alias)
    call_command("migrate", database=alias, verbosity=0)
    yield alias
    for model in (StoredObject, StoredGlob):
        model._base_manager.using(alias).all().delete()
    connections[alias].close()


@pytest.fixture
def orchestrator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orchestrator]:
    """An orchestrator whose hook is the OrmHook, and which sees no outside setting."""
    clean_environment(monkeypatch, tmp_path)
    orchestrator = Orchestrator(environ=with_plugins("jsorc-serv"))
    orchestrator.configure(JSORC_CONFIG={"control": False})
    yield orchestrator
    orchestrator.stop()


def clean_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name in os.environ:
        if name.startswith(("JSORC_", "REDIS_", "POSTGRES_", "DATABASE_URL", "DBNAME", "DJANGO_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
