"""Row 21: `svc_config_set` with a config that cannot start: a Redis at a port where there is none.

The old service never stops serving, nothing is stored, and the error says why.
"""

from __future__ import annotations

import threading

import pytest

from jsorc import MemoryHook, Orchestrator
from jsorc.errors import ServiceUnavailable
from jsorc.stored_settings import PREFIX
from jsorc_redis.service import RedisService
from tests.servers import RedisServer
from tests.services import LONG


def test_the_old_one_never_stops_serving_and_nothing_is_stored(
    redis_server: RedisServer, free_port: int
) -> None:
    class Cache(RedisService):
        """A Redis that the hook does not need."""

    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.repository("hook")(MemoryHook)
    orchestrator.service("cache", config="CACHE_CONFIG")(Cache)
    orchestrator.configure(CACHE_CONFIG={"host": "127.0.0.1", "port": redis_server.port})
    before = orchestrator.svc("cache")
    assert before.is_running(), before.error
    served, surprises = threading.Semaphore(0), []
    done = threading.Event()

    def use() -> None:
        while not done.is_set():
            try:
                assert orchestrator.svc("cache").poke().ping()
                served.release()
            except BaseException as error:
                surprises.append(error)
                return

    user = threading.Thread(target=use)
    user.start()
    for _ in range(5):
        with pytest.raises(ServiceUnavailable) as refused:
            orchestrator.svc_config_set("cache", {"port": free_port})
        assert "nothing was stored" in str(refused.value)
        assert str(free_port) in str(refused.value)
        assert served.acquire(timeout=LONG)
    done.set()
    user.join(LONG)
    assert surprises == []
    assert orchestrator.svc("cache") is before
    assert orchestrator.svc_config("cache")["port"] == redis_server.port
    assert orchestrator.src("hook").list_glob(PREFIX) == []
    orchestrator.stop()
