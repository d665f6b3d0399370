"""A database that is behind, ahead or gone: 503 and a sentence, never 500."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serv_http.conftest import ROLES
from tests.serv_http.site import Site


def file_of(site: Site) -> Path:
    return site.home / "data" / "jsorc" / "serv" / "default.sqlite3"


def test_a_database_that_is_behind_is_said(make_site: Callable[..., Site]) -> None:
    site = make_site()
    tokens = site.accounts(("operator", True, list(ROLES)))
    site.await_state("echo", "RUNNING", tokens["operator"]["read"])
    with sqlite3.connect(file_of(site)) as database:
        database.execute("ALTER TABLE jsorc_api_auditentry RENAME TO hidden")
    with site.client(tokens["operator"]["staff"]) as client:
        before = client.get("/api/services/echo").json()["attempts"]
        answer = client.post("/api/services/echo/refresh")
        assert answer.status_code == 503  # what cannot be logged is not done
        assert client.get("/api/services/echo").json()["attempts"] == before
        assert "does not have the tables" in answer.json()["detail"]
        assert client.get("/api/services/echo").status_code == 200
    with sqlite3.connect(file_of(site)) as database:
        database.execute("ALTER TABLE jsorc_api_apitoken RENAME TO hidden2")
        database.execute("ALTER TABLE django_session RENAME TO hidden3")
    with site.client(tokens["operator"]["staff"]) as client:
        assert client.get("/api/services").status_code == 503
    with site.client(cookies={"jsorc_session": "x" * 32}) as client:
        for path in ("/", "/events", "/snapshot", "/admin/"):
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert "Traceback" not in answer.text
        assert client.get("/livez").status_code == 200


def test_a_database_that_is_ahead_is_served(make_site: Callable[..., Site]) -> None:
    site = make_site()
    tokens = site.accounts(("operator", True, list(ROLES)))
    with sqlite3.connect(file_of(site)) as database:
        row = ("jsorc_serv", "9999_the_future", "2099-01-01 00:00:00")
        database.execute("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, ?)", row)
    site.stop()
    again = make_site()
    with again.client(tokens["operator"]["staff"]) as client:
        assert client.get("/api/services").status_code == 200
    assert "newer jsorc-serv" in again.log


@pytest.mark.timeout(180)
def test_a_database_that_goes_and_comes_is_not_ready_meanwhile(
    make_site: Callable[..., Site], make_postgres: Callable[..., Any]
) -> None:
    pytest.importorskip("psycopg")
    server = make_postgres()
    site = make_site(DATABASE_URL=server.url, JSORC_BROKEN_CONFIG__ENABLED="false")
    tokens = site.accounts(("operator", True, list(ROLES)))
    with site.client(tokens["operator"]["staff"]) as client:
        assert client.get("/api/services").status_code == 200
        server.stop()
        answer = client.get("/api/services")
        assert answer.status_code == 503
        assert "Traceback" not in answer.text
        assert "database" in client.get("/readyz").json()["waiting"]
        assert client.get("/livez").status_code == 200
        server.start()
        assert client.get("/api/services").status_code == 200
