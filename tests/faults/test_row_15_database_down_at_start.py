"""Row 15: the database is down at the start, and up after 30 seconds of the replaced clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.serv.postgres import PostgresServer
from tests.serv.processes import Script

START = """
import json, os, sys, threading, time
from jsorc import Orchestrator, ProvisionResult, hookimpl
from jsorc.provisioners import PROVISION_TIMEOUT
from jsorc.regeneration import ANSWER_TIMEOUT
from jsorc.testing import FakeClock

clock = FakeClock()

class Cluster:
    @hookimpl
    def jsorc_provision(self, service, manifest):
        print(json.dumps(["provision", service, manifest]), flush=True)
        return ProvisionResult(True, "applied")

def move_the_clock():
    said = False
    while True:
        due, now = clock.next_due(), clock.monotonic()
        if due is None or round(due - now, 6) in (ANSWER_TIMEOUT, PROVISION_TIMEOUT):
            time.sleep(0.005)  # a plugin is asked, and answers in real time
        elif now < 30 or said:
            clock.advance(due - now)
        else:
            said = True
            print(json.dumps(["waited", now]), flush=True)
            sys.stdin.readline()

orchestrator = Orchestrator(clock=clock)
orchestrator.listen(Cluster())
if os.environ["CLOCK"] == "moves":
    threading.Thread(target=move_the_clock, daemon=True).start()
try:
    orchestrator.start()
except SystemExit as ready:
    print(json.dumps([type(ready).__name__, ready.code]), flush=True)
    raise
print(json.dumps(["started", None]), flush=True)
hook = orchestrator.src("hook")
hook.save_obj("a", 1)
hook.commit()
print(json.dumps(["stored", orchestrator.src("hook").get_obj("a")]), flush=True)
orchestrator.stop()
"""


def test_it_is_provisioned_once_and_waited_for_and_the_next_start_finds_it(
    tmp_path: Path, make_postgres: Callable[..., PostgresServer], start_postgres: Callable[..., None]
) -> None:
    server = make_postgres(started=False, password="a-seeded-secret")
    variables = {"DATABASE_URL": server.url, "JSORC_DB_REGEN_CONFIG__ENABLED": "true"}

    with Script(START, tmp_path, CLOCK="moves", **variables) as first:
        assert first.hear() == ["provision", None, "jsorc_serv:manifest.yaml"]
        what, seconds = first.hear()
        assert what == "waited"
        assert seconds >= 30
        start_postgres(server)
        first.tell("it is up\n")
        assert first.hear() == ["DatabaseReady", 75]
        done = first.finish()
        assert (done.returncode, done.stdout) == (75, "")

    with Script(START, tmp_path, CLOCK="stands still", **variables) as second:
        assert second.hear() == ["started", None]
        assert second.hear() == ["stored", 1]
        done = second.finish()
        assert (done.returncode, done.stdout) == (0, "")
