"""Django for JsOrc: the repository `hook` at priority 2, kept by the ORM.

The public names are imported at their first use, so that naming the package costs nothing; what registers
them is `jsorc_serv.plugin`. To Django this package is an application: `INSTALLED_APPS += ["jsorc_serv"]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsorc_serv.hook import OrmHook

__all__ = ["OrmHook"]

_HOMES = {"OrmHook": "hook"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
