"""Row 16: the database restarts under an OrmHook, idle or in the middle of a commit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serv.postgres import PostgresServer
from tests.serv.processes import Script

OPEN_UNIT = """
import json, sys
from jsorc import JsOrc, ServiceUnavailable

def attempt(work):
    try:
        return work()
    except ServiceUnavailable as error:
        return f"ServiceUnavailable: {error}"

hook = JsOrc.src("hook")
hook.save_obj("before", 1)
hook.commit()
hook.save_obj("a", 1)
hook.save_glob("g", 2)
hook.destroy_obj("before")
print(json.dumps("staged"), flush=True)
while sys.stdin.readline().strip() == "commit":
    print(json.dumps(attempt(hook.commit)), flush=True)
other = JsOrc.src("hook")
print(json.dumps([other.list_objs(), other.get_glob("g")]), flush=True)
"""
MANY = """
import json, sys
from jsorc import JsOrc, ServiceUnavailable

hook = JsOrc.src("hook")
hook.list_objs(limit=1)
for turn in range(int(sys.stdin.readline())):
    for number in range(10_000):
        hook.save_obj(f"{number:05d}", turn)
    hook.save_glob("turn", turn)
    print(json.dumps("committing"), flush=True)
    try:
        hook.commit()
        acknowledged = True
    except ServiceUnavailable:
        acknowledged = False
    print(json.dumps(acknowledged), flush=True)
    sys.stdin.readline()  # the server is back
    def stands():
        for attempt in range(5):
            try:
                other = JsOrc.src("hook")
                return set(other.get_objs(other.list_objs()).values()), other.get_glob("turn", -1)
            except ServiceUnavailable:
                continue
    before = stands()
    hook.commit()
    print(json.dumps([sorted(before[0]), before[1], sorted(stands()[0])]), flush=True)
"""


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_open_unit_keeps_its_staged_work_and_its_commit_can_be_repeated(
    end: str,
    tmp_path: Path,
    make_postgres: Callable[..., PostgresServer],
    start_postgres: Callable[..., None],
) -> None:
    server = make_postgres()
    with Script(OPEN_UNIT, tmp_path, DATABASE_URL=server.url) as script:
        assert script.hear() == "staged"

        getattr(server, end)()
        for _ in range(2):
            script.tell("commit\n")
            assert script.hear().startswith("ServiceUnavailable")

        start_postgres(server)
        script.tell("commit\n")
        assert script.hear() is None
        script.tell("end\n")
        assert script.hear() == [["a"], 2]
        assert script.finish().returncode == 0


def test_a_restart_that_nobody_saw_costs_at_most_one_error(
    tmp_path: Path, make_postgres: Callable[..., PostgresServer], start_postgres: Callable[..., None]
) -> None:
    server = make_postgres()
    with Script(OPEN_UNIT, tmp_path, DATABASE_URL=server.url) as script:
        assert script.hear() == "staged"
        server.stop()
        start_postgres(server)

        script.tell("commit\n")
        first = script.hear()
        assert first is None or first.startswith("ServiceUnavailable")
        script.tell("commit\n")
        assert script.hear() is None
        script.tell("end\n")
        assert script.hear() == [["a"], 2]
        assert script.finish().returncode == 0


def test_killed_in_the_middle_of_a_commit_it_is_all_or_nothing(
    tmp_path: Path, make_postgres: Callable[..., PostgresServer], start_postgres: Callable[..., None]
) -> None:
    turns = 4
    server = make_postgres()
    with Script(MANY, tmp_path, DATABASE_URL=server.url) as script:
        script.tell(f"{turns}\n")
        standing = -1
        for turn in range(turns):
            assert script.hear() == "committing"
            server.kill()
            acknowledged = script.hear()
            start_postgres(server)
            script.tell("up\n")
            values, glob, after = script.hear()
            assert values in ([turn], [standing] if standing >= 0 else [])
            assert glob == (values[0] if values else -1)
            assert not acknowledged or values == [turn]
            assert after == [turn]
            standing = turn
        assert script.finish().returncode == 0
