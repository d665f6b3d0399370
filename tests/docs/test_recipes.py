"""The recipe for gunicorn, with the files that the guide shows, on a real server with two workers.

Those for a Django project are in test_django.py.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.environment import inherited

ROOT = Path(__file__).parents[2]
FILE = re.compile(
    r"^<!-- (?P<how>file|more): (?P<name>\S+) -->\n(?:<!-- skip: [^\n]* -->\n)?```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LONG = 40.0
VISITS = 20


def write_files_of(page: str, folder: Path) -> None:
    """Write the blocks of a page that are files, and add those that are more of a file."""
    for match in FILE.finditer((ROOT / "docs" / page).read_text(encoding="utf-8")):
        with (folder / match["name"]).open("w" if match["how"] == "file" else "a") as file:
            file.write(match["code"])


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
    write_files_of("recipes.md", tmp_path)
    environment = {
        **inherited(),
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
