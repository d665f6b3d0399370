"""What is particular to the hook on Redis: its keys, its transaction, its order, and its errors."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from jsorc import Orchestrator
from jsorc.errors import DeadlineExceeded, JsOrcError, ServiceUnavailable
from jsorc_redis.hook import RedisHook
from tests.servers import RedisServer

MakeOrchestrator = Callable[..., Orchestrator]

MANY = 12_000  # more than one chunk of a read and one page of a list


@pytest.fixture
def orchestrator(redis_server: RedisServer, make_orchestrator: MakeOrchestrator) -> Orchestrator:
    return make_orchestrator(port=redis_server.port)


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the same server, to look at what the hook wrote."""
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        yield client


def hook_of(orchestrator: Orchestrator) -> RedisHook:
    return orchestrator.src("hook", RedisHook)


def filled(orchestrator: Orchestrator, count: int) -> list[str]:
    ids = [f"row:{number:06d}" for number in range(count)]
    with hook_of(orchestrator) as hook:
        for number, id_ in enumerate(ids):
            hook.save_obj(id_, number)
    return ids


def test_building_a_hook_connects_to_nothing(make_orchestrator: MakeOrchestrator, free_port: int) -> None:
    hook = hook_of(make_orchestrator(port=free_port))
    hook.save_obj("a", 1)
    assert hook.get_obj("a") == 1
    with pytest.raises(ServiceUnavailable, match=f"localhost:{free_port}"):
        hook.get_obj("b")


def test_every_key_lies_in_the_slot_of_its_namespace(
    redis_server: RedisServer, make_orchestrator: MakeOrchestrator, raw: redis.Redis
) -> None:
    with hook_of(make_orchestrator(port=redis_server.port, namespace="shop")) as hook:
        hook.save_obj("user:1", {"name": "Ada"})
        hook.save_glob("limit", 3)
    keys = raw.keys("*")
    assert sorted(keys) == [
        "{jsorc:shop}:g:limit",
        "{jsorc:shop}:ids",
        "{jsorc:shop}:names",
        "{jsorc:shop}:o:user:1",
    ]
    assert raw.get("{jsorc:shop}:o:user:1") == '{"name":"Ada"}'


def test_namespaces_do_not_see_each_other(
    redis_server: RedisServer, make_orchestrator: MakeOrchestrator
) -> None:
    ours = make_orchestrator(port=redis_server.port, namespace="ours")
    theirs = make_orchestrator(port=redis_server.port, namespace="theirs")
    with hook_of(ours) as hook:
        hook.save_obj("a", 1)
        hook.save_glob("a", 1)
    assert hook_of(theirs).list_objs() == []
    assert hook_of(theirs).list_glob() == []
    assert not hook_of(theirs).has_obj("a")


def test_destroying_leaves_nothing_behind(orchestrator: Orchestrator, raw: redis.Redis) -> None:
    with hook_of(orchestrator) as hook:
        hook.save_obj("a", 1)
        hook.save_glob("b", 1)
    with hook_of(orchestrator) as hook:
        assert hook.destroy_obj("a")
        assert hook.destroy_glob("b")
    assert raw.dbsize() == 0


def test_saves_and_ends_are_one_transaction(orchestrator: Orchestrator, raw: redis.Redis) -> None:
    filled(orchestrator, 3)
    watching: Any = raw.monitor()  # type: ignore[no-untyped-call]
    with watching as monitor, hook_of(orchestrator) as hook:
        hook.save_obj("new", 1)
        hook.destroy_obj("row:000000")
        hook.save_glob("count", 3)
        hook.commit()
        seen: list[str] = []
        while not seen or seen[-1] != "EXEC":
            seen.append(monitor.next_command()["command"].split(" ")[0].upper())
    assert seen[seen.index("MULTI") :] == ["MULTI", "ZADD", "MSET", "ZREM", "DEL", "ZADD", "MSET", "EXEC"]


def test_more_than_one_chunk_is_written_read_and_listed(orchestrator: Orchestrator) -> None:
    ids = filled(orchestrator, MANY)
    hook = hook_of(orchestrator)
    assert hook.list_objs() == ids
    assert hook.get_objs(reversed(ids)) == {id_: number for number, id_ in reversed(list(enumerate(ids)))}
    assert hook.list_objs(after=ids[10_500]) == ids[10_501:]
    assert hook.list_objs(after=ids[4], limit=11_000) == ids[5:11_005]


def test_ids_come_in_code_point_order_whatever_their_script(orchestrator: Orchestrator) -> None:
    ids = ["Z", "a", "z", "é", "ÿ", "Ж", "中", "\uffff", "😀", "a\x7f", "a\x80", "a\u0800", "a\U00010000"]
    with hook_of(orchestrator) as hook:
        for id_ in ids:
            hook.save_obj(id_, id_)
    hook = hook_of(orchestrator)
    assert hook.list_objs() == sorted(ids)
    assert hook.list_objs("a") == sorted(id_ for id_ in ids if id_.startswith("a"))
    assert hook.list_objs("a", after="a\x7f", limit=2) == ["a\x80", "a\u0800"]
    assert hook.list_objs(after="\uffff") == ["😀"]
    assert hook.list_objs("a", after="b") == []


def test_one_of_many_threads_creates_a_glob_and_all_see_its_value(orchestrator: Orchestrator) -> None:
    barrier = threading.Barrier(16)
    values: list[Any] = [None] * 16

    def create(number: int) -> None:
        barrier.wait()
        values[number] = hook_of(orchestrator).get_or_create_glob("owner", number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(values)) == 1
    assert hook_of(orchestrator).list_glob() == ["owner"]


