"""Redis for JsOrc: the service `redis` and the repository `hook` at priority 1.

The public names are imported at their first use, so that naming the package costs nothing; what registers
them is `jsorc_redis.plugin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsorc_redis.hook import RedisHook
    from jsorc_redis.service import RedisService

__all__ = ["RedisHook", "RedisService"]

_HOMES = {"RedisHook": "hook", "RedisService": "service"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
