"""The service `redis`: its client, its probe, and how it is run on this machine when nobody else runs it.

The app is the client of redis-py itself. How the local server is found and configured is in `embedded`, what
the client's errors mean in `failures`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jsorc import CommonService
from jsorc.errors import ConfigError, JsOrcError, ServiceUnavailable
from jsorc_redis.config import Config, Endpoint
from jsorc_redis.failures import CLIENT_ERRORS, explain, is_disk_refusal, lost_contact

if TYPE_CHECKING:
    from jsorc.provisioning import LocalProcess
    from jsorc_redis.embedded import Files

__all__ = ["RedisService", "open_client"]

_READY_TIMEOUT = 0.5
"""Seconds that a local server which is coming up gets for one answer."""

_OURS = {*Config.__dataclass_fields__, "connection_pool", "decode_responses"}
"""What `REDIS_CONFIG.client` may not set, since it has a key of its own or the service depends on it."""


class RedisService(CommonService["redis.Redis"]):
    """Redis as a service; `poke()` returns the `redis.Redis` client.

    Connecting and every answer have a deadline, two seconds by default, and nothing is tried twice: a
    repeated write is the caller's decision.
    """

    Config = Config

    # On the class: a service whose settings are broken is not initialised, and yet it is asked and closed.
    _client: redis.Redis | None = None
    _server: Mapping[str, Any] | None = None
    _problem: str | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where this service's Redis is.

        Raises:
            ConfigError: `REDIS_CONFIG` contradicts itself.
        """
        return Endpoint.of(self.config)

    def run(self) -> None:
        """Connects and asks for an answer.

        Raises:
            ConfigError: `REDIS_CONFIG` contradicts itself or names an argument that redis-py does not have.
            ServiceUnavailable: There is no usable Redis; the message says where, why and what mends it.
        """
        endpoint = self.endpoint
        client = open_client(self.config, endpoint)
        try:
            self._problem = _probe(client, self.explain)
            self._server = _server_facts(client, self.explain)
        except JsOrcError:
            client.connection_pool.disconnect()
            raise
        self._client = self.app = client

    def ping(self) -> None:
        """Asks the server for an answer.

        One that refuses writes because of its disk is alive: what it holds can be read.

        Raises:
            ServiceUnavailable: It did not answer, or not as Redis; DeadlineExceeded when it was too slow.
        """
        endpoint = self.endpoint
        client = self._client
        if client is None:
            raise ServiceUnavailable(f"Redis at {endpoint.address} has not been connected to.")
        self._problem = _probe(client, self.explain)

    def explain(self, error: Exception) -> JsOrcError:
        """The error to raise in place of one that this service's client raised.

        Args:
            error: What redis-py raised.

        Returns:
            ServiceUnavailable, or another JsOrcError, that says where, why and what mends it.
        """
        failure = explain(error, self.endpoint)
        files = self._local_files()
        if files is not None and lost_contact(error):
            from jsorc_redis.embedded import disk_shortage

            if shortage := disk_shortage(files):
                return type(failure)(f"{failure} {shortage}")
        return failure

    def failed(self) -> None:
        """Closes the connections that nobody is using."""
        super().failed()
        self._close_idle()

    def on_delete(self) -> None:
        """Closes the connections that nobody is using; a thread in the middle of a command may finish it."""
        super().on_delete()
        self._close_idle()

    def local_process(self) -> LocalProcess | None:
        """How to run this service's Redis on this machine.

        Returns:
            The server to start, or None when the settings point to another machine or ask for TLS.

        Raises:
            ConfigError: `REDIS_CONFIG` contradicts itself.
            ProvisionError: No server program was found; the message has the line that installs one.
        """
        endpoint = self.endpoint
        if not endpoint.is_local:
            return None
        from jsorc_redis.embedded import local_server

        config = {
            **self.config,
            "socket_timeout": _READY_TIMEOUT,
            "socket_connect_timeout": _READY_TIMEOUT,
        }
        return local_server(endpoint, self.config.get("embedded") or {}, lambda: _answers(config, endpoint))

    def details(self) -> dict[str, Any]:
        """Facts for `JsOrc.info()`: the address and, once connected, the server and what troubles it.

        Returns:
            A JSON-like dict: `address`, `db`, `server` (name and version), `problem`, and for a server that
            JsOrc runs on this machine also `data_dir` and `log_file`.
        """
        if not self.config:
            return {}
        endpoint = self.endpoint
        facts: dict[str, Any] = {"address": endpoint.address, "db": endpoint.db}
        server = self._server or {}
        if server.get("version"):
            facts["server"] = f"{server['name']} {server['version']}"
        if self._problem:
            facts["problem"] = self._problem
        if (files := self._local_files()) is not None:
            facts["data_dir"] = str(files.folder)
            facts["log_file"] = str(files.log)
        return facts

    def _local_files(self) -> Files | None:
        """The files of the server that JsOrc runs here; None where the service is connected to another."""
        endpoint = self.endpoint
        running_on = (self._server or {}).get("config_file")
        if not running_on or not endpoint.is_local:
            return None
        from jsorc_redis.embedded import files_of

        files = files_of(endpoint, self.config.get("embedded") or {})
        # The server itself says which configuration it runs on: another Redis may have the port.
        return files if Path(running_on) == files.config else None

    def _close_idle(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect(inuse_connections=False)


def open_client(config: Mapping[str, Any], endpoint: Endpoint) -> redis.Redis:
    """Makes the client of a validated `REDIS_CONFIG`; it connects at its first command.

    Args:
        config: The keys of `Config`.
        endpoint: What `Endpoint.of(config)` says.

    Returns:
        A client that decodes answers to str, has deadlines and tries nothing twice.

    Raises:
        ConfigError: `client` or the URL names an argument that redis-py does not have, or one that has a key
            of its own.
    """
    extra = dict(config.get("client") or {})
    _check_arguments(extra)
    options: dict[str, Any] = {
        "username": endpoint.username,
        "password": endpoint.password,
        "db": endpoint.db,
        "socket_connect_timeout": config.get("socket_connect_timeout", 2.0),
        "socket_timeout": config.get("socket_timeout", 2.0),
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
        **extra,
    }
    url = config.get("url")
    if url:
        _check_query(url)
    try:
        if url:
            return redis.Redis.from_url(url, **options)
        if endpoint.unix_socket_path:
            return redis.Redis(unix_socket_path=endpoint.unix_socket_path, **options)
        return redis.Redis(host=endpoint.host, port=endpoint.port, ssl=endpoint.ssl, **options)
    except (TypeError, ValueError, redis.RedisError) as error:
        raise ConfigError(f"redis-py does not take REDIS_CONFIG.client: {error}") from error


def _check_arguments(extra: Mapping[str, Any]) -> None:
    known = set(inspect.signature(redis.Redis.__init__).parameters) - {"self"}
    for key in extra:
        if key in _OURS:
            other = f"set REDIS_CONFIG.{key} itself" if key in Config.__dataclass_fields__ else "leave it out"
            raise ConfigError(f"REDIS_CONFIG.client.{key} cannot be set there; {other}.")
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known - _OURS), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"REDIS_CONFIG.client.{key} is not an argument of redis.Redis.{hint}")