def test_an_unfinished_commit_is_never_seen_by_others(orchestrator: Orchestrator) -> None:
    ids = filled(orchestrator, 2_000)
    torn: list[set[Any]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen = set(hook_of(orchestrator).get_objs(ids).values())
            if len(seen) > 1 and not all(isinstance(value, int) for value in seen):
                torn.append(seen)

    with hook_of(orchestrator) as hook:
        for id_ in ids:
            hook.save_obj(id_, "round 0")
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for turn in range(1, 30):
            with hook_of(orchestrator) as hook:
                for id_ in ids:
                    hook.save_obj(id_, f"round {turn}")
    finally:
        done.set()
        watcher.join()
    assert torn == []


@pytest.mark.parametrize("index", ["ids", "names"])
def test_a_foreign_key_in_the_place_of_an_index_is_refused_before_anything_is_written(
    index: str, orchestrator: Orchestrator, raw: redis.Redis
) -> None:
    raw.set(f"{{jsorc:default}}:{index}", "somebody's")
    hook = hook_of(orchestrator)
    hook.save_obj("a", 1)
    hook.save_glob("b", 1)
    with pytest.raises(JsOrcError, match=r"holds a string that JsOrc did not write.*namespace"):
        hook.commit()
    assert raw.keys("*") == [f"{{jsorc:default}}:{index}"]
    raw.delete(f"{{jsorc:default}}:{index}")
    hook.commit()
    assert hook_of(orchestrator).get_obj("a") == 1


def test_a_foreign_key_does_not_let_a_glob_be_half_created(
    orchestrator: Orchestrator, raw: redis.Redis
) -> None:
    raw.set("{jsorc:default}:names", "somebody's")
    with pytest.raises(JsOrcError, match="JsOrc did not write"):
        hook_of(orchestrator).get_or_create_glob("b", 1)
    assert raw.keys("*") == ["{jsorc:default}:names"]


def test_a_full_memory_refuses_the_whole_commit_and_keeps_the_work(
    orchestrator: Orchestrator, raw: redis.Redis
) -> None:
    filled(orchestrator, 10)
    raw.config_set("maxmemory", 1)
    hook = hook_of(orchestrator)
    hook.save_obj("a", "private words")
    hook.destroy_obj("row:000001")
    with pytest.raises(ServiceUnavailable, match="maxmemory") as caught:
        hook.commit()
    assert "private words" not in str(caught.value.__cause__)
    assert len(hook_of(orchestrator).list_objs()) == 10
    raw.config_set("maxmemory", 0)
    hook.commit()
    assert hook_of(orchestrator).get_obj("a") == "private words"
    assert not hook_of(orchestrator).has_obj("row:000001")


def test_a_replica_says_that_it_is_read_only(
    orchestrator: Orchestrator, raw: redis.Redis, free_port: int
) -> None:
    hook = hook_of(orchestrator)
    hook.save_obj("a", 1)
    raw.replicaof("127.0.0.1", free_port)
    with pytest.raises(ServiceUnavailable, match="read-only replica"):
        hook.commit()
    raw.replicaof("NO", "ONE")
    hook.commit()


def test_a_user_without_the_rights_is_told_so_and_nothing_is_written(
    redis_server: RedisServer, make_orchestrator: MakeOrchestrator, raw: redis.Redis
) -> None:
    raw.acl_setuser("reader", True, passwords=["+hunter22"], keys=["*"], commands=["+@all", "-zadd"])
    hook = hook_of(make_orchestrator(port=redis_server.port, username="reader", password="hunter22"))
    hook.save_obj("a", "private words")
    with pytest.raises(ServiceUnavailable, match="does not let user 'reader'") as caught:
        hook.commit()
    assert "private words" not in str(caught.value.__cause__)
    assert raw.dbsize() == 0


def test_a_lost_server_leaves_the_staged_work_to_be_committed_again(
    orchestrator: Orchestrator, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(orchestrator, 5)
    hook = hook_of(orchestrator)
    hook.save_obj("a", 1)
    service = orchestrator.svc("redis")
    reported: list[BaseException] = []
    monkeypatch.setattr(service, "report", reported.append)
    redis_server.kill()
    with pytest.raises(ServiceUnavailable, match="committing again is safe"):
        hook.commit()
    assert [type(error) for error in reported] == [ServiceUnavailable]
    assert hook.get_obj("a") == 1
    redis_server.start()
    hook.commit()
    assert hook_of(orchestrator).list_objs() == ["a", *(f"row:{number:06d}" for number in range(5))]


def test_a_server_that_hangs_costs_its_timeout_and_the_commit_can_be_repeated(
    redis_server: RedisServer, make_orchestrator: MakeOrchestrator
) -> None:
    orchestrator = make_orchestrator(port=redis_server.port, socket_timeout=0.3)
    filled(orchestrator, 1)
    hook = hook_of(orchestrator)
    hook.save_obj("a", 1)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeadlineExceeded, match="committing again is safe"):
            hook.commit()
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    hook.commit()
    assert hook_of(orchestrator).get_obj("a") == 1


def test_a_client_that_does_not_decode_serves_a_hook_all_the_same(
    redis_server: RedisServer, make_orchestrator: MakeOrchestrator
) -> None:
    orchestrator = make_orchestrator(port=redis_server.port)
    service = orchestrator.svc("redis")
    client = service.poke()
    with redis.Redis(port=redis_server.port) as bytes_client:
        service.app = bytes_client
        with hook_of(orchestrator) as hook:
            hook.save_obj("é", {"a": "ü"})
        assert hook_of(orchestrator).list_objs() == ["é"]
        assert hook_of(orchestrator).get_obj("é") == {"a": "ü"}
        assert hook_of(orchestrator).get_or_create_glob("g", "ß") == "ß"
        service.app = client
