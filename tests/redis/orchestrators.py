"""Makes orchestrators for tests that need Redis and nothing else, whatever else is installed.

The fixture that stops them is in conftest.py.
"""

from __future__ import annotations

from typing import Any

from jsorc import Orchestrator
from tests.environment import with_plugins

__all__ = ["redis_orchestrator"]


def redis_orchestrator(*, namespace: str = "default", **config: Any) -> Orchestrator:
    """An orchestrator whose hook is the one on Redis.

    Args:
        namespace: `JSORC_CONFIG.namespace`.
        config: Keys of `REDIS_CONFIG`; the others have their defaults.
    """
    orchestrator = Orchestrator(environ=with_plugins("jsorc-redis"))
    orchestrator.configure(
        REDIS_CONFIG=config,
        JSORC_CONFIG={"namespace": namespace, "pre_loaded_services": ["redis"], "control": False},
    )
    return orchestrator
