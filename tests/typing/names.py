"""How repositories, contexts, injection and overrides are typed: checked by mypy, strict, and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, assert_type

from jsorc import (
    Candidate,
    ConfigChange,
    Hook,
    JsOrc,
    MemoryHook,
    Orchestrator,
    PluginRecord,
    ProvisionResult,
    Readiness,
    hookimpl,
)
from jsorc.hookspecs import Register


@JsOrc.repository(name="hook", priority=2, needs=["redis"])
class OrmHook:
    size = 1


@JsOrc.context("master")
class Master:
    def __init__(self, size: int = 0) -> None:
        self.size = size


def the_decorators_keep_the_type_of_the_class() -> None:
    assert_type(OrmHook().size, int)
    assert_type(Master(3).size, int)
    Master("a text")  # type: ignore[arg-type]


def src_gives_what_it_is_cast_to() -> None:
    assert_type(JsOrc.src("hook"), Any)
    assert_type(JsOrc.hook(), Any)
    assert_type(JsOrc.src("hook", OrmHook), OrmHook)
    with JsOrc.src("hook", MemoryHook) as hook:
        assert_type(hook, MemoryHook)
        assert_type(hook.has_obj("a"), bool)
        assert_type(hook.list_objs(), list[str])


def contexts_are_what_they_are_cast_to() -> None:
    assert_type(JsOrc.ctx("master"), Any)
    assert_type(JsOrc.ctx("master", None, 1, size=2), Any)
    assert_type(JsOrc.ctx("master", Master, 1), Master)
    assert_type(JsOrc.get("master"), Any)
    assert_type(JsOrc.get("master", Master, size=1), Master)
    assert_type(JsOrc.renew("master", Master), Master)
    assert_type(JsOrc.destroy("master"), bool)


@JsOrc.inject(services=["mail", ("task", "task_alias")], repositories=["hook"], context=["master"])
def injected(mail: Any, task_alias: Any, hook: Any, master: Any = None) -> int:
    return 1


@JsOrc.inject(repositories=["hook"])
async def stream(hook: Any) -> AsyncIterator[int]:
    yield 1


@JsOrc.override("hook", MemoryHook)
async def overridden(first: int) -> str:
    return "text"


async def decorated_functions_keep_their_types() -> None:
    assert_type(injected(1, 2, 3), int)
    async for item in stream(None):
        assert_type(item, int)
    assert_type(await overridden(1), str)


def what_is_asked_about_it() -> None:
    assert_type(JsOrc.plugins(), list[PluginRecord])
    assert_type(JsOrc.explain("hook"), list[Candidate])
    assert_type(JsOrc.explain("hook", kind="repository")[0].priority, int | None)
    assert_type(JsOrc.info(), dict[str, Any])
    assert_type(JsOrc.alive(), bool)
    assert_type(JsOrc.ready(), Readiness)
    assert_type(JsOrc.regenerate(), bool)
    assert_type(JsOrc.provision(None, {"kind": "List"}), ProvisionResult | None)
    assert_type(JsOrc.svc_manifest_unset("redis"), ConfigChange)
    assert_type(JsOrc.orchestrator, Orchestrator)
    assert_type(JsOrc.shared(dict[str, int]), dict[str, int])
    JsOrc.explain("hook", kind="hooks")  # type: ignore[arg-type]
    with JsOrc.override("hook", Hook):
        pass


@hookimpl
def jsorc_register(register: Register) -> None:
    register.settings(ACME_CONFIG={"size": 1})
    register.env(ACME_SIZE="ACME_CONFIG.size")
    register.service("acme", "acme.service:Acme", config="ACME_CONFIG", proxy=True, needs=["redis"])
    register.repository("hook", OrmHook, priority=1)
    register.service("acme", 3)  # type: ignore[arg-type]


@hookimpl
def jsorc_provision(service: Any, manifest: Any) -> ProvisionResult | None:
    return ProvisionResult(True, "there")
