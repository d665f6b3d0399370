"""Row 28: the disk is full under the embedded server; a small tmpfs stands for the disk.

The error says that the disk is full, and what was acknowledged is there once there is room again.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsorc import Orchestrator
from jsorc.errors import JsOrcError
from tests.redis.orchestrators import redis_orchestrator
from tests.servers import free_port
from tests.services import LONG, Listener

SMALL, LARGE = "12m", "96m"
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
    listener = Listener()
    orchestrator.listen(listener)
    try:
        orchestrator.start()
        assert orchestrator.ready().ok
        acknowledged, error = fill(orchestrator)
        assert "disk" in str(error).lower()
        assert len(acknowledged) > 10
        make_room(small_disk)
        running_again(orchestrator, listener)
        unit = orchestrator.src("hook")
        found = unit.get_objs(acknowledged)
        assert list(found) == acknowledged
        assert all(found[name]["text"] == TEXT for name in acknowledged)
        unit.save_obj("after", {"there": "is room"})
        commit_when_it_writes_again(unit)
        assert orchestrator.src("hook").get_obj("after") == {"there": "is room"}
    finally:
        orchestrator.stop()


def running_again(orchestrator: Orchestrator, listener: Listener) -> None:
    """Waits for the service, where the server gave up and was started again."""
    if not orchestrator.svc("redis").is_running() or listener.states("redis").count("FAILED") > 1:
        listener.await_state("redis", "RUNNING", listener.states("redis").count("FAILED"), timeout=90)


def commit_when_it_writes_again(unit: object) -> None:
    """Commits the same staged work until the server has noticed that there is room."""
    done = threading.Event()
    for _ in range(int(LONG / 0.2)):
        try:
            unit.commit()  # type: ignore[attr-defined]
            return
        except JsOrcError as error:
            refused = error
        done.wait(0.2)  # the server looks once a second; nothing tells when
    raise refused
