"""What this distribution brings to JsOrc: settings with their defaults, environment names and targets.

Nothing but `jsorc` is imported here; the targets are strings and are imported when they win and are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsorc import hookimpl

if TYPE_CHECKING:
    from jsorc.hookspecs import Register

__all__ = ["jsorc_register"]


@hookimpl
def jsorc_register(register: Register) -> None:
    """Registers the service `redis` and, at priority 1, the repository `hook`.

    Args:
        register: Takes what is brought.
    """
    register.settings(
        REDIS_CONFIG={
            "enabled": True,
            "automated": True,
            "host": "localhost",
            "port": 6379,
            "db": 0,
            "username": None,
            "password": None,
            "ssl": False,
            "unix_socket_path": None,
            "url": None,
            "socket_connect_timeout": 2.0,
            "socket_timeout": 2.0,
            "embedded": {"data_dir": None, "appendfsync": "everysec"},
            "client": {},
        },
        REDIS_MANIFEST="jsorc_redis:manifest.yaml",
    )
    register.env(
        REDIS_HOST="REDIS_CONFIG.host",
        REDIS_PORT="REDIS_CONFIG.port",
        REDIS_DB="REDIS_CONFIG.db",
        REDIS_PASSWORD="REDIS_CONFIG.password",  # noqa: S106 - the key's name, not a password
        REDIS_URL="REDIS_CONFIG.url",
    )
    register.service(
        "redis",
        "jsorc_redis.service:RedisService",
        config="REDIS_CONFIG",
        manifest="REDIS_MANIFEST",
        priority=0,
        proxy=True,
    )
    register.repository("hook", "jsorc_redis.hook:RedisHook", priority=1, needs=["redis"])
