"""Runs `jsorc serve` in a process of its own and talks to it as a browser or a script would."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.environment import at_home

__all__ = ["PASSWORD", "SECRET", "SUPERUSER", "Site", "environment"]

SECRET = "s3kr3t-of-the-tests-7f2a"
PASSWORD = "a-long-enough-phrase"
SUPERUSER = "root"

_ACCOUNTS = """
import django, json, sys
django.setup()
from django.contrib.auth.models import Permission, User
from jsorc_serv.api.tokens import make_token
made = {}
for name, staff, roles in json.loads(sys.argv[1]):
    user = User.objects.create_user(name, password=sys.argv[2], is_staff=staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=roles))
    made[name] = {scope: make_token(f"{name}-{scope}", user, scope)[1] for scope in ("read", "staff")}
print(json.dumps(made))
"""
_SUPERUSER = """
import django, sys
django.setup()
from django.contrib.auth.models import User
name, mail, password = sys.argv[1:]
User.objects.filter(username=name).exists() or User.objects.create_superuser(name, mail, password)
print("null")
"""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The variables of a process that sees no outside setting and no Redis."""
    ours = {"JSORC_PLUGINS_BLOCK": "jsorc-redis,jsorc-task", "ECHO_API_KEY": SECRET}
    return at_home(home, **{**ours, **variables})


class Site:
    """One `jsorc serve`, with its data in a folder.

    Args:
        home: The folder; a site that is started again there has the same data.
        options: Further arguments.
        app: The module with the application's services.
        variables: Further environment variables.
    """

    def __init__(
        self, home: Path, *options: str, app: str | None = "tests.serv_http.demo", **variables: str
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.env = environment(home, **variables)
        arguments = ["serve", "--port", "0", *(["--app", app] if app else []), *options]
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jsorc_serv", *arguments],
            env=self.env,
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.base = self.said(r"JsOrc is at (http\S+)/").group(1)
        self.said("Application startup complete")

    @property
    def log(self) -> str:
        """What it has said so far."""
        return "".join(self._lines)

    def said(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Wait until it has said something, and give the match."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, self.log)
            if match is not None:
                found.append(match)
            return match is not None or self._ended

        with self._said:
            self._said.wait_for(look, timeout)
        assert found, f"it did not say {pattern!r}:\n{self.log}"
        return found[0]

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client of the API."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.base, headers=headers, timeout=30, trust_env=False, **options)

    def await_state(self, service: str, state: str, token: str) -> None:
        """Watch its stream until a service is in a state: a site serves before its services run."""
        with self.client(token) as client, client.stream("GET", "/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: {"):
                    states = {each["name"]: each["state"] for each in json.loads(line[6:])["services"]}
                    if states.get(service) == state:
                        return
        raise AssertionError(f"{service} was not {state} when the stream ended:\n{self.log}")

    def accounts(self, *wanted: tuple[str, bool, list[str]]) -> dict[str, dict[str, str]]:
        """Make users with a password, and a token of each scope for each: (name, staff, permissions)."""
        found: dict[str, dict[str, str]] = self.run(_ACCOUNTS, json.dumps(wanted), PASSWORD)
        return found

    def superuser(self) -> None:
        """Make the user who may do everything, unless it is there."""
        self.run(_SUPERUSER, SUPERUSER, "root@localhost", PASSWORD)

    def run(self, code: str, *arguments: str) -> Any:
        """Run a script on the site's data, in a process of its own; what it printed as JSON is its answer."""
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**self.env, "DJANGO_SETTINGS_MODULE": "jsorc_serv.settings"},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def log_in(self, name: str, password: str = PASSWORD) -> Iterator[httpx.Client]:
        """A client with a session, as a browser has one; the CSRF token of the page is a header of it."""
        with self.client(follow_redirects=True) as client:
            self._log_in(client, name, password)
            yield client

    def _log_in(self, client: httpx.Client, name: str, password: str) -> None:
        form = client.get("/login").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token is not None, form
        page = client.post(
            "/login",
            data={"username": name, "password": password, "csrfmiddlewaretoken": token.group(1), "next": "/"},
            headers={"Referer": f"{self.base}/login"},
        )
        csrf = re.search(r'data-csrf="([^"]+)"', page.text)
        assert csrf is not None, page.text
        client.headers["X-CSRFToken"] = csrf.group(1)
        client.headers["Origin"] = self.base

    def stop(self, timeout: float = 20.0) -> int:
        """Ask it to end, and give its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reading.join(5)
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                with self._said:
                    self._lines.append(line)
                    self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()
