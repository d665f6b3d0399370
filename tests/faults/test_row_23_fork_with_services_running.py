"""Row 23: the process forks with a Redis connected, as gunicorn and Celery's prefork do.

The child uses none of its parent's sockets, starts its own service lazily, and does the parent no harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc.testing.forking import in_child
from tests.applications import Application
from tests.faults.conftest import server_pid
from tests.servers import RedisServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def test_the_child_connects_anew_and_the_parents_connection_goes_on(
    make_orchestrator: Callable[..., Orchestrator], redis_server: RedisServer
) -> None:
    orchestrator = make_orchestrator(port=redis_server.port)
    orchestrator.start()
    client = orchestrator.svc("redis").poke()
    with orchestrator.src("hook") as unit:
        unit.save_obj("parents", 1)
    parents = client.client_id()

    def ask() -> list[Any]:
        running_before = "redis" in orchestrator._live
        with orchestrator.src("hook") as unit:
            unit.save_obj("childs", unit.get_obj("parents") + 1)
        own = orchestrator.svc("redis").poke()
        answer = [running_before, own is client, own.client_id()]
        orchestrator.stop()
        return answer

    answers = [in_child(ask) for _ in range(3)]
    childs = [answer.pop() for answer in answers]
    assert answers == [[False, False]] * 3
    assert parents not in childs
    assert len(set(childs)) == 3
    assert client.client_id() == parents  # nobody closed it or spoke on it
    assert orchestrator.src("hook").get_obj("childs") == 2


def test_a_child_that_stops_does_not_end_the_server_that_its_parent_runs(
    make_embedded: Callable[..., Orchestrator],
) -> None:
    orchestrator = make_embedded()
    orchestrator.start()
    pid = server_pid(orchestrator)

    def ask() -> list[Any]:
        orchestrator.start()
        owned = orchestrator._local_provisioner().owned()
        answer = [len(owned), orchestrator.svc("redis").poke().ping()]
        orchestrator.stop()
        return answer

    assert in_child(ask) == [0, True]
    assert server_pid(orchestrator) == pid
    assert orchestrator.svc("redis").poke().ping()


APPLICATION = """
import os, sys
from jsorc import JsOrc

JsOrc.configure(JSORC_CONFIG={"control": False}, REDIS_CONFIG={"host": "127.0.0.1"})
JsOrc.start()
mine = JsOrc.svc("redis").poke().client_id()
child = os.fork()
if child == 0:
    print("child", JsOrc.svc("redis").poke().client_id() != mine, flush=True)
    sys.exit(0)  # a whole exit, with atexit and finalizers
print("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print("parent", JsOrc.svc("redis").poke().client_id() == mine, flush=True)
"""


def test_a_child_that_exits_in_full_leaves_the_parent_its_connection(
    redis_server: RedisServer, home: object
) -> None:
    environ = {"REDIS_PORT": str(redis_server.port), "JSORC_PLUGINS_ALLOW": "jsorc-redis"}
    with Application(APPLICATION, **environ) as application:
        assert application.await_end() == 0, application.text
        assert application.output == ["child True", "status 0", "parent True"]
