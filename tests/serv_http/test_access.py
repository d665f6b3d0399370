"""Who may read, who may change, and what a request that is somebody else's gets."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from tests.serv_http.conftest import Shared
from tests.serv_http.site import Site

READS = ["/api/info", "/api/services", "/api/services/echo", "/api/plugins", "/api/candidates"]
PRIVATE = ["/api/services/echo/config", "/api/settings", "/api/settings/ECHO_CONFIG", "/api/me"]
CHANGES = [
    ("POST", "/api/services/echo/refresh", None, "restart_service"),
    ("POST", "/api/refresh", None, "restart_service"),
    ("PATCH", "/api/services/echo/config", {"limit": 5}, "change_config"),
    ("DELETE", "/api/services/echo/config", None, "change_config"),
    ("POST", "/api/services/echo/call/say", {"args": ["x"]}, "call_method"),
    ("POST", "/api/manifests", {"manifest": {"kind": "Demo"}}, "apply_manifest"),
    ("POST", "/api/services/echo/manifest", {"manifest": {"kind": "Demo"}}, "apply_manifest"),
    ("DELETE", "/api/services/echo/manifest", None, "apply_manifest"),
    ("POST", "/api/regenerate", None, "regenerate"),
]

REFUSE = """
import django
django.setup()
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils.timezone import now
from jsorc_serv.api.models import ApiToken
ApiToken.objects.filter(name="revoked-read").delete()
ApiToken.objects.filter(name="expired-read").update(expires=now() - timedelta(seconds=1))
User.objects.filter(username="inactive").update(is_active=False)
print("null")
"""


@pytest.mark.parametrize("path", [*READS, *PRIVATE])
def test_nobody_reads_without_a_login(shared: Shared, path: str) -> None:
    with shared.site.client() as client:
        answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"] == "Unauthenticated"


@pytest.mark.parametrize("path", [*READS, *PRIVATE])
@pytest.mark.parametrize("user", ["guest", "operator"])
def test_a_read_token_reads(shared: Shared, path: str, user: str) -> None:
    with shared.site.client(shared.tokens[user]["read"]) as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("token", ["jsorc_wrong", "wrong", "jsorc_" + "x" * 4000, "\u00fc"])
def test_a_wrong_token_is_refused_even_with_a_session(shared: Shared, token: str) -> None:
    with shared.site.log_in("operator") as client:
        header = b"Bearer " + token.encode("latin-1")
        answer = client.get("/api/services", headers=[(b"Authorization", header)])
    assert answer.status_code == 401


@pytest.mark.parametrize(("method", "path", "body", "role"), CHANGES)
def test_a_change_needs_its_role(shared: Shared, method: str, path: str, body: object, role: str) -> None:
    def ask(token: str | None) -> httpx.Response:
        with shared.site.client(token) as client:
            return client.request(method, path, json=body)

    assert ask(None).status_code == 401
    read_only = ask(shared.tokens["operator"]["read"])
    assert read_only.status_code == 403
    assert "for reading" in read_only.json()["detail"]
    assert ask(shared.tokens["guest"]["staff"]).status_code == 403
    helper = ask(shared.tokens["helper"]["staff"])
    assert helper.status_code == (200 if role == "restart_service" else 403)
    if helper.status_code == 403:
        assert f"jsorc_api.{role}" in helper.json()["detail"]
    assert ask(shared.tokens["operator"]["staff"]).status_code == 200


def test_a_session_needs_the_csrf_token_for_a_change(shared: Shared) -> None:
    with shared.site.log_in("operator") as client:
        assert client.post("/api/regenerate").status_code == 200
        del client.headers["X-CSRFToken"]
        answer = client.post("/api/regenerate")
        assert answer.status_code == 403
        assert "CSRF" in answer.json()["detail"]
        assert client.get("/api/services").status_code == 200


def test_a_request_of_another_site_is_refused(shared: Shared) -> None:
    with shared.site.log_in("operator") as client:
        answer = client.post("/api/regenerate", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_a_name_that_is_not_ours_is_refused(shared: Shared) -> None:
    with shared.site.client() as client:
        assert client.get("/login", headers={"Host": "evil.example"}).status_code == 400


def test_the_log_of_changes_is_for_staff_with_the_permission(shared: Shared) -> None:
    for user, status in (("guest", 403), ("helper", 403), ("operator", 200)):
        with shared.site.client(shared.tokens[user]["read"]) as client:
            assert client.get("/api/changes").status_code == status


def test_public_states_show_no_config(make_site: Callable[..., Site]) -> None:
    site = make_site(JSORC_SERV_CONFIG__PUBLIC_STATUS="true")
    with site.client() as client:
        assert client.get("/").status_code == 200
        echo = client.get("/api/services/echo").json()
        assert echo["state"] in {"NOT_STARTED", "STARTED", "RUNNING"}
        assert (echo["config"], echo["details"]) == ({}, {})
        for path in PRIVATE:
            assert client.get(path).status_code == 401
        assert client.post("/api/regenerate").status_code == 401


def test_somebody_who_asks_too_often_is_told_when_to_ask_again(make_site: Callable[..., Site]) -> None:
    site = make_site(JSORC_SERV_CONFIG__PUBLIC_STATUS="true", JSORC_SERV_CONFIG__THROTTLE__READS="5")
    with site.client() as client:
        answers = [client.get("/api/services") for _ in range(7)]
        assert client.get("/").status_code == 429
        assert client.get("/events").status_code == 429
    assert [answer.status_code for answer in answers][:5] == [200] * 5
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 12


def test_wrong_tokens_and_passwords_are_throttled_by_address(make_site: Callable[..., Site]) -> None:
    site = make_site(JSORC_SERV_CONFIG__THROTTLE__LOGINS="3")
    tokens = site.accounts(("reader", False, []))
    with site.client("jsorc_wrong") as client:
        assert [client.get("/api/me").status_code for _ in range(4)] == [401, 401, 401, 429]
    with site.client(tokens["reader"]["read"]) as client:
        assert client.get("/api/me").status_code == 429  # guessing does not go on with a right one either
    with site.client() as client:
        form = client.get("/login").text
        token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token is not None
        fields = {"username": "reader", "password": "wrong", "csrfmiddlewaretoken": token.group(1)}
        answer = client.post("/login", data=fields, headers={"Referer": site.base})
        assert answer.status_code == 429


def test_a_token_that_is_revoked_has_expired_or_whose_user_may_not_log_in_is_refused(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    users = ("revoked", "expired", "inactive", "kept")
    made = site.accounts(*((user, False, []) for user in users))
    tokens = {user: made[user]["read"] for user in users}

    def statuses() -> dict[str, int]:
        found = {}
        for user, token in tokens.items():
            with site.client(token) as client:
                found[user] = client.get("/api/me").status_code
        return found

    assert statuses() == dict.fromkeys(users, 200)
    site.run(REFUSE)
    assert statuses() == {"revoked": 401, "expired": 401, "inactive": 401, "kept": 200}
    with site.client(tokens["kept"]) as client:
        assert client.get("/api/me").json() == {"name": "kept", "means": "token kept-read", "roles": []}