def _check_query(url: str) -> None:
    from urllib.parse import parse_qs, urlsplit

    known = {*inspect.signature(redis.Redis.__init__).parameters, "timeout"}
    for key in parse_qs(urlsplit(url).query):
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"REDIS_CONFIG.url (REDIS_URL) has the unknown option {key!r}.{hint}")


def _probe(client: redis.Redis, explained: Callable[[Exception], JsOrcError]) -> str | None:
    """One PING; returns what keeps an otherwise living server from taking writes."""
    try:
        if client.ping():
            return None
    except Exception as error:  # a server that is not Redis makes the parser raise anything
        if is_disk_refusal(error):
            return str(explained(error))
        raise explained(error) from error
    raise explained(ValueError("the answer to PING was not PONG"))


def _server_facts(client: redis.Redis, explained: Callable[[Exception], JsOrcError]) -> dict[str, Any]:
    try:
        info: Any = client.info("server")
    except redis.ResponseError:  # a user without the right to ask; nothing depends on it
        return {}
    except CLIENT_ERRORS as error:
        raise explained(error) from error
    is_valkey = info.get("server_name") == "valkey"
    version = info.get("valkey_version") if is_valkey else info.get("redis_version")
    return {
        "name": "Valkey" if is_valkey else "Redis",
        "version": version,
        "config_file": info.get("config_file"),
    }


def _answers(config: Mapping[str, Any], endpoint: Endpoint) -> bool:
    """Whether a usable Redis answers; raises why not, which the provisioner tells when it gives up."""
    client = open_client(config, endpoint)
    try:
        _probe(client, lambda error: explain(error, endpoint))
        return True
    finally:
        client.connection_pool.disconnect()
