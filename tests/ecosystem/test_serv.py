"""jsorc-serv among the others: its hook outranks the one on Redis for as long as it is installed."""

from __future__ import annotations

from pathlib import Path

from tests.ecosystem.distributions import find_wheel
from tests.ecosystem.environments import Environment

DISTRIBUTIONS = ("jsorc-core", "jsorc-redis", "jsorc-serv")
QUESTION = 'from jsorc import JsOrc; print(type(JsOrc.src("hook")).__name__)'
STORE = """
from jsorc import JsOrc
with JsOrc.src("hook") as hook:
    hook.save_obj("a", {"n": 1})
print(JsOrc.src("hook").get_obj("a"))
"""


def test_with_serv_the_hook_is_the_orm_hook_and_without_it_the_one_on_redis(
    wheels: Path, environment: Environment
) -> None:
    # The winner comes first: the order of installation must not matter.
    environment.install(*(find_wheel(wheels, name) for name in reversed(DISTRIBUTIONS)))
    assert environment.run(QUESTION).stdout == "OrmHook\n"
    assert environment.candidates() == [
        ("jsorc-serv", 2, "selected"),
        ("jsorc-redis", 1, "outranked"),
        ("jsorc-core", 0, "outranked"),
    ]

    environment.uninstall("jsorc-serv")
    assert environment.run(QUESTION).stdout == "RedisHook\n"


def test_the_wheel_alone_stores_and_the_next_process_finds_it(
    wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    environment.install(find_wheel(wheels, "jsorc-core"), find_wheel(wheels, "jsorc-serv"))
    variables = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    done = environment.run(STORE, **variables)
    assert done.stdout == "{'n': 1}\n", done.stderr
    assert environment.ask('JsOrc.src("hook").get_obj("a")', **variables) == {"n": 1}


def test_with_its_extra_the_schedules_are_in_the_database_and_without_it_in_redis(
    wheels: Path, environment: Environment
) -> None:
    environment.install(*(find_wheel(wheels, name) for name in (*DISTRIBUTIONS, "jsorc-task")))
    assert environment.candidates("task") == [("jsorc-task", 0, "selected")]
    environment.install("django-celery-beat")
    assert environment.candidates("task") == [("jsorc-serv", 2, "selected"), ("jsorc-task", 0, "outranked")]
    assert environment.ask('JsOrc.orchestrator.svc_class("task").__name__') == "DatabaseTaskService"
    assert environment.ask('"django" in __import__("sys").modules') is False
    assert environment.candidates("task", JSORC_PLUGINS_BLOCK="jsorc-serv") == [
        ("jsorc-task", 0, "selected"),
        ("jsorc-serv", None, "blocked"),
    ]
    assert environment.ask('JsOrc.explain("hook") and None', JSORC_PLUGINS_BLOCK="jsorc-task") is None

    environment.uninstall("jsorc-serv")
    assert environment.candidates("task") == [("jsorc-task", 0, "selected")]


def test_asking_for_plugins_imports_no_django(wheels: Path, environment: Environment) -> None:
    environment.install(*(find_wheel(wheels, name) for name in DISTRIBUTIONS))
    modules = environment.ask('[JsOrc.plugins() and None, sorted(__import__("sys").modules)][1]')
    assert "jsorc_serv.plugin" in modules
    assert not {"django", "jsorc_serv.hook", "jsorc_serv.commands", "typer"} & set(modules)
