"""Without a Django project: the first use configures Django, and migrates, and a plain script works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serv.postgres import PostgresServer
from tests.serv.processes import Script

PRINT = """
import json, sys
from jsorc import JsOrc
"""
COUNT = (
    PRINT
    + """
hook = JsOrc.src("hook")
hook.save_obj(sys.stdin.readline().strip(), 1)  # all begin when they are told to
hook.commit()
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
print(json.dumps(MigrationRecorder(connection).migration_qs.filter(app="jsorc_serv").count()))
"""
)


def test_a_plain_script_stores_and_the_next_one_finds_it(tmp_path: Path) -> None:
    save = PRINT + "with JsOrc.src('hook') as hook: hook.save_obj('a', {'n': 1})\nprint(json.dumps(True))"
    assert Script(save, tmp_path).answer() is True
    read = PRINT + "print(json.dumps(JsOrc.src('hook').get_obj('a')))"
    assert Script(read, tmp_path).answer() == {"n": 1}
    assert [path.name for path in (tmp_path / "data").rglob("*.sqlite3")] == ["default.sqlite3"]


def test_making_a_hook_configures_nothing_and_leaves_logging_and_environment_alone(tmp_path: Path) -> None:
    code = (
        PRINT
        + """
import logging, os
variables = dict(os.environ)
hook = JsOrc.src("hook")
from django.conf import settings
before = settings.configured
hook.get_obj("a")
assert dict(os.environ) == variables
assert not logging.getLogger().handlers and not logging.getLogger("django").handlers
print(json.dumps([type(hook).__name__, before, settings.configured]))
"""
    )
    assert Script(code, tmp_path).answer() == ["OrmHook", False, True]


def test_namespaces_have_files_of_their_own(tmp_path: Path) -> None:
    save = PRINT + "with JsOrc.src('hook') as hook: hook.save_obj('a', 1)\nprint('null')"
    Script(save, tmp_path, JSORC_CONFIG__NAMESPACE="one").answer()
    read = PRINT + "print(json.dumps(JsOrc.src('hook').has_obj('a')))"
    assert Script(read, tmp_path, JSORC_CONFIG__NAMESPACE="two").answer() is False
    assert Script(read, tmp_path, JSORC_CONFIG__NAMESPACE="one").answer() is True


def test_ten_threads_that_are_first_configure_and_migrate_once(tmp_path: Path) -> None:
    code = (
        PRINT
        + """
import threading
together = threading.Barrier(10)
errors = []
def use(number):
    try:
        together.wait()
        with JsOrc.src("hook") as hook:
            hook.save_obj(str(number), number)
    except BaseException as error:
        errors.append(repr(error))
threads = [threading.Thread(target=use, args=(number,)) for number in range(10)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([errors, len(JsOrc.src("hook").list_objs())]))
"""
    )
    assert Script(code, tmp_path).answer() == [[], 10]


def test_ten_processes_that_are_first_migrate_sqlite_once(tmp_path: Path) -> None:
    assert _all_migrate(tmp_path, {}) == [1] * 10


def test_ten_processes_that_are_first_migrate_postgresql_once(
    tmp_path: Path, make_postgres: Callable[..., PostgresServer]
) -> None:
    server = make_postgres(password="a seeded secret")
    assert _all_migrate(tmp_path, {"DATABASE_URL": server.url.replace(" ", "%20")}) == [1] * 10


def _all_migrate(home: Path, variables: dict[str, str]) -> list[int]:
    scripts = [Script(COUNT, home, **variables) for _ in range(10)]
    for number, script in enumerate(scripts):
        script.tell(f"object:{number}\n")
    return [script.answer() for script in scripts]


def test_postgresql_by_the_variables_of_the_original(
    tmp_path: Path, make_postgres: Callable[..., PostgresServer]
) -> None:
    server = make_postgres(password="12345")
    code = PRINT + (
        "with JsOrc.src('hook') as hook: hook.save_obj('a', 1)\n"
        "from django.db import connection\n"
        "print(json.dumps([connection.vendor, JsOrc.src('hook').get_obj('a')]))"
    )
    answer = Script(
        code,
        tmp_path,
        POSTGRES_HOST=server.host,
        POSTGRES_PORT=str(server.port),
        POSTGRES_USER="jsorc",
        POSTGRES_PASSWORD="12345",
        DBNAME="jsorc",
    ).answer()
    assert answer == ["postgresql", 1]


def test_without_psycopg_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = (
        PRINT
        + """
sys.modules["psycopg"] = sys.modules["psycopg2"] = None
try:
    JsOrc.src("hook").get_obj("a")
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    )
    kind, message = Script(code, tmp_path, POSTGRES_HOST="127.0.0.1").answer()
    assert kind == "PluginLoadError"
    assert "jsorc-serv[postgres]" in message


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://u:hidden@h/d", "postgresql://u:hidden@h:port/d", "sqlite://"]
)
def test_a_url_that_is_none_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    code = (
        PRINT
        + """
try:
    JsOrc.src("hook").get_obj("a")
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    )
    kind, message = Script(code, tmp_path, DATABASE_URL=url).answer()
    assert kind == "ConfigError"
    assert "DATABASE_URL" in message
    assert "hidden" not in message


def test_a_child_of_a_fork_has_a_connection_of_its_own(
    tmp_path: Path, make_postgres: Callable[..., PostgresServer]
) -> None:
    code = (
        PRINT
        + """
import os
from django.db import connections
def session():
    JsOrc.src("hook").get_obj("a")
    return connections["default"].connection.info.backend_pid
mine = session()
reader, writer = os.pipe()
child = os.fork()
if not child:
    os.write(writer, str(session()).encode())
    os._exit(0)
os.waitpid(child, 0)
theirs = int(os.read(reader, 32))
print(json.dumps([theirs != mine, session() == mine]))
"""
    )
    assert Script(code, tmp_path, DATABASE_URL=make_postgres().url).answer() == [True, True]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code = (
        PRINT
        + """
try:
    JsOrc.src("hook").get_obj("a")
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    )
    kind, message = Script(
        code, tmp_path, JSORC_SERV_CONFIG__DATABASE__PATH=str(blocked / "db.sqlite3")
    ).answer()
    assert kind == "ServiceUnavailable"
    assert str(blocked) in message


def test_the_database_stage_goes_on_at_once_on_sqlite(tmp_path: Path) -> None:
    code = (
        PRINT
        + """
JsOrc.start()
with JsOrc.src("hook") as hook:
    hook.save_obj("a", 1)
print(json.dumps(JsOrc.src("hook").get_obj("a")))
JsOrc.stop()
"""
    )
    allowed = {"JSORC_PLUGINS_ALLOW": "jsorc-serv", "JSORC_DB_REGEN_CONFIG__ENABLED": "true"}
    assert Script(code, tmp_path, **allowed).answer() == 1
