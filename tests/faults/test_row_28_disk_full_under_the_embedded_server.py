"""Row 28: the disk is full under the embedded server; a small tmpfs stands for the disk.

The error says that the disk is full, and what was acknowledged is there once there is room again.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from jsorc import Orchestrator
from jsorc.errors import JsOrcError
from tests.redis.orchestrators import redis_orchestrator
from tests.servers import free_port

T = TypeVar("T")

SMALL, LARGE = "12m", "96m"
AGAIN_WITHIN = 90.0
PAUSE = 0.2
TEXT = "x" * 100_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}; it takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_room(folder: Path) -> None:
    """Gives the file system more space than the test will fill."""
    subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(folder)], check=True)


def fill(orchestrator: Orchestrator) -> tuple[list[str], JsOrcError]:
    """Commits objects until one is refused; the ids that were acknowledged, and the error."""
    acknowledged: list[str] = []
    for number in range(1_000):
        unit = orchestrator.src("hook")
        unit.save_obj(f"object:{number:04d}", {"number": number, "text": TEXT})
        try:
            unit.commit()
        except JsOrcError as error:
            return acknowledged, error
        acknowledged.append(f"object:{number:04d}")
    raise AssertionError("the disk never became full")


@pytest.mark.timeout(150)
@pytest.mark.parametrize("appendfsync", ["always", "everysec"])
def test_a_full_disk_is_named_and_nothing_acknowledged_is_lost(
    appendfsync: str, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    orchestrator = redis_orchestrator(
        port=free_port(),
        ping_interval=0.5,
        embedded={"data_dir": str(small_disk / "data"), "appendfsync": appendfsync},
    )
    try:
        orchestrator.start()
        assert orchestrator.ready().ok
        acknowledged, error = fill(orchestrator)
        assert "disk" in str(error).lower()
        assert len(acknowledged) > 10
        make_room(small_disk)
        unit = orchestrator.src("hook")
        found = once_it_serves(lambda: unit.get_objs(acknowledged))
        assert list(found) == acknowledged
        assert all(found[name]["text"] == TEXT for name in acknowledged)
        unit.save_obj("after", {"there": "is room"})
        once_it_serves(unit.commit)
        assert orchestrator.src("hook").get_obj("after") == {"there": "is room"}
    finally:
        orchestrator.stop()


def once_it_serves(ask: Callable[[], T]) -> T:
    """Asks until the server has noticed that there is room, or was started again if it gave up."""
    pause = threading.Event()
    for _ in range(int(AGAIN_WITHIN / PAUSE)):
        try:
            return ask()
        except JsOrcError as error:
            refused = error
        pause.wait(PAUSE)  # the server looks once a second; nothing tells when
    raise refused
