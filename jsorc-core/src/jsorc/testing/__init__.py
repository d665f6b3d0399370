"""What authors of plugins test with: a pytest plugin, conformance suites and a clock that a test moves.

Nothing here is imported by the rest of JsOrc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsorc.testing.clock import FakeClock
    from jsorc.testing.hook_contract import HookContract
    from jsorc.testing.service_contract import ServiceContract

__all__ = ["FakeClock", "HookContract", "ServiceContract"]

_HOMES = {
    "FakeClock": "jsorc.testing.clock",
    "HookContract": "jsorc.testing.hook_contract",
    "ServiceContract": "jsorc.testing.service_contract",
}


def __getattr__(name: str) -> object:
    # Every pytest run imports this package for its plugin; few need pytest's and hypothesis's share of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
