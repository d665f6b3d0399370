"""`jsorc copy`: everything a store holds is moved into another, in batches, as often as one likes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jsorc import Hook, MemoryHook, ServiceUnavailable
from jsorc.unit_of_work import MemoryStore
from jsorc_serv.copying import Copied, copy_store
from tests.serv.processes import environment
from tests.servers import RedisServer

COPY = """
import typer
from jsorc_serv.commands import add_commands
app = typer.Typer(pretty_exceptions_enable=False)
app.callback()(lambda: None)
add_commands(app)
app()
"""
FILL = """
import sys
from jsorc import JsOrc
with JsOrc.src("hook") as hook:
    for number in range(250):
        hook.save_obj(f"object:{number:03d}", {"n": number, "float": 0.1, "text": "\\u20ac", "none": None})
    hook.save_glob("name", ["a", 2 ** 63])
JsOrc.stop()
"""
SHOW = """
import json
from jsorc import JsOrc
hook = JsOrc.src("hook")
print(json.dumps([hook.get_objs(hook.list_objs()), {name: hook.get_glob(name) for name in hook.list_glob()}]))
JsOrc.stop()
"""


def memory() -> Callable[[], Hook]:
    store = MemoryStore()
    return lambda: MemoryHook(store)


def filled(count: int) -> Callable[[], Hook]:
    make = memory()
    with make() as hook:
        for number in range(count):
            hook.save_obj(f"{number:03d}", number)
        hook.save_glob("a", None)
        hook.save_glob("b", 2)
    return make


def everything(make: Callable[[], Hook]) -> tuple[dict[str, object], dict[str, object]]:
    hook = make()
    return hook.get_objs(hook.list_objs()), {name: hook.get_glob(name) for name in hook.list_glob()}


@pytest.mark.parametrize("batch", [1, 7, 10, 11, 1000])
def test_every_object_and_global_is_copied_whatever_the_batch(batch: int) -> None:
    source, target = filled(10), memory()
    told: list[tuple[str, int]] = []
    copied = copy_store(source, target, batch, lambda what, count: told.append((what, count)))
    assert copied == Copied(objects=10, globs=2)
    assert everything(target) == everything(source)
    assert ("objects", 10) in told
    assert told[-1] == ("globals", 2)


def test_a_copy_is_repeatable_and_leaves_what_else_the_target_has() -> None:
    source, target = filled(3), memory()
    with target() as hook:
        hook.save_obj("of its own", 1)
        hook.save_obj("001", "old")
    for _ in range(2):
        copy_store(source, target, 2, lambda what, count: None)
    objects, _ = everything(target)
    assert objects == {"000": 0, "001": 1, "002": 2, "of its own": 1}


def test_a_copy_that_breaks_off_keeps_the_batches_before_and_can_be_repeated() -> None:
    source, target = filled(10), memory()

    def break_off(what: str, count: int) -> None:
        if count == 4:
            raise ServiceUnavailable("the other end is gone")

    with pytest.raises(ServiceUnavailable):
        copy_store(source, target, 2, break_off)
    assert len(target().list_objs()) == 4
    copy_store(source, target, 2, lambda what, count: None)
    assert everything(target) == everything(source)


def python(code: str, home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(home, **variables),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_redis_holds_is_copied_into_the_orm_hook(redis_server: RedisServer, tmp_path: Path) -> None:
    redis = {"REDIS_PORT": str(redis_server.port), "REDIS_HOST": redis_server.host}
    done = python(FILL, tmp_path, JSORC_CONFIG__USE__HOOK="jsorc-redis", **redis)
    assert done.returncode == 0, done.stderr

    arguments = ("copy", "--from", "jsorc-redis", "--to", "jsorc-serv", "--batch", "100", "--json")
    done = python(COPY, tmp_path, *arguments, **redis)
    assert done.returncode == 0, done.stderr
    facts = {"schema": 1, "from": "jsorc-redis", "to": "jsorc-serv", "objects": 250, "globals": 1}
    assert json.loads(done.stdout) == facts
    assert [line for line in done.stderr.splitlines() if line.endswith("objects")] == [
        "100 objects",
        "200 objects",
        "250 objects",
    ]

    there = python(SHOW, tmp_path, JSORC_CONFIG__USE__HOOK="jsorc-redis", **redis)
    here = python(SHOW, tmp_path, JSORC_CONFIG__USE__HOOK="jsorc-serv")
    assert json.loads(here.stdout) == json.loads(there.stdout)


def test_mistakes_are_told_without_a_traceback(tmp_path: Path) -> None:
    same = python(COPY, tmp_path, "copy", "--from", "jsorc-serv", "--to", "jsorc-serv")
    assert same.returncode == 2
    missing = python(COPY, tmp_path, "copy", "--from", "no-such-store", "--to", "jsorc-serv")
    assert missing.returncode == 1
    assert "no-such-store" in missing.stderr
    for done in (same, missing):
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
