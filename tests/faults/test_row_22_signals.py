"""Row 22: SIGTERM during start, during regeneration and during stop, SIGINT while it runs.

The process ends within 25 s, leaves no child process behind and shows no traceback. Each case is a process of
its own, whose service owns a child process and hangs where the case wants it to.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXIT_WITHIN = 25.0

APPLICATION = """
import sys, threading
from jsorc import JsOrc, CommonService

case = sys.argv[1]
forever = threading.Event()

def say(what):
    print(what, flush=True)

@JsOrc.service("holder", config="HOLDER_CONFIG")
class Holder(CommonService):
    def run(self):
        self.app = self
    def post_run(self):
        self.spawn_process(child=[sys.executable, "-c", "import time; time.sleep(600)"])
        say(f"child {next(iter(self._daemons.processes().values())).pid}")

@JsOrc.service("stuck", config="STUCK_CONFIG", needs=["holder"])
class Stuck(CommonService):
    runs = 0
    dead = False
    def run(self):
        Stuck.runs += 1
        if case == "start" or (case == "regeneration" and Stuck.runs > 1):
            say("ready")
            forever.wait()
        self.app = self
    def ping(self):
        return not Stuck.dead
    def on_delete(self):
        if case == "stop":
            say("stopping")
            forever.wait()

JsOrc.configure(
    JSORC_CONFIG={"control": False},
    HOLDER_CONFIG={"automated": True},
    STUCK_CONFIG={"automated": True, "start_timeout": 300},
)
JsOrc.start(signals=True)
if case == "regeneration":
    Stuck.dead = True
    JsOrc.svc("stuck").report(ConnectionError("gone"))
else:
    say("ready")
forever.wait()
"""


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("case", "number"),
    [
        ("start", signal.SIGTERM),
        ("regeneration", signal.SIGTERM),
        ("stop", signal.SIGTERM),
        ("run", signal.SIGTERM),
        ("run", signal.SIGINT),
    ],
)
def test_a_signal_ends_the_process_in_time_and_without_orphans(
    case: str, number: signal.Signals, tmp_path: Path
) -> None:
    script = tmp_path / "application.py"
    script.write_text(textwrap.dedent(APPLICATION))
    stderr = tmp_path / "stderr"
    with (
        stderr.open("w") as errors,
        subprocess.Popen(
            [sys.executable, str(script), case],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "JSORC_PLUGINS_ALLOW": "nothing", "XDG_STATE_HOME": str(tmp_path)},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            word, child = process.stdout.readline().split() or ["nothing", stderr.read_text()]
            assert word == "child", child
            assert process.stdout.readline().strip() == "ready"
            descriptor = os.pidfd_open(int(child))
            process.send_signal(number)
            if case == "stop":
                assert process.stdout.readline().strip() == "stopping"
                process.send_signal(number)
            status = process.wait(EXIT_WITHIN)
        finally:
            process.kill()
    assert status == 128 + number
    ended, _, _ = select.select([descriptor], [], [], 10)
    os.close(descriptor)
    assert ended, "the child process outlived its parent"
    assert "Traceback" not in stderr.read_text()
