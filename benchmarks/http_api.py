"""What `/livez` and `/api/services` do under 200 connections at once, next to a bare view of Django.

The load is wrk's, from this machine; every figure is of one server process, one endpoint after the other. An
answer that is no 2xx, or a connection that breaks, ends the benchmark.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import Row

__all__ = ["rows"]

CONNECTIONS = 200
SECONDS = int(os.environ.get("JSORC_LOAD_SECONDS", "30"))
ROOT = Path(__file__).parents[1]

_TOKEN = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from jsorc_serv.api.tokens import make_token
print(make_token("load", User.objects.create_user("load"))[1])
"""


def rows() -> Iterator[Row]:
    """The 99th percentile of each endpoint, in milliseconds."""
    if shutil.which("wrk") is None:
        raise SystemExit("no wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="jsorc-bench-") as folder, _server(Path(folder)) as (base, token):
        endpoints = [
            ("bare view", "/bare", ()),
            ("/livez", "/livez", ()),
            ("/api/services, public", "/api/services", ()),
            ("/api/services, by token", "/api/services", ("-H", f"Authorization: Bearer {token}")),
        ]
        for what, path, headers in endpoints:
            p50, p99, rate = _load(base + path, headers)
            yield Row(f"{what}: p99", f"{CONNECTIONS} connections, {rate:.0f}/s", p99, p50, p99, "ms")


def _load(url: str, headers: tuple[str, ...]) -> tuple[float, float, float]:
    """Median and 99th percentile in milliseconds, and answers a second."""
    command = [
        "wrk",
        "--latency",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{SECONDS}s",
        "--timeout",
        "20s",
        *headers,
        url,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"errors under load at {url}:\n{said}")
    found = {
        name: _milliseconds(value) for name, value in re.findall(r"^ +(50|99)% +(\S+)", said, re.MULTILINE)
    }
    rate = re.search(r"Requests/sec:\s+(\S+)", said)
    assert rate is not None, said
    return found["50"], found["99"], float(rate.group(1))


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


@contextmanager
def _server(home: Path) -> Iterator[tuple[str, str]]:
    """A site of its own; gives its address, and a token that may read."""
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JSORC_", "DATABASE_"))},
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "benchmarks.http_site",
        "JSORC_PLUGINS_BLOCK": "jsorc-redis",
        "JSORC_SERV_CONFIG__PUBLIC_STATUS": "true",
        "JSORC_SERV_CONFIG__THROTTLE": '{"reads": 0, "changes": 0, "logins": 0}',
    }
    token = subprocess.run(
        [sys.executable, "-c", _TOKEN], env=variables, capture_output=True, text=True, check=True
    ).stdout.strip()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "jsorc_serv.asgi:application",
        "--port",
        "0",
        "--no-access-log",
    ]
    server = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if match := re.search(r"running on (http://\S+)", line):
                break
        else:
            raise SystemExit("the site did not start")
        with urllib.request.urlopen(f"{match.group(1)}/api/services", timeout=10):  # and is warm
            yield match.group(1), token
    finally:
        server.terminate()
        server.communicate(timeout=30)
