"""What it costs to ask for a part by its name, and what it costs elsewhere; nothing is started but one Redis.

The floor is the plainest code that does the same: a dictionary, and the call of the same factory.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness import Row, ratio, repeated
from benchmarks.server import redis

__all__ = ["rows"]


def rows() -> Iterator[Row]:
    """A new instance by name, then the running service."""
    from jsorc import JsOrc, MemoryHook

    JsOrc.configure(JSORC_CONFIG={"use": {"hook": "jsorc-core"}})
    factory = MemoryHook.bind(JsOrc.orchestrator)
    assert type(JsOrc.src("hook")) is MemoryHook
    floor = repeated('factories["hook"]()', {"factories": {"hook": factory}})
    over = "dict lookup + the same factory"
    yield ratio('JsOrc.src("hook")', repeated('JsOrc.src("hook")', {"JsOrc": JsOrc}), over, floor, target=1.3)
    for name, (statement, names) in _peers(factory).items():
        yield ratio(f"  {name}", repeated(statement, names, 20_000), over, floor)

    with redis():
        service = JsOrc.svc("redis")
        assert service.is_running(), service.error
        floor = repeated('services["redis"]', {"services": {"redis": service}})
        yield ratio(
            'JsOrc.svc("redis"), running',
            repeated('JsOrc.svc("redis")', {"JsOrc": JsOrc}),
            "dict lookup",
            floor,
            3.0,
        )
        if importlib.util.find_spec("dependency_injector") is not None:
            from dependency_injector import containers, providers

            container = containers.DynamicContainer()
            container.redis = providers.Singleton(lambda: service)
            yield ratio(
                "  dependency-injector, Singleton",
                repeated("container.redis()", {"container": container}),
                "dict lookup",
                floor,
            )


def _peers(factory: Callable[[], object]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Statement and names of every peer that is installed, making what `factory` makes."""
    import pluggy

    spec, impl = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")

    class Specification:
        @spec(firstresult=True)
        def hook(self) -> object: ...

    class Plugin:
        @impl
        def hook(self) -> object:
            return factory()

    plugins = pluggy.PluginManager("bench")
    plugins.add_hookspecs(Specification)
    plugins.register(Plugin())
    peers: dict[str, tuple[str, dict[str, Any]]] = {
        "pluggy, firstresult": ("plugins.hook.hook()", {"plugins": plugins})
    }
    if importlib.util.find_spec("stevedore") is not None:
        from stevedore import driver, extension

        kept = driver.DriverManager.make_test_instance(extension.Extension("hook", None, factory, None))
        peers["stevedore, kept driver"] = ("manager.driver()", {"manager": kept})
    if importlib.util.find_spec("dependency_injector") is not None:
        from dependency_injector import containers, providers

        container = containers.DynamicContainer()
        container.hook = providers.Factory(factory)
        peers["dependency-injector, Factory"] = ("container.hook()", {"container": container})
    return peers
