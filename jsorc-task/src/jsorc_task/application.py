"""The Celery application: how it is configured from `TASK_CONFIG`, and what it raises without a broker.

It is an ordinary one, and one an orchestrator, so that tasks bound to it outlive a restart of the service.
"""

from __future__ import annotations

import difflib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from celery import Celery
from celery.app.defaults import DEFAULTS
from celery.loaders.app import AppLoader
from celery.result import AsyncResult
from kombu import pools
from kombu.exceptions import EncodeError, OperationalError
from redis.exceptions import RedisError

from jsorc.errors import ConfigError
from jsorc.redaction import mask_text
from jsorc_task.config import Endpoints
from jsorc_task.discovery import module_name
from jsorc_task.errors import BrokerUnavailable, TaskArgumentError

__all__ = ["Application", "celery_settings", "inside_celery"]

_LOST = (OperationalError, RedisError, OSError, RuntimeError)
"""What sending raises when the broker is gone; cold, Celery's result consumer raises a RuntimeError."""

_IN_A_CLIENT = {"retry_policy": {"max_retries": 0, "timeout": 1.0}}
_IN_A_WORKER = {
    "retry_policy": {"max_retries": 60, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}
}
"""A result is worth a minute of trying: the task that made it has ended, and is not run again."""

_OF_REDBEAT = ("redbeat_conf", "redbeat_redis")
"""What RedBeat keeps in the application."""

_SOCKET_TIMEOUT = 1.0


def inside_celery() -> bool:
    """Whether this process is one of Celery's: a worker, its children, a beat, or a `celery` command."""
    return "celery.bin.celery" in sys.modules


