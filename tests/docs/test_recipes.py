"""The recipe for gunicorn, with the files that the guide shows, on a real server with two workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LONG = 40.0
VISITS = 20


def files_of(page: Path) -> dict[str, str]:
    """The blocks of a page that are files, by their names."""
    return {match["name"]: match["code"] for match in FILE.finditer(page.read_text(encoding="utf-8"))}


def visit(port: int) -> str:
    """What the application answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LONG) as answer:
        text: str = answer.read().decode()
        return text


def first_visit(port: int, server: subprocess.Popen[bytes], log: Path) -> str:
    """The answer of a server that is coming up."""
    deadline = time.monotonic() + LONG
    while True:
        try:
            return visit(port)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)  # a server that listens tells nobody


@pytest.mark.timeout(120)
@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["imported by each worker", "preloaded"])
def test_the_recipe_for_gunicorn_serves_and_leaves_nothing_behind(
    options: list[str], tmp_path: Path, free_port: int
) -> None:
    from tests.servers import free_port as another_port

    redis_port, log = another_port(), tmp_path / "log"
    for name, code in files_of(ROOT / "docs" / "recipes.md").items():
        (tmp_path / name).write_text(code)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("JSORC", "REDIS"))
    }
    environment |= {
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "REDIS_PORT": str(redis_port),
        "JSORC_PLUGINS_ALLOW": "jsorc-redis",
    }
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{free_port}"]
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, *options, "shop:app"],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        first_visit(free_port, server, log)
        answers = [visit(free_port) for _ in range(VISITS)]
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            status = server.wait(LONG)
        finally:
            server.kill()
    counts = [int(answer.split()[1]) for answer in answers]
    assert counts == list(range(counts[0], counts[0] + VISITS)), log.read_text()
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{redis_port}/", timeout=5)
