"""The embedded site on uvicorn: what is seen to before it serves, and how it ends.

What the site is made of is in `web`, the commands in `serve_commands`.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsorc import JsOrc
from jsorc.errors import ConfigError, ServiceUnavailable
from jsorc.redaction import get_logger

if TYPE_CHECKING:
    from jsorc_serv.config import Config

__all__ = ["migrate", "say", "serve", "set_up"]

log = get_logger("jsorc.serv")

SETTINGS = "jsorc_serv.settings"
MOST_CONNECTIONS = 1000
"""Connections at a time; more are answered 503."""
BACKLOG = 2048
"""Connections that wait to be accepted."""
DRAIN = 5
"""Seconds that requests under way have when the server stops."""


def serve(host: str | None = None, port: int | None = None, modules: Sequence[str] = ()) -> None:
    """Migrates, sees to a first superuser, and serves until a signal comes.

    Args:
        host: The address to bind; by default `SERV_CONFIG.host`.
        port: The port to bind, 0 for a free one; by default `SERV_CONFIG.port`.
        modules: Modules of the application, imported first, from the working folder too.

    Raises:
        ConfigError: A setting does not validate, or the address is not loopback and `https` is not set.
        ServiceUnavailable: The database does not answer.
        DatabaseReady: It came up only now, and the process must start again.
    """
    _log_to_stderr()
    _import(modules)
    config = set_up()
    host = host or config.host
    port = config.port if port is None else port
    if not config.https and not _is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from elsewhere, and passwords would travel unencrypted: serve on "
            "127.0.0.1, or set SERV_CONFIG.https to true and put a proxy that speaks HTTPS in front, or set "
            "SERV_CONFIG.tls_certificate_file and tls_key_file"
        )
    if JsOrc.settings.database().enabled:
        JsOrc.start()  # which waits for the database, before anything is asked of it
    migrate(config)
    _run(config, host, port)


def set_up() -> Config:
    """Sets Django up with the settings of the embedded site.

    Returns:
        `SERV_CONFIG`.

    Raises:
        ConfigError: It does not validate, or Django's settings are another project's.
    """
    from jsorc_serv.config import read_config

    named = os.environ.setdefault("DJANGO_SETTINGS_MODULE", SETTINGS)
    if named != SETTINGS:
        raise ConfigError(
            f"DJANGO_SETTINGS_MODULE is {named}, a project of your own: serve it with its own server and "
            'include path("jsorc/", include("jsorc_serv.urls")) in its URLs; or unset the variable'
        )
    import django

    JsOrc.plugins()
    config = read_config(JsOrc.settings)
    if (config.tls_certificate_file is None) != (config.tls_key_file is None):
        raise ConfigError(
            "SERV_CONFIG.tls_certificate_file and tls_key_file go together; one of them is not set"
        )
    if config.tls_certificate_file is not None and not config.https:
        raise ConfigError("SERV_CONFIG.tls_certificate_file is set, but https is not; set both")
    django.setup()
    return config


def migrate(config: Config) -> None:
    """Brings the tables up to date.

    Args:
        config: `SERV_CONFIG`.

    Raises:
        ServiceUnavailable: The database does not answer.
    """
    from django.db import DEFAULT_DB_ALIAS, Error, connections

    from jsorc_serv.failures import explain
    from jsorc_serv.migrating import migrate_once

    connection = connections[DEFAULT_DB_ALIAS]
    try:
        migrate_once(connection, config.database.migrate_timeout)
    except Error as error:
        raise explain(error, connection) from error
    finally:
        connection.close()


def _import(modules: Sequence[str]) -> None:
    if modules and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            raise ConfigError(f"the module {module!r} cannot be imported: {error}") from error


def _run(config: Config, host: str, port: int) -> None:
    import uvicorn

    from jsorc_serv.asgi import application
    from jsorc_serv.current import orchestrator
    from jsorc_serv.first_run import first_link
    from jsorc_serv.status.feed import feed_of

    class Server(uvicorn.Server):
        """Ends the streams when it stops; uvicorn would wait for them."""

        async def shutdown(self, sockets: list[Any] | None = None) -> None:
            feed_of(orchestrator()).close()
            await super().shutdown(sockets)

    settings = uvicorn.Config(
        application,
        host=host,
        port=port,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,  # its lines would have the one-time link
        server_header=False,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=config.trusted_proxies,
        ssl_certfile=config.tls_certificate_file,
        ssl_keyfile=config.tls_key_file,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=DRAIN,
    )
    listener = _bind(host, port)
    bound: int = listener.getsockname()[1]
    log.info("bound to %s port %d", host, bound)
    base = _address(config, host, bound)
    say(f"JsOrc is at {base}/")
    link = first_link(base)
    if link is not None:
        say(f"Nobody can log in yet. Choose admin's password by a link that works once:\n  {link}")
    try:
        Server(settings).run(sockets=[listener])
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        listener.close()
        JsOrc.stop()  # which the server has done, unless it never came to serve


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Address reuse is the default of create_server: a site that was just stopped can be started again.
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ServiceUnavailable(
            f"{host} port {port} cannot be bound: {error.strerror or error}. Stop what listens there, or "
            "choose another with --host and --port, or SERV_CONFIG.host and SERV_CONFIG.port"
        ) from error


def _address(config: Config, host: str, port: int) -> str:
    """Where a person reaches it: behind a proxy by a name, else where it listens."""
    if config.https and config.tls_certificate_file is None and config.allowed_hosts:
        return f"https://{config.allowed_hosts[0].lstrip('.')}"
    name = "localhost" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"{'https' if config.https else 'http'}://{name}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("uvicorn", "uvicorn.error", "django.request", "django.security", "django.server", "asyncio"):
        get_logger(name)  # so that nothing secret leaves through theirs


def say(text: str) -> None:
    """Tells the person who started the command; what it is for goes to stdout, this does not."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
