"""A secret that is in settings, errors and results leaves through no answer, no page and no log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.serv_http.conftest import ROLES
from tests.serv_http.site import SECRET, Site

KEY = "django-k3y-" + "0f9e8d7c6b5a" * 5
PASSWORD = "p4ssw0rd-of-the-database"

READS = """
/api/info /api/services /api/services/echo /api/services/broken /api/services/echo/config /api/settings
/api/settings/ECHO_CONFIG /api/settings/SERV_CONFIG /api/settings/REDIS_CONFIG /api/plugins /api/candidates
/api/changes /api/me /api/openapi.json /readyz /livez /metrics /snapshot /login
""".split()


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, make_site: Callable[..., Site]) -> Site:
    """A site whose settings are full of secrets, on each kind of database."""
    variables = {"DJANGO_SECRET_KEY": KEY, "REDIS_PASSWORD": SECRET, "JSORC_ECHO_CONFIG__API_KEY": SECRET}
    if request.param == "postgresql":
        pytest.importorskip("psycopg")
        variables["DATABASE_URL"] = request.getfixturevalue("make_postgres")(password=PASSWORD).url
    return make_site(**variables)


def test_a_secret_leaves_by_no_answer_and_no_log(site: Site) -> None:
    roles = [*ROLES, "view_auditentry"]
    tokens = site.accounts(("operator", True, roles))["operator"]
    said: dict[str, str] = {}
    with site.client(tokens["staff"]) as client:
        for path in READS:
            said[path] = client.get(path).text
        for path, body in CHANGES.items():
            said[path] = _text(client.post(path, json=body))
        said["config"] = _text(client.patch("/api/services/echo/config", json={"refuses": True}))
        said["secret"] = _text(client.patch("/api/services/echo/config", json={"api_key": SECRET}))
        said["unknown"] = _text(client.patch("/api/services/echo/config", json={"pasword": SECRET}))
        said["changes"] = client.get("/api/changes").text
    with site.log_in("operator") as session:
        said["page"] = session.get("/").text
        with session.stream("GET", "/events") as stream:
            said["events"] = next(line for line in stream.iter_lines() if line.startswith("data: {"))
    assert "********" in said["/api/settings/ECHO_CONFIG"]
    assert "********" in said["page"]
    site.stop()
    said["log"] = site.log
    leaks = [where for where, text in said.items() for each in (SECRET, KEY, PASSWORD) if each in text]
    assert leaks == []
    assert tokens["staff"] not in site.log


CHANGES: dict[str, Any] = {
    "/api/services/echo/call/fail": {},
    "/api/services/echo/call/tell_secret": {},
    "/api/services/echo/call/say": {"args": [SECRET]},
    "/api/services/broken/refresh": None,
    "/api/manifests": {"manifest": f"password: {SECRET}"},
    "/api/services/echo/manifest": {"manifest": f"password: {SECRET}", "keep": True},
    "/api/services/idle/manifest": {"manifest": {"kind": "Crash"}},
}


def _text(answer: httpx.Response) -> str:
    assert answer.status_code != 500
    return answer.text


def test_stored_secrets_are_masked_in_the_admin(make_site: Callable[..., Site]) -> None:
    import subprocess
    import sys

    site = make_site()
    code = (
        "import django; django.setup()\n"
        "from django.contrib.auth.models import User\n"
        "User.objects.create_superuser('root', password='a-long-enough-phrase')\n"
        "from jsorc import JsOrc\n"
        "with JsOrc.src('hook') as hook:\n"
        "    hook.save_obj('user:1', {'password': 'kept-in-the-store', 'name': 'Ada'})\n"
        "    hook.save_glob('motto', 'one commit')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={**site.env, "DJANGO_SETTINGS_MODULE": "jsorc_serv.settings"},
        check=True,
        capture_output=True,
    )
    with site.log_in("root") as client:
        listed = client.get("/admin/jsorc_serv/storedobject/").text
        shown = client.get("/admin/jsorc_serv/storedobject/user_3A1/change/").text
        globs = client.get("/admin/jsorc_serv/storedglob/?q=mot").text
    assert "user:1" in listed
    assert "Ada" in shown
    assert "motto" in globs
    assert "kept-in-the-store" not in listed + shown
