"""The settings of `REDIS_CONFIG` as types, and the one place where they are read: the `Endpoint`.

Neither a client nor a server is made here; `service` and `embedded` do that from the endpoint.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast

from msgspec import Meta

from jsorc.errors import ConfigError

__all__ = ["Config", "EmbeddedConfig", "Endpoint"]


@dataclass(kw_only=True)
class EmbeddedConfig:
    """How the server is run that `JsOrc.start()` starts here.

    Attributes:
        data_dir: The folder of its data; None for `redis-<port>` in the user's data folder for jsorc.
        appendfsync: When writes reach the disk: `always` before each answer, `everysec`, or `no`, when the
            operating system likes.
    """

    data_dir: str | None = None
    appendfsync: Literal["always", "everysec", "no"] = "everysec"


@dataclass(kw_only=True)
class Config:
    """`REDIS_CONFIG`: where Redis is and how it is spoken to.

    Attributes:
        host: Host name or address.
        port: TCP port.
        db: Number of the logical database.
        username: ACL user; None for the default user.
        password: Its password.
        ssl: Whether to speak TLS.
        unix_socket_path: A Unix socket, in place of host and port.
        url: `redis://`, `rediss://` or `unix://`; what it says wins over the keys above.
        socket_connect_timeout: Seconds that a connection may take.
        socket_timeout: Seconds that an answer may take.
        embedded: The server that `JsOrc.start()` runs when none answers on this machine.
        client: Any other argument of `redis.Redis`.
    """

    host: Annotated[str, Meta(min_length=1)] = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535)] = 6379
    db: Annotated[int, Meta(ge=0)] = 0
    username: str | None = None
    password: str | None = None
    ssl: bool = False
    unix_socket_path: str | None = None
    url: str | None = None
    socket_connect_timeout: Annotated[float, Meta(gt=0)] = 2.0
    socket_timeout: Annotated[float, Meta(gt=0)] = 2.0
    embedded: EmbeddedConfig = field(default_factory=EmbeddedConfig)
    client: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """Where a Redis is reached and as whom: `REDIS_CONFIG` with its URL, if there is one, taken apart.

    Attributes:
        host: Host name or address; not used when `unix_socket_path` is set.
        port: TCP port; not used when `unix_socket_path` is set.
        db: Number of the logical database.
        username: ACL user, or None.
        password: Its password, or None; never part of the representation.
        ssl: Whether TLS is spoken.
        unix_socket_path: The Unix socket, or None.
        setting: The setting and the environment variable that move it, for error messages.
    """

    host: str
    port: int
    db: int
    username: str | None
    password: str | None = field(repr=False)
    ssl: bool
    unix_socket_path: str | None
    setting: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Endpoint:
        """Reads the endpoint from a validated `REDIS_CONFIG`.

        Args:
            config: The keys of `Config`; missing ones have their defaults.

        Returns:
            The endpoint.

        Raises:
            ConfigError: The URL cannot be read, or contradicts another key.
        """
        setting = "REDIS_HOST (REDIS_CONFIG.host) or REDIS_PORT (REDIS_CONFIG.port)"
        url = config.get("url")
        socket_path = config.get("unix_socket_path")
        if url:
            parts = _parts_of(cast("str", url), tls=bool(config.get("ssl")))
            setting = "REDIS_URL (REDIS_CONFIG.url)"
        elif socket_path:
            parts = {"path": socket_path}
            setting = "REDIS_CONFIG.unix_socket_path"
            if config.get("ssl"):
                raise ConfigError(
                    "REDIS_CONFIG.ssl is true, but REDIS_CONFIG.unix_socket_path names a Unix socket, which "
                    "has no TLS; unset one of them."
                )
        else:
            parts = {"host": config.get("host"), "port": config.get("port"), "ssl": config.get("ssl")}
        return cls(
            host=parts.get("host") or "localhost",
            port=int(parts.get("port") or 6379),
            db=int(parts.get("db", config.get("db") or 0)),
            username=parts.get("username") or config.get("username") or None,
            password=parts.get("password") or config.get("password") or None,
            ssl=bool(parts.get("ssl")),
            unix_socket_path=parts.get("path"),
            setting=setting,
        )

    @property
    def address(self) -> str:
        """`host:port`, or the path of the Unix socket."""
        if self.unix_socket_path:
            return self.unix_socket_path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether a server without TLS on this machine could answer here."""
        if self.unix_socket_path:
            return True
        if self.ssl:
            return False
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _parts_of(url: str, *, tls: bool) -> dict[str, Any]:
    from redis.connection import SSLConnection, parse_url

    try:
        parts: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        # The parser's own message may hold a piece of the password, as when it holds an unescaped "/".
        raise ConfigError(
            "REDIS_CONFIG.url (REDIS_URL) is not a Redis URL. It looks like "
            "redis://host:6379/0, rediss://… for TLS or unix:///path/to/socket?db=0; user:password@ goes "
            "before the host, with special characters percent-encoded."
        ) from None
    parts["ssl"] = parts.pop("connection_class", None) is SSLConnection
    if parts.get("path") is None and url.startswith("unix:"):
        raise ConfigError(
            "REDIS_CONFIG.url (REDIS_URL) names no socket; it looks like unix:///path/to/socket?db=0."
        )
    if tls and not parts["ssl"]:
        raise ConfigError(
            "REDIS_CONFIG.ssl is true, but REDIS_CONFIG.url (REDIS_URL) does not begin with rediss://; "
            "write rediss:// or unset ssl."
        )
    if int(parts.get("db", 0)) < 0:
        raise ConfigError("REDIS_CONFIG.url (REDIS_URL) asks for a database below 0.")
    return parts
