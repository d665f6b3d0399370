"""The API and the page inside a Django project that exists already, under ASGI and under WSGI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serv_http.site import PASSWORD, environment

SETTINGS = """
SECRET_KEY = "x" * 60
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mine.urls"
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.staticfiles",
    "jsorc_serv", "jsorc_serv.api", "jsorc_serv.status", "ninja",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "mine.sqlite3"}}
STATIC_URL = "static/"
LOGIN_URL = "/admin/login/"
USE_TZ = True
"""
URLS = """
from django.contrib import admin
from django.urls import include, path
urlpatterns = [path("admin/", admin.site.urls), path("jsorc/", include("jsorc_serv.urls"))]
"""
ASGI = """
from django.core.asgi import get_asgi_application
from jsorc_serv.limits import Limits
application = Limits(get_asgi_application(), 1 << 20)
"""
CLIENT = """
import django, json, re
django.setup()
from django.contrib.auth.models import User
from django.test import Client
from jsorc import JsOrc
import tests.serv_http.demo

def status(answer):
    return answer.status_code

JsOrc.start()
User.objects.create_superuser("root", password="{password}")
anybody = Client()
found = {{"redirect": anybody.get("/jsorc/").url, "anybody": status(anybody.get("/jsorc/api/services"))}}
client = Client(enforce_csrf_checks=True)
client.login(username="root", password="{password}")
page = client.get("/jsorc/")
found["page"] = [status(page), page["Content-Security-Policy"].split(";")[0]]
found["services"] = sorted(each["name"] for each in client.get("/jsorc/api/services").json())
found["without csrf"] = status(client.post("/jsorc/api/regenerate"))
token = re.search('data-csrf="([^"]+)"', page.content.decode()).group(1)
found["with csrf"] = status(client.post("/jsorc/api/regenerate", headers={{"X-CSRFToken": token}}))
found["events"] = status(client.get("/jsorc/events"))
found["snapshot"] = client.get("/jsorc/snapshot").json()["schema"]
found["livez"] = status(client.get("/jsorc/livez"))
found["hook"] = type(JsOrc.src("hook")).__name__
JsOrc.stop()
print(json.dumps(found))
"""
ATOMIC_URLS = """
import time
from django.db import transaction
from django.http import JsonResponse
from django.urls import include, path
from jsorc import JsOrc

def change(request):
    began = time.monotonic()
    try:
        outcome = JsOrc.svc_config_set("echo", {"limit": 9}).persisted
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    return JsonResponse({"outcome": outcome, "seconds": time.monotonic() - began})

@transaction.non_atomic_requests
def change_outside(request):
    return change(request)

urlpatterns = [
    path("jsorc/", include("jsorc_serv.urls")),
    path("change", change),
    path("change-outside", change_outside),
]
"""
ATOMIC_CLIENT = """
import django, json
django.setup()
from django.contrib.auth.models import User
from django.test import Client
from jsorc import JsOrc
from jsorc_serv.api.models import AuditEntry
from jsorc_serv.api.tokens import make_token
import tests.serv_http.demo

JsOrc.start()
token = make_token("t", User.objects.create_superuser("root"), "staff")[1]
client = Client(headers={"Authorization": f"Bearer {token}"})
here = "/jsorc/api/services/echo"
found = {"refused": client.get("/change").json(), "done": client.get("/change-outside").json()}

def asked(name, method, path, body=None):
    answer = getattr(client, method)(path, body, content_type="application/json")
    found[name] = answer.status_code

asked("config", "patch", f"{here}/config", {"limit": 8})
asked("wrong config", "patch", f"{here}/config", {"limit": "many"})
asked("unset", "delete", f"{here}/config")
asked("restart", "post", f"{here}/refresh")
asked("call", "post", f"{here}/call/say", {"args": ["x"]})
asked("manifest", "post", f"{here}/manifest", {"manifest": {"kind": "Demo"}})
asked("regenerate", "post", "/jsorc/api/regenerate")
for path in ("", "snapshot", "events", "readyz", "api/info", "api/changes"):
    asked(path or "page", "get", f"/jsorc/{path}")