class Application(Celery):  # type: ignore[misc]  # celery has no types
    """A Celery application whose settings come from JsOrc, when they are first needed.

    Sending is bounded: with the broker gone it raises `BrokerUnavailable` within three seconds.

    Args:
        read_settings: Returns Celery's settings.
        read_config: Returns `TASK_CONFIG`.
    """

    def __init__(
        self, read_settings: Callable[[], Mapping[str, Any]], read_config: Callable[[], Mapping[str, Any]]
    ) -> None:
        self.read_settings = read_settings
        self.read_config = read_config
        self.on_unavailable: Callable[[BaseException], None] | None = None
        """Told of each message that could not be sent."""
        self.refuse_sending: str | None = None
        """Why nothing may be sent at this moment."""
        self._adopted: dict[str, Any] | None = None
        self._inherited: list[Any] = []
        # By its name: in a Django project, Celery's fixup looks at the name of the loader.
        super().__init__("jsorc_task.app", loader=f"{__name__}:SettingsLoader", set_as_current=False)

    def gen_task_name(self, name: str, module: str) -> str:
        """The name of a task; one of the program itself is named by its file, as a worker will import it."""
        return f"{module_name(module)}.{name}"

    @cached_property
    def AsyncResult(self) -> Any:  # noqa: N802 - Celery's name
        """The class of the results of this application."""
        return self.subclass_with_self(QuietResult)

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """Sends a task by its name; every way to send one ends here.

        Raises:
            BrokerUnavailable: The broker did not take it in time.
            TaskArgumentError: An argument is not JSON.
        """
        if self.refuse_sending is not None:
            raise RuntimeError(self.refuse_sending)
        with self._bounded(name):
            return super().send_task(name, *args, **options)

    def adopt(self, settings: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Puts settings into force; connections of others are closed.

        Args:
            settings: Celery's settings.
            config: The `TASK_CONFIG` that they stand for.
        """
        self.read_config = lambda: config
        if self._adopted == settings:
            return
        before, self._adopted = self._adopted, dict(settings)
        self.read_settings = lambda: settings
        if before is not None:
            for pool in self._let_go():
                pool.force_close_all()
        self.conf.update(settings)

    def after_fork(self) -> None:
        """In the child of a fork: lets go of the parent's connections, without touching them."""
        # They are kept, since their finalizers would close what is not ours.
        self._inherited += [self._backend_cache, self._local, dict(pools.connections), dict(pools.producers)]
        self._inherited += [self.__dict__.get(name) for name in _OF_REDBEAT]
        self._inherited.append(self._let_go())
        pools.connections.clear()
        pools.producers.clear()

    def _let_go(self) -> list[Any]:
        """Makes Celery open everything anew; returns its pool, if it has one."""
        pool: Any = self.__dict__.get("_pool")
        if "amqp" in self.__dict__:
            self.amqp._producer_pool = None
        self._pool: Any = None
        self._backend_cache: Any = None
        self._local: Any = threading.local()
        for name in _OF_REDBEAT:
            self.__dict__.pop(name, None)
        return [pool] if pool is not None else []

    @contextmanager
    def _bounded(self, name: str) -> Iterator[None]:
        try:
            yield
        except EncodeError as error:
            raise TaskArgumentError(
                f"The arguments of {name} are not JSON: {error}. Pass ids and plain values."
            ) from error
        except _LOST as error:
            lost = BrokerUnavailable(
                mask_text(
                    f"{name} was not sent, since the broker does not answer: {_said(error)}. JsOrc.start() "
                    "runs a Redis on this machine; else set CELERY_BROKER_URL (TASK_CONFIG.broker_url) or "
                    "REDIS_HOST."
                )
            )
            if self.on_unavailable is not None:
                self.on_unavailable(lost)
            raise lost from error


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


class QuietResult(AsyncResult):  # type: ignore[misc]  # celery has no types
    """A result that is dropped quietly, also when the backend is gone by then."""

    def __del__(self) -> None:
        with suppress(*_LOST):  # nobody waits for it, and there is nothing left to unsubscribe from
            super().__del__()


class SettingsLoader(AppLoader):  # type: ignore[misc]  # celery has no types
    """Reads the configuration of the application that it belongs to."""

    def read_configuration(self, env: str = "") -> dict[str, Any]:
        """The settings, when they are first needed."""
        return dict(self.app.read_settings())


def celery_settings(config: Mapping[str, Any], endpoints: Endpoints, beat_scheduler: str) -> dict[str, Any]:
    """The settings of Celery that a validated `TASK_CONFIG` stands for.

    Args:
        config: The keys of `Config`.
        endpoints: Where broker, results and schedules are.
        beat_scheduler: What beat gets its schedules from.

    Raises:
        ConfigError: `TASK_CONFIG.celery` has a key that Celery does not know, or that has a place of its own.
    """
    queues = config.get("queues") or ["celery"]
    acks_late = bool(config.get("acks_late", True))
    settings: dict[str, Any] = {
        "broker_url": endpoints.broker,
        "result_backend": endpoints.results,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_default_queue": queues[0],
        "task_acks_late": acks_late,
        "task_reject_on_worker_lost": acks_late,
        "task_time_limit": config.get("time_limit"),
        "task_soft_time_limit": config.get("soft_time_limit"),
        "result_expires": config.get("result_expires", 86400),
        "worker_direct": True,
        "worker_hijack_root_logger": inside_celery(),
        "worker_redirect_stdouts": False,
        # Without these, delay() takes from 19 s to for ever when the broker is gone.
        "broker_connection_timeout": _SOCKET_TIMEOUT,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_publish_retry": False,
        "broker_transport_options": {
            "socket_timeout": _SOCKET_TIMEOUT,
            "socket_connect_timeout": _SOCKET_TIMEOUT,
            "visibility_timeout": config.get("visibility_timeout", 3600),
        },
        "redis_socket_timeout": _SOCKET_TIMEOUT,
        "redis_socket_connect_timeout": _SOCKET_TIMEOUT,
        "result_backend_transport_options": _IN_A_WORKER if inside_celery() else _IN_A_CLIENT,
        "beat_scheduler": beat_scheduler,
        "beat_max_loop_interval": 1,
    }
    if not endpoints.broker.startswith("redis"):
        settings["broker_transport_options"] = {}
    if endpoints.schedules is not None:
        settings["redbeat_redis_url"] = endpoints.schedules
        settings["redbeat_redis_options"] = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
    return _with_extras(settings, config.get("celery") or {})


_OURS = {
    "broker_url": "TASK_CONFIG.broker_url",
    "result_backend": "TASK_CONFIG.result_backend",
    "task_default_queue": "TASK_CONFIG.queues",
    "task_acks_late": "TASK_CONFIG.acks_late",
    "task_reject_on_worker_lost": "TASK_CONFIG.acks_late",
    "task_time_limit": "TASK_CONFIG.time_limit",
    "task_soft_time_limit": "TASK_CONFIG.soft_time_limit",
    "result_expires": "TASK_CONFIG.result_expires",
    "redbeat_redis_url": "TASK_CONFIG.schedule_url",
    "worker_concurrency": "TASK_CONFIG.concurrency",
    "worker_pool": "TASK_CONFIG.pool",
    "imports": "TASK_CONFIG.modules",
    "include": "TASK_CONFIG.modules",
}
_JSON_ONLY = {
    "task_serializer",
    "result_serializer",
    "accept_content",
    "result_accept_content",
    "event_serializer",
}
_NEEDED = {"worker_direct", "worker_redirect_stdouts"}


def _with_extras(settings: dict[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in extras.items():
        if key in _JSON_ONLY:
            raise ConfigError(
                f"TASK_CONFIG.celery.{key} cannot be set: tasks and results are JSON and nothing else, since "
                "a pickle from the queue can run any code."
            )
        if key in _OURS:
            raise ConfigError(f"TASK_CONFIG.celery.{key} has a place of its own: set {_OURS[key]}.")
        if key in _NEEDED:
            raise ConfigError(f"TASK_CONFIG.celery.{key} cannot be set: the supervision depends on it.")
        if key not in DEFAULTS and not key.startswith("redbeat_"):
            near = difflib.get_close_matches(key, DEFAULTS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"TASK_CONFIG.celery.{key} is not a setting of Celery.{hint}")
        known = settings.get(key)
        settings[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return settings
