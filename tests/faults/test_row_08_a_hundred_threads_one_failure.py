"""Row 8: a hundred threads ask for a service whose start fails; two services ask for each other.

The failing one is a Redis that is not there; the two are asked for by two threads. Nothing waits for ever.
"""

from __future__ import annotations

import threading
from typing import Any

from jsorc import CommonService, Orchestrator
from jsorc.errors import ServiceUnavailable, StartCycle
from jsorc_redis.service import RedisService
from tests.services import LONG, ask_from_threads, orchestrator_with, recorded

THREADS = 100


def test_there_is_one_attempt_and_a_hundred_equal_errors(free_port: int) -> None:
    runs: list[str] = []

    class Counted(RedisService):
        def run(self) -> None:
            runs.append(threading.current_thread().name)
            super().run()

    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.service("redis", config="REDIS_CONFIG")(Counted)
    orchestrator.configure(REDIS_CONFIG={"host": "127.0.0.1", "port": free_port})
    seen: list[CommonService[Any]] = []

    def ask() -> None:
        seen.append(orchestrator.svc("redis"))
        seen[-1].poke()

    errors = ask_from_threads(THREADS, ask)
    assert {type(error) for error in errors} == {ServiceUnavailable}
    assert len({str(error) for error in errors}) == 1
    assert str(free_port) in str(errors[0])
    assert len(set(map(id, seen))) == 1
    assert seen[0].has_failed()
    assert len(runs) == 1
    orchestrator.stop()


def test_two_that_ask_for_each_other_are_told_the_circle() -> None:
    both_run = threading.Barrier(2)

    def asks(name: str) -> Any:
        def run(service: Any) -> None:
            both_run.wait(LONG)
            service.app = orchestrator.svc(name).poke()

        return run

    orchestrator = orchestrator_with({"a": recorded(run=asks("b")), "b": recorded(run=asks("a"))})
    names = iter("ab")
    lock = threading.Lock()

    def ask() -> Any:
        with lock:
            name = next(names)
        return orchestrator.svc(name)

    services = ask_from_threads(2, ask)
    assert all(service.has_failed() for service in services)
    (circle,) = [str(service.error) for service in services if isinstance(service.error, StartCycle)]
    assert "a -> b -> a" in circle or "b -> a -> b" in circle
    orchestrator.stop()