found["log"] = [entry.outcome.split(":")[0] for entry in AuditEntry.objects.order_by("id")]
JsOrc.stop()
print(json.dumps(found))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A migrated project named `mine`."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in {"__init__": "", "settings": SETTINGS, "urls": URLS, "asgi": ASGI}.items():
        (folder / f"{name}.py").write_text(text)
    done = python(tmp_path, "-m", "django", "migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    return tmp_path


def variables(folder: Path) -> dict[str, str]:
    found = environment(folder, DJANGO_SETTINGS_MODULE="mine.settings")
    return {**found, "PYTHONPATH": f"{folder}{os.pathsep}{found['PYTHONPATH']}"}


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=variables(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_project_includes_it_under_wsgi(project: Path) -> None:
    done = python(project, "-c", textwrap.dedent(CLIENT.format(password=PASSWORD)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "redirect": "/admin/login/?next=/jsorc/",
        "anybody": 401,
        "page": [200, "default-src 'none'"],
        "services": ["broken", "echo", "idle"],
        "without csrf": 403,
        "with csrf": 200,
        "events": 501,
        "snapshot": 1,
        "livez": 200,
        "hook": "OrmHook",
    }


@pytest.mark.parametrize(
    "options", [{}, {"transaction_mode": "IMMEDIATE", "timeout": 5}], ids=["as Django has it", "immediate"]
)
def test_a_project_whose_requests_are_transactions_is_refused_at_once_or_served(
    options: dict[str, Any], project: Path
) -> None:
    settings = project / "mine" / "settings.py"
    settings.write_text(
        f"{SETTINGS}\nDATABASES['default'] |= {{'ATOMIC_REQUESTS': True, 'OPTIONS': {options}}}\n"
    )
    (project / "mine" / "urls.py").write_text(ATOMIC_URLS)
    done = python(project, "-c", ATOMIC_CLIENT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    refused = found.pop("refused")
    assert refused["outcome"].startswith("ServiceUnavailable")
    assert "non_atomic_requests" in refused["outcome"]
    assert refused["seconds"] < 2
    assert found.pop("done")["outcome"] is True
    assert found == {
        "config": 200,
        "wrong config": 422,
        "unset": 200,
        "restart": 200,
        "call": 200,
        "manifest": 200,
        "regenerate": 200,
        "page": 200,
        "snapshot": 200,
        "events": 501,
        "readyz": 503,
        "api/info": 200,
        "api/changes": 200,
        "log": ["done", "ConfigError", "done", "done", "done", "done", "done"],
    }


def test_the_check_of_a_project_names_what_is_missing(project: Path) -> None:
    assert python(project, "-m", "django", "check").returncode == 0
    settings = project / "mine" / "settings.py"
    settings.write_text(settings.read_text().replace(', "ninja"', ""))
    done = python(project, "-m", "django", "check")
    assert done.returncode == 1
    assert "jsorc_api.E002" in done.stderr


def test_a_project_includes_it_under_asgi(project: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "mine.asgi:application", "--port", "0", "--lifespan", "off"]
    server = subprocess.Popen(
        command,
        env=variables(project),
        cwd=project,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if match := re.search(r"running on (http://\S+)", line):
                break
        else:
            raise AssertionError("it did not start")
        make = (
            "import django; django.setup()\n"
            "from django.contrib.auth.models import User\n"
            "from jsorc_serv.api.tokens import make_token\n"
            "print(make_token('t', User.objects.create_user('u'))[1])"
        )
        token = python(project, "-c", make).stdout.strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=match.group(1), headers=headers, trust_env=False) as client:
            assert client.get("/jsorc/api/services").status_code == 200
            with client.stream("GET", "/jsorc/events") as stream:
                assert any(line.startswith("data: {") for line in stream.iter_lines())
            assert client.get("/jsorc/livez").status_code == 200
            assert client.get("/jsorc/readyz").json()["problem"] == "JsOrc.start() was not called yet"
    finally:
        server.terminate()
        server.communicate(timeout=20)
