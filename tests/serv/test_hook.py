"""What only the OrmHook does: transactions of the caller's, threads, errors of the database."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction

from jsorc import ConfigError, DeadlineExceeded, Orchestrator, ServiceUnavailable
from jsorc_serv.hook import OrmHook
from tests.serv.project import Router
from tests.services import recorded


def test_a_commit_within_the_callers_transaction_ends_with_it(
    database: str, orchestrator: Orchestrator
) -> None:
    with transaction.atomic(database):
        with orchestrator.src("hook", OrmHook) as hook:
            hook.save_obj("a", 1)
        assert orchestrator.src("hook", OrmHook).get_obj("a") == 1
        assert hook.get_or_create_glob("g", 2) == 2
        transaction.set_rollback(True, database)
    hook = orchestrator.src("hook", OrmHook)
    assert (hook.has_obj("a"), hook.has_glob("g")) == (False, False)

    with transaction.atomic(database), orchestrator.src("hook", OrmHook) as hook:
        hook.save_obj("a", 1)
    assert orchestrator.src("hook", OrmHook).get_obj("a") == 1


def test_settings_are_stored_beside_the_callers_transaction_or_refused_at_once(
    database: str, orchestrator: Orchestrator
) -> None:
    orchestrator.service("thing", config="THING_CONFIG")(recorded())
    with transaction.atomic(database):
        orchestrator.src("hook", OrmHook).get_or_create_glob("g", 1)  # so that the write lock is held
        if database == "postgres":
            assert orchestrator.svc_config_set("thing", {"size": 2}).persisted
        else:
            with pytest.raises(ServiceUnavailable, match="on_commit"):
                orchestrator.svc_config_set("thing", {"size": 2})
            transaction.on_commit(lambda: orchestrator.svc_config_set("thing", {"size": 2}), database)
    assert orchestrator.svc("thing").config == {"size": 2}


def test_a_commit_that_fails_leaves_the_callers_transaction_usable(
    database: str, orchestrator: Orchestrator
) -> None:
    _rename_globs(database, "elsewhere")
    try:
        with transaction.atomic(database):
            hook = orchestrator.src("hook", OrmHook)
            hook.save_obj("a", 1)
            hook.save_glob("g", 1)
            with pytest.raises(ServiceUnavailable, match="migrate jsorc_serv"):
                hook.commit()
            assert orchestrator.src("hook", OrmHook).list_objs() == []
    finally:
        _rename_globs(database, "back")
    hook.commit()
    assert hook.get_glob("g") == 1


def _rename_globs(alias: str, where: str) -> None:
    names = ("jsorc_serv_storedglob", "elsewhere")
    old, new = names if where == "elsewhere" else names[::-1]
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_in_a_transaction_that_failed_before_it_is_said(database: str, orchestrator: Orchestrator) -> None:
    with transaction.atomic(database):
        transaction.set_rollback(True, database)
        with pytest.raises(ServiceUnavailable, match="Leave its atomic block"):
            orchestrator.src("hook", OrmHook).get_obj("a")


def test_threads_that_end_leave_no_connection(database: str, orchestrator: Orchestrator) -> None:
    def read() -> None:
        orchestrator.src("hook", OrmHook).get_obj("a")

    def read_in_threads(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=read)
            thread.start()
            thread.join()

    read()
    read_in_threads(1)  # SQLite keeps one file open for the next connection to use
    before = 1 if database == "postgres" else _open_connections(database)
    read_in_threads(20)
    # A session of PostgreSQL that was told to end is on its way out for a moment.
    deadline = time.monotonic() + 5
    while (left := _open_connections(database)) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == before


def _open_connections(alias: str) -> int:
    if alias == "postgres":
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
            return int(cursor.fetchone()[0])
    name = Path(str(connections[alias].settings_dict["NAME"])).name
    return sum(name in str(link.resolve()) for link in Path("/proc/self/fd").iterdir())


def test_commits_of_the_same_objects_at_the_same_time_do_not_lock_each_other_out(
    database: str, orchestrator: Orchestrator
) -> None:
    names = [f"{number:03d}" for number in range(200)]
    errors: list[BaseException] = []
    together = threading.Barrier(4)

    def write(turn: int) -> None:
        try:
            together.wait(20)
            for _ in range(5):
                hook = orchestrator.src("hook", OrmHook)
                for name in names if turn % 2 else reversed(names):
                    hook.save_obj(name, turn)
                hook.commit()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(orchestrator.src("hook", OrmHook).get_objs(names).values())) == 1


def test_tables_in_two_databases_are_refused(
    database: str, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(self: Router, model: type[Any], **hints: Any) -> str | None:
        return "default" if model.__name__ == "StoredObject" else "postgres"

    monkeypatch.setattr(Router, "db_for_write", apart)
    hook = orchestrator.src("hook", OrmHook)
    hook.save_obj("a", 1)
    with pytest.raises(ConfigError, match="two databases"):
        hook.commit()


def test_another_kind_of_database_is_refused(
    project: None, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "mysql")
    with pytest.raises(ConfigError, match="SQLite or PostgreSQL"):
        orchestrator.src("hook", OrmHook).get_obj("a")


def test_the_statement_of_a_list_uses_the_index(database: str, orchestrator: Orchestrator) -> None:
    with connections[database].cursor() as cursor:
        if database == "postgres":
            cursor.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        for condition in ("id >= 'a' AND id < 'b' ORDER BY id", "id = 'a'"):
            how = "EXPLAIN" if database == "postgres" else "EXPLAIN QUERY PLAN"
            cursor.execute(f"{how} SELECT id FROM jsorc_serv_storedobject WHERE {condition}")
            plan = str(cursor.fetchall())
            assert "Index" in plan or "USING COVERING INDEX" in plan
            assert "Sort" not in plan
            assert "B-TREE" not in plan
    connections[database].close()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_postgresql_keeps_one_index_a_table(database: str) -> None:
    with connections[database].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'jsorc_serv_%'")
        assert cursor.fetchone() == (2,)


def test_a_write_that_waits_too_long_for_another_is_told_so(
    database: str, orchestrator: Orchestrator
) -> None:
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(database), orchestrator.src("hook", OrmHook) as hook:
            hook.save_obj("a", 1)
            hook.commit()
            locked.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(10)
        with connections[database].cursor() as cursor:
            cursor.execute(
                "SET lock_timeout = 200" if database == "postgres" else "PRAGMA busy_timeout = 200"
            )
        hook = orchestrator.src("hook", OrmHook)
        hook.save_obj("a", 2)
        with pytest.raises(
            ServiceUnavailable, match=r"lock timeout.*\. Nothing of the commit was stored"
        ) as told:
            hook.commit()
        assert isinstance(told.value, DeadlineExceeded) == (database == "postgres")
    finally:
        done.set()
        holder.join()
        connections[database].close()
    hook.commit()
    assert orchestrator.src("hook", OrmHook).get_obj("a") == 2


def test_an_orchestrator_that_is_dropped_leaves_the_connection_of_its_thread_alone(
    database: str, orchestrator: Orchestrator
) -> None:
    orchestrator.src("hook", OrmHook).get_obj("a")
    other = Orchestrator()
    other.configure(JSORC_CONFIG={"use": {"hook": "jsorc-serv"}, "control": False})
    other.src("hook", OrmHook).get_obj("a")
    connected = connections[database].connection
    del other
    gc.collect()
    assert connections[database].connection is connected
