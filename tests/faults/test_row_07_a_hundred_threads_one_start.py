"""Row 7: a hundred threads ask for a cold service at once, here a Redis that has never been connected to."""

from __future__ import annotations

import threading

from jsorc import Orchestrator
from jsorc_redis.service import RedisService
from tests.servers import RedisServer
from tests.services import ask_from_threads

THREADS = 100


def test_there_is_one_run_and_one_instance(redis_server: RedisServer) -> None:
    runs: list[str] = []

    class Counted(RedisService):
        def run(self) -> None:
            runs.append(threading.current_thread().name)
            super().run()

    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.service("redis", config="REDIS_CONFIG")(Counted)
    orchestrator.configure(REDIS_CONFIG={"host": redis_server.host, "port": redis_server.port})
    answers = ask_from_threads(THREADS, lambda: orchestrator.svc("redis"))
    assert {type(answer) for answer in answers} == {Counted}
    assert len(set(map(id, answers))) == 1
    assert len(runs) == 1
    assert answers[0].poke().ping()
    orchestrator.stop()
