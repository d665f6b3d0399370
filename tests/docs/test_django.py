"""The recipe for a Django project, with the files that the guide shows, on real servers: ASGI and WSGI."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.docs.test_recipes import write_files_of
from tests.environment import inherited

LONG = 40.0
PASSWORD = "a-long-enough-phrase"
ASGI = ["uvicorn", "mysite.asgi:application", "--timeout-graceful-shutdown", "5", "--port"]
WSGI = ["gunicorn", "--workers", "2", "mysite.wsgi", "--bind"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project of the page, migrated and checked, with a superuser."""
    run(tmp_path, "django", "startproject", "mysite", ".")
    write_files_of("django.md", tmp_path)
    for command in (["migrate", "--verbosity", "0"], ["check"]):
        run(tmp_path, "django", *command)
    run(tmp_path, "django", "createsuperuser", "--noinput", "--username", "root", "--email", "r@example.org")
    return tmp_path


def variables(folder: Path) -> dict[str, str]:
    return {
        **inherited(),
        "XDG_DATA_HOME": str(folder / "data"),
        "JSORC_PLUGINS_ALLOW": "jsorc-serv",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }


def run(folder: Path, *arguments: str) -> None:
    """One command of the page."""
    started = (folder / "mysite").is_dir()
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**variables(folder), **({"DJANGO_SETTINGS_MODULE": "mysite.settings"} if started else {})},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def served(project: Path, command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server while it runs; at the end it has stopped by itself when it was told to."""
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=variables(project),
            cwd=project,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield server
        server.send_signal(signal.SIGTERM)
        assert server.wait(LONG) in (0, -signal.SIGTERM), log.read_text()
    finally:
        server.kill()
        server.wait()


def first(client: httpx.Client, path: str, server: subprocess.Popen[bytes], log: Path) -> httpx.Response:
    """The answer of a server that is coming up."""
    deadline = time.monotonic() + LONG
    while True:
        try:
            return client.get(path)
        except httpx.TransportError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)  # a server that listens tells nobody


def log_in(client: httpx.Client) -> None:
    """Log in as the page says: by the login of the admin."""
    form = client.get("/jsorc/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None, form
    fields = {"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": token.group(1)}
    page = client.post("/admin/login/?next=/jsorc/", data=fields)
    assert 'data-csrf="' in page.text


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_the_recipe_for_a_django_project_serves_and_ends(kind: str, project: Path, free_port: int) -> None:
    log = project / "log"
    command = [*ASGI, str(free_port)] if kind == "asgi" else [*WSGI, f"127.0.0.1:{free_port}"]
    address = f"http://127.0.0.1:{free_port}"
    with (
        httpx.Client(base_url=address, follow_redirects=True, timeout=30, trust_env=False) as client,
        served(project, command, log) as server,
    ):
        assert first(client, "/greet/Ada", server, log).text == "Hello, Ada: visit 1"
        assert client.get("/greet/Ada").text == "Hello, Ada: visit 2"
        log_in(client)
        services = client.get("/jsorc/api/services").json()
        assert [(each["name"], each["state"]) for each in services] == [("greeter", "RUNNING")]
        assert client.get("/jsorc/readyz").json()["ready"] is True
        assert "Traceback" not in log.read_text()
        if kind == "asgi":  # a page that stays open does not hold the server for ever
            stream = client.send(client.build_request("GET", "/jsorc/events"), stream=True)
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("data: {"))
        else:
            assert client.get("/jsorc/events").status_code == 501
