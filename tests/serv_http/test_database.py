"""A database that is behind, ahead or gone: 503 and a sentence, never 500. And SQL where names are wanted."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

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


SQL = ["'; DROP TABLE auth_user; --", '" OR "1"="1', "echo' UNION SELECT password FROM auth_user --", "%' --"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sql_in_a_name_is_but_a_name(
    kind: str, request: pytest.FixtureRequest, make_site: Callable[..., Site]
) -> None:
    variables = {"JSORC_SERV_CONFIG__THROTTLE__LOGINS": "0"}
    if kind == "postgresql":
        pytest.importorskip("psycopg")
        variables["DATABASE_URL"] = request.getfixturevalue("make_postgres")().url
    site = make_site(**variables)
    token = site.accounts(("operator", True, [*ROLES, "view_auditentry"]))["operator"]["staff"]
    with site.client(token) as client:
        for text in SQL:
            name = quote(text, safe="")
            for method, path in (
                ("GET", f"services/{name}"),
                ("PATCH", f"services/{name}/config"),
                ("POST", f"services/{name}/refresh"),
                ("POST", f"services/echo/call/{name}"),
                ("GET", f"candidates/service/{name}"),
                ("GET", f"settings/{name}"),
            ):
                answer = client.request(method, f"/api/{path}", json={})
                assert answer.status_code == 404, f"{method} {path}: {answer.text}"
            assert client.get("/api/candidates/" + name + "/hook").status_code == 422
            assert client.get("/api/changes", params={"before": text}).status_code == 422
            stored = client.patch("/api/services/echo/config", json={"greeting": text})
            assert stored.status_code == 200
            assert client.get("/api/services/echo/config").json()["config"]["greeting"] == text
        assert client.delete("/api/services/echo/config").status_code == 200
    for text in SQL:
        with site.client(text) as stranger:
            assert stranger.get("/api/services").status_code == 401
        with site.client() as stranger:
            form = stranger.get("/login").text
            csrf = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', form)
            assert csrf is not None
            fields = {"username": text, "password": text, "csrfmiddlewaretoken": csrf.group(1)}
            page = stranger.post("/login", data=fields, headers={"Referer": f"{site.base}/login"})
            assert page.status_code == 200  # the form again, with what is wrong
            assert stranger.get("/api/me").status_code == 401
    with site.log_in("operator") as client:
        assert client.get("/api/me").json()["name"] == "operator"
    assert "Traceback" not in site.log
