"""Row 28, for the OrmHook on SQLite: the disk is full, on a small tmpfs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serv.processes import Script

FILL = """
import json, sys
from jsorc import JsOrc, ServiceUnavailable

hook = JsOrc.src("hook")
acknowledged = 0
while True:
    for number in range(20):
        hook.save_obj(f"{acknowledged + number:06d}", "x" * 2_000)
    try:
        hook.commit()
    except ServiceUnavailable as error:
        message = str(error)
        break
    acknowledged += 20
print(json.dumps([acknowledged, message]), flush=True)

other = JsOrc.src("hook")
found = other.get_objs(other.list_objs())
print(json.dumps([len(found), set(found.values()) == {"x" * 2_000}, other.list_objs()[-1]]), flush=True)

sys.stdin.readline()  # there is space again
hook.commit()
print(json.dumps(len(JsOrc.src("hook").list_objs())), flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = f"no small tmpfs can be mounted (it takes root): {done.stderr.strip()}"
        if os.environ.get("CI") == "true" and os.getuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_write_is_refused_by_name_and_what_was_acknowledged_is_there(
    small_disk: Path, tmp_path: Path
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 600_000)
    path = small_disk / "objects.sqlite3"
    with Script(FILL, tmp_path, JSORC_SERV_CONFIG__DATABASE__PATH=str(path)) as script:
        acknowledged, message = script.hear()
        assert acknowledged > 0
        assert "disk is full" in message
        assert str(path) in message
        assert "Nothing of the commit was stored" in message
        assert script.hear() == [acknowledged, True, f"{acknowledged - 1:06d}"]

        ballast.unlink()
        script.tell("there is space again\n")
        assert script.hear() == acknowledged + 20
        assert script.finish().returncode == 0
