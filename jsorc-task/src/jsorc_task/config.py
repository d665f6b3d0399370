"""The settings of `TASK_CONFIG` as types, and the addresses that follow from them: the `Endpoints`.

What Celery is told on their account is in `application`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from msgspec import Meta

from jsorc.errors import ConfigError
from jsorc.redaction import mask_text

if TYPE_CHECKING:
    from jsorc_redis.config import Endpoint

__all__ = ["Config", "Endpoints", "Role", "SequenceConfig"]

Role = Literal["client", "worker", "beat", "all"]

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Seconds = Annotated[float, Meta(gt=0)]

_OVER_REDIS = ("redis", "rediss", "redis+socket")
_FOR_CELERY = (*_OVER_REDIS, "amqp", "amqps", "pyamqp", "sentinel", "sqs", "filesystem", "memory")
"""Brokers that are tried, with a deadline, before the service runs are those over Redis and AMQP."""


@dataclass(kw_only=True)
class SequenceConfig:
    """What a sequence may ask for over HTTP.

    Attributes:
        allowed_urls: Beginnings of URLs, such as `https://api.example.com/v1/`; with none, every request is
            refused.
        allowed_addresses: Private addresses or networks that may be connected to, such as `10.0.0.0/8`.
        timeout: Seconds that one request may take in all.
        max_bytes: The largest answer that is read.
    """

    allowed_urls: list[Name] = field(default_factory=list)
    allowed_addresses: list[Name] = field(default_factory=list)
    timeout: Seconds = 30.0
    max_bytes: Annotated[int, Meta(ge=1)] = 1_000_000


@dataclass(kw_only=True)
class Config:
    """`TASK_CONFIG`: where the queue is, and how tasks are run.

    Attributes:
        broker_url: Where messages are queued; None for the Redis of the service `redis`.
        result_backend: Where results are kept; None for the broker, where that is a Redis.
        schedule_url: The Redis that keeps the schedules; None for the broker or else the result backend.
        role: What this process does; None for `all` in the one started process that holds the task lock and
            `client` elsewhere. A process of Celery is always a `client`.
        concurrency: Tasks at a time; None for the number of processors.
        pool: How tasks run beside each other.
        queues: The queues that the worker reads; tasks go to the first unless they are routed.
        modules: Modules with tasks, besides those that are found.
        acks_late: Whether a message is kept until its task has ended, so that a lost worker loses no task.
        visibility_timeout: Seconds after which a message that nobody has acknowledged is given to another
            worker; longer than the longest task, countdowns included.
        time_limit: Seconds after which a task is killed.
        soft_time_limit: Seconds after which a task gets `SoftTimeLimitExceeded`.
        result_expires: Seconds that a result is kept.
        canary_timeout: Seconds in which an idle worker must have answered the canary task.
        ready_timeout: Seconds that a worker may take until it answers for the first time.
        sequence: What sequences may ask for.
        celery: Any other setting of Celery, by its lower-case name.
    """

    broker_url: str | None = None
    result_backend: str | None = None
    schedule_url: str | None = None
    role: Role | None = None
    concurrency: Annotated[int, Meta(ge=1, le=1024)] | None = None
    pool: Literal["prefork", "threads", "solo", "gevent", "eventlet"] = "prefork"
    queues: Annotated[list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]+$")]], Meta(min_length=1)] = field(
        default_factory=lambda: ["celery"]
    )
    modules: list[Name] = field(default_factory=list)
    acks_late: bool = True
    visibility_timeout: Annotated[int, Meta(ge=1)] = 3600
    time_limit: Seconds | None = None
    soft_time_limit: Seconds | None = None
    result_expires: Annotated[int, Meta(ge=1)] = 86400
    canary_timeout: Annotated[float, Meta(gt=0, le=60)] = 5.0
    ready_timeout: Seconds = 60.0
    sequence: SequenceConfig = field(default_factory=SequenceConfig)
    celery: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoints:
    """Where broker, results and schedules are, as URLs that Celery and RedBeat understand.

    Attributes:
        broker: The broker.
        results: The result backend.
        schedules: The Redis of the schedules; None where neither broker nor results are on one.
    """

    broker: str = field(repr=False)
    results: str = field(repr=False)
    schedules: str | None = field(repr=False)

    @classmethod
    def of(cls, config: Mapping[str, Any], redis: Endpoint | None) -> Endpoints:
        """Reads the endpoints from a validated `TASK_CONFIG`.

        Args:
            config: The keys of `Config`.
            redis: Where the service `redis` is; only looked at when `broker_url` is not set.

        Returns:
            The endpoints.

        Raises:
            ConfigError: A URL cannot be used, or there is no broker.
        """
        broker = config.get("broker_url") or (redis_url(redis) if redis is not None else None)
        if not broker:
            raise ConfigError(
                "There is no broker: set TASK_CONFIG.broker_url (CELERY_BROKER_URL), or install jsorc-redis."
            )
        _check(broker, "TASK_CONFIG.broker_url (CELERY_BROKER_URL)")
        over_redis = _scheme(broker) in _OVER_REDIS
        results = config.get("result_backend") or (broker if over_redis else None)
        if results is None:
            raise ConfigError(
                "TASK_CONFIG.result_backend (CELERY_RESULT_BACKEND) must be set, since the broker is no "
                "Redis, which could keep results too."
            )
        schedules = config.get("schedule_url")
        if not schedules:
            schedules = next((url for url in (broker, results) if _scheme(url) in _OVER_REDIS), None)
        return cls(broker, results, _for_redbeat(schedules))

    @property
    def shown(self) -> str:
        """The broker without its credentials, for messages."""
        parts = urlsplit(self.broker)
        return mask_text(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


def redis_url(endpoint: Endpoint) -> str:
    """The URL under which Celery reaches a Redis.

    Args:
        endpoint: Where it is, and as whom.
    """
    credentials = ""
    if endpoint.username or endpoint.password:
        credentials = f"{quote(endpoint.username or '', '')}:{quote(endpoint.password or '', '')}@"
    if endpoint.unix_socket_path:
        return f"redis+socket://{credentials}{endpoint.unix_socket_path}?virtual_host={endpoint.db}"
    if endpoint.ssl:
        return f"rediss://{credentials}{endpoint.address}/{endpoint.db}?ssl_cert_reqs=required"
    return f"redis://{credentials}{endpoint.address}/{endpoint.db}"


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _for_redbeat(url: str | None) -> str | None:
    """RedBeat opens redis-py itself, which writes a socket in another way than Celery."""
    if url is None or not url.startswith("redis+socket://"):
        return url
    return "unix://" + url.removeprefix("redis+socket://").replace("virtual_host=", "db=")


def _check(url: str, setting: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The parser's own message may hold a piece of the password.
        raise ConfigError(
            f"{setting} cannot be read as a URL; it looks like redis://user:password@host:6379/0, with "
            "special characters of the password percent-encoded."
        ) from None
    if parts.scheme.lower() not in _FOR_CELERY:
        known = ", ".join(_FOR_CELERY)
        raise ConfigError(f"{setting} begins with {parts.scheme or 'no scheme'!r}; Celery knows {known}.")
