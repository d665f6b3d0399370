"""How long the log of changes is kept, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.serv_http.site import Site

AGE = """
import django, json, sys
django.setup()
from datetime import timedelta
from django.utils.timezone import now
from jsorc_serv.api.models import AuditEntry
for days in json.loads(sys.argv[1]):
    AuditEntry.objects.create(actor=f"{days} days ago", at=now() - timedelta(days=days))
print("null")
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_entries_that_are_too_old_are_removed_at_the_first_change_of_a_process(
    kind: str, request: pytest.FixtureRequest, make_site: Callable[..., Site]
) -> None:
    variables = {"JSORC_SERV_CONFIG__AUDIT_DAYS": "30"}
    if kind == "postgresql":
        pytest.importorskip("psycopg")
        variables["DATABASE_URL"] = request.getfixturevalue("make_postgres")().url
    site = make_site(**variables)
    token = site.accounts(("operator", True, ["regenerate", "view_auditentry"]))["operator"]["staff"]
    site.run(AGE, str([29, *[31] * 1200, 400]))
    assert actors_after_a_change(site, token) == ["operator", "29 days ago"]
    site.run(AGE, "[31]")
    assert actors_after_a_change(site, token)[:2] == ["operator", "31 days ago"]  # it looks once an hour


def test_zero_days_keep_the_log_for_ever(make_site: Callable[..., Site]) -> None:
    site = make_site(JSORC_SERV_CONFIG__AUDIT_DAYS="0")
    token = site.accounts(("operator", True, ["regenerate", "view_auditentry"]))["operator"]["staff"]
    site.run(AGE, "[5000]")
    assert actors_after_a_change(site, token) == ["operator", "5000 days ago"]


def actors_after_a_change(site: Site, token: str) -> list[str]:
    with site.client(token) as client:
        assert client.post("/api/regenerate").status_code == 200
        entries: list[dict[str, Any]] = client.get("/api/changes", params={"limit": 500}).json()
        return [entry["actor"] for entry in entries]
