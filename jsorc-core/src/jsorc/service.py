"""`CommonService`, the base of every service: its state, its life cycle, and what `poke` gives or raises.

A service knows nothing of other services, of probes or of attempts; those are `supervisor`'s.
"""

from __future__ import annotations

import copy
import enum
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from jsorc.clock import SYSTEM, Clock
from jsorc.daemons import Call, Daemons, call
from jsorc.errors import CastError, Closed, ConfigError, DeadlineExceeded, ServiceUnavailable
from jsorc.redaction import get_logger, mask_text, scrub
from jsorc.validation import Resolved, validate

if TYPE_CHECKING:
    import typing_extensions

    from jsorc.processes import ChildProcess
    from jsorc.provisioning import LocalProcess

    # With a default, so that a strict checker lets `class Redis(CommonService)` leave the app's type out.
    App = typing_extensions.TypeVar("App", default=Any)
else:
    App = TypeVar("App")

__all__ = ["STARTING", "CommonService", "ServicePolicy", "ServiceState"]

T = TypeVar("T")

HANDLER_TIMEOUT = 5.0
"""Seconds that `failed` and `on_delete` are given."""

STARTING: ContextVar[CommonService[Any] | None] = ContextVar("jsorc_starting", default=None)
"""The service whose `run` or `post_run` the current context is in."""


class ServiceState(enum.StrEnum):
    """Where a service is in its life."""

    NOT_STARTED = "NOT_STARTED"
    STARTED = "STARTED"
    RUNNING = "RUNNING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """How a service is kept; the keys of its config that are not its own.

    Attributes:
        enabled: Whether it may start.
        automated: Whether the supervisor starts it, and starts it again when it failed.
        quiet: Whether its logger keeps only WARNING and above.
        start_timeout: Seconds that a start may take.
        ping_interval: Seconds between two probes.
        ping_timeout: Seconds that a probe may take.
        ping_failures: Probes in a row that may time out before the service is FAILED.
    """

    enabled: bool = True
    automated: bool = False
    quiet: bool = False
    start_timeout: float = 30.0
    ping_interval: float = 10.0
    ping_timeout: float = 2.0
    ping_failures: int = 3

    def __post_init__(self) -> None:
        for name in ("enabled", "automated", "quiet"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be true or false")
        for name in ("start_timeout", "ping_interval", "ping_timeout"):
            value: Any = getattr(self, name)
            if isinstance(value, bool) or not (isinstance(value, int | float) and 0 < value < 1e7):
                raise ConfigError(f"{name} is {value!r}; it must be a number of seconds above 0")
        failures: Any = self.ping_failures
        if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
            raise ConfigError(f"ping_failures is {failures!r}; it must be an int of at least 1")

    @staticmethod
    def split(config: Mapping[str, Any]) -> tuple[ServicePolicy, dict[str, Any]]:
        """Parts a config into the policy and the service's own keys, which are copied.

        Raises:
            ConfigError: A key of the policy is of a wrong type or out of range.
        """
        own = copy.deepcopy(dict(config))
        policy = {key: own.pop(key) for key in POLICY_KEYS if key in own}
        return ServicePolicy(**policy), own


POLICY_KEYS = tuple(field.name for field in fields(ServicePolicy))


class CommonService(Generic[App]):
    """The base of every service; `CommonService[Redis]` types what `poke` returns.

    A subclass overrides `run`, which sets `self.app`, and, where it has a use for them, `post_run`, `ping`,
    `failed` and `on_delete`.

    Args:
        config: The service's settings; it is copied, and the keys of `ServicePolicy` go to `policy`.
        manifest: What provisions it: a mapping, or a reference that a provisioning plugin understands.

    Attributes:
        name: The name that it is registered under.
        app: The client, library or application that the service is about; None unless it is running.
        enabled: Whether it may start.
        automated: Whether the supervisor keeps it running.
        quiet: Whether its log keeps only WARNING and above.
        state: Where it is in its life.
        config: Its own settings.
        manifest: What provisions it.
        policy: How it is kept.
        error: The last failure.
        orchestrator: The orchestrator that it belongs to; None when it was made by hand.
    """

    Config: ClassVar[type | None] = None
    """A dataclass, TypedDict or msgspec Struct that the config must fit."""
    secret_keys: ClassVar[Sequence[str]] = ()
    """Keys of the config that are secrets, besides those whose name says so."""
    callable_methods: ClassVar[Sequence[str]] = ()
    """Methods that may be called from outside the process."""

    name: str = ""
    orchestrator: Any = None
    clock: Clock = SYSTEM

    def __init__(self, config: Mapping[str, Any], manifest: Mapping[str, Any] | str | None = None) -> None:
        self.policy, self.config = ServicePolicy.split(config)
        self.manifest: Any = copy.deepcopy(manifest if manifest is not None else {})
        self.app: App | None = None
        self.state = ServiceState.NOT_STARTED
        self.error: BaseException | None = None
        self.name = self.name or type(self).__name__
        self._lock = threading.Lock()
        self._deleted = False
        self._dropped = ""
        self._attempt: Call[None] | None = None
        self._ping: threading.Event | None = None
        self._ended = threading.Event()
        self._inherited_app: App | None = None
        self._daemons: Daemons | None = None
        self._on_change: Callable[[CommonService[Any], ServiceState, ServiceState], None] | None = None
        self._on_report: Callable[[CommonService[Any], BaseException], None] | None = None

    @property
    def enabled(self) -> bool:
        """Whether it may start."""
        return self.policy.enabled

    @property
    def automated(self) -> bool:
        """Whether the supervisor keeps it running."""
        return self.policy.automated

    @property
    def quiet(self) -> bool:
        """Whether its log keeps only WARNING and above."""
        return self.policy.quiet

    @property
    def log(self) -> logging.Logger:
        """The service's logger, `jsorc.service.<name>`."""
        logger = get_logger(f"jsorc.service.{self.name}")
        return _Quiet(logger) if self.quiet else logger

    # -- what a subclass overrides

    def run(self) -> None:
        """Connects or builds, and sets `self.app`; required.

        It runs on a thread of its own and has `start_timeout` seconds, `post_run` included.
        """
        raise NotImplementedError(f"{type(self).__name__} must override run() and set self.app in it")

    def post_run(self) -> None:
        """Does what follows on a successful `run`, such as spawning daemons; the state is RUNNING already."""

    def ping(self) -> object:
        """Probes the service; it fails by raising or by returning False. It has `ping_timeout` seconds."""
        return True

    def failed(self) -> None:
        """Cleans up after a failure; called once a failure, never under a lock."""

    def on_delete(self) -> None:
        """Cleans up when the service is reset, replaced or stopped; called once, never under a lock."""

    def local_process(self) -> LocalProcess | None:
        """Says how this service's server runs on this machine; None when it does not."""
        return None

    def details(self) -> dict[str, Any]:
        """Facts worth showing where the state is shown, as JSON values."""
        return {}

    # -- asking

    def is_ready(self) -> bool:
        """Whether it was not started yet and has no app."""
        return self.state is ServiceState.NOT_STARTED and self.app is None

    def is_running(self) -> bool:
        """Whether it is RUNNING and has its app."""
        return self.state is ServiceState.RUNNING and self.app is not None

    def has_failed(self) -> bool:
        """Whether it is FAILED."""
        return self.state is ServiceState.FAILED

    @overload
    def poke(self, cast: None = None, msg: str | None = None) -> App: ...
    @overload
    def poke(self, cast: type[T], msg: str | None = None) -> T: ...
    def poke(self, cast: type[Any] | None = None, msg: str | None = None) -> Any:
        """The app of a running service.

        Args:
            cast: The class to take it as. The service's own class gives the service itself.
            msg: What the error says when it is not running.

        Raises:
            ServiceUnavailable: It is not running; the message is `msg`, or the state and the last error.
            CastError: The app is not an instance of `cast`.
        """
        app = self.app
        if self.state is not ServiceState.RUNNING or app is None:
            raise ServiceUnavailable(msg or self._why_not()) from self.error
        if cast is None:
            return app
        if isinstance(self, cast) and not isinstance(app, cast):
            return self
        if not isinstance(app, cast):
            raise CastError(f"{self.name}: its app is {type(app).__name__}, not {cast.__name__}")
        return app

    def report(self, error: BaseException) -> None:
        """Tells the supervisor that a client of this service met an error: it probes at once.

        Args:
            error: What was met.
        """
        if self._on_report is not None:
            self._on_report(self, error)

    # -- daemons and child processes

    def spawn_daemon(self, **targets: Callable[..., object]) -> None:
        """Runs functions on background threads: `self.spawn_daemon(jsorc=self.interval_check)`.

        A target that takes `stop` is given a `threading.Event` that says when to end; any other is asked to
        end by an asynchronous exception, best effort.
        """
        self._own_daemons().spawn(**targets)

    def terminate_daemon(self, *names: str) -> list[str]:
        """Ends background threads by name.

        Returns:
            The names of those that would not end in time.
        """
        return self._daemons.terminate(*names) if self._daemons is not None else []

    def spawn_process(self, **commands: Any) -> None:
        """Runs child processes: `self.spawn_process(worker=["celery", "worker"])`.

        Their output goes to this service's log, and none outlives this process, even by kill -9.
        """
        self._own_daemons().spawn_process(**commands)

    def child_processes(self) -> dict[str, ChildProcess]:
        """The child processes that it has, by name, those that have ended too."""
        return self._daemons.processes() if self._daemons is not None else {}

    def _own_daemons(self) -> Daemons:
        with self._lock:
            if self._deleted:  # a start that returns late, for one, must leave nothing behind
                raise Closed(f"{self.name} spawns nothing any more: {self._dropped or 'it was deleted'}")
            if self._daemons is None:
                self._daemons = Daemons(self.name, clock=self.clock, log=self.log)
            return self._daemons

    # -- the life cycle

    def start(self) -> CommonService[App]:
        """Starts the service, once, if it is enabled and NOT_STARTED; otherwise does nothing.

        `run` and `post_run` are given `start_timeout` seconds; a failure is in `state` and `error`, it is
        not raised.

        Returns:
            The service itself.
        """
        if self._begin():
            error = self._attempt_to(self._run_phase, self._post_phase)
            if error is not None:
                self._fail(error)
        return self

    def _rehearse(self) -> BaseException | None:
        """Runs and pings a candidate without letting it serve; the error, or None."""

        def ping() -> None:
            if self.ping() is False:
                raise ServiceUnavailable(f"{self.name}: ping() returned False")

        return self._attempt_to(self._run_phase, ping) if self._begin() else None

    def _complete(self) -> BaseException | None:
        """Lets a candidate that was rehearsed serve; the error of `post_run`, or None."""
        return self._attempt_to(self._post_phase)

    def _begin(self) -> bool:
        with self._lock:
            if not self.enabled or self.state is not ServiceState.NOT_STARTED or self._deleted:
                return False
            self._move(ServiceState.STARTED)
            return True

    def _attempt_to(self, *phases: Callable[[], None]) -> BaseException | None:
        """Runs phases of the start under the deadline; the error, or None."""
        timeout = self.policy.start_timeout
        outcome: list[BaseException | None] = []
        with self._lock:
            self._ended = ended = threading.Event()
            if self._deleted:
                return self._given_up()

        def attempt() -> None:
            STARTING.set(self)
            try:
                for phase in phases:
                    phase()
            except BaseException as error:  # SystemExit is a failed start, not the end of the process
                outcome.append(scrub(error))
            else:
                outcome.append(None)
            ended.set()

        self._attempt = running = Call(attempt, name=f"jsorc-start-{self.name}", clock=self.clock)
        try:
            self.clock.wait(ended, timeout)
        except BaseException as error:  # KeyboardInterrupt of whoever waits
            running.abandon(self._discard)
            self._fail(error)
            raise
        if outcome:
            running.wait(None)  # its thread ends right now
            if self._deleted:
                self._discard()
            return outcome[0]
        running.abandon(self._discard)
        if self._deleted:
            return self._given_up()
        return DeadlineExceeded(f"{self.name}: the start did not end within start_timeout, {timeout:g} s")

    def _given_up(self) -> ServiceUnavailable:
        return ServiceUnavailable(f"{self.name}: {self._dropped or 'it was deleted while it started'}")

    def _hangs(self) -> bool:
        """Whether the thread of its start, or of a probe, still lives."""
        starting = self._attempt is not None and self._attempt.alive
        return starting or (self._ping is not None and not self._ping.is_set())

    def _run_phase(self) -> None:
        self.run()
        if self.app is None:
            raise ServiceUnavailable(f"{self.name}: run() returned without setting self.app")

    def _post_phase(self) -> None:
        with self._lock:
            if self.state is not ServiceState.STARTED or self._deleted:
                return
            self._move(ServiceState.RUNNING)
        self.post_run()

    def _fail(self, error: BaseException) -> bool:
        """Enters FAILED, once; whether this call did."""
        with self._lock:
            if self.state is ServiceState.FAILED or self._deleted:
                return False
            self.app = None
            self.error = scrub(error)
            self._move(ServiceState.FAILED)
        self._guarded(self.failed, "failed")
        return True

    def _retire(self, why: str) -> None:
        """Marks the instance as one that nobody should use any more; `poke` says why."""
        self._dropped = self._dropped or why

    def _release(self, timeout: float = HANDLER_TIMEOUT) -> list[str]:
        """Ends what the instance holds, once: `on_delete`, its daemons and processes; what would not end."""
        with self._lock:
            if self._deleted:
                return []
            self._deleted = True
            self._ended.set()
        deadline = self.clock.monotonic() + timeout
        self._guarded(self.on_delete, "on_delete", timeout)
        left = self._end_daemons(max(0.0, deadline - self.clock.monotonic()), final=True)
        with self._lock:
            self.app = None
            if self.state in (ServiceState.STARTED, ServiceState.RUNNING):
                self._move(ServiceState.NOT_STARTED)
        return left

    def _end_daemons(self, timeout: float, *, final: bool = False) -> list[str]:
        return self._daemons.stop(timeout, final=final) if self._daemons is not None else []

    def _forget(self) -> None:
        """After a fork, in the child: it is the parent's, and is kept without being touched."""
        self._inherited_app, self.app = self.app, None
        self._lock = threading.Lock()
        self._deleted = True
        self.state = ServiceState.NOT_STARTED
        self._dropped = f"it belongs to the process that forked this one; ask JsOrc.svc({self.name!r}) here"
        if self._daemons is not None:
            self._daemons.forget()

    def _discard(self) -> None:
        self.app = None

    def _move(self, new: ServiceState) -> None:
        old, self.state = self.state, new
        if self._on_change is not None:
            self._on_change(self, old, new)

    def _guarded(self, handler: Callable[[], None], what: str, timeout: float = HANDLER_TIMEOUT) -> None:
        if getattr(handler, "__func__", None) is getattr(CommonService, what):
            return  # not overridden: no thread for nothing
        try:
            call(handler, timeout, name=f"jsorc-{what}-{self.name}", clock=self.clock)
        except (Exception, SystemExit) as error:
            self.log.warning(
                "%s: %s() %s", self.name, what, mask_text(f"raised {type(error).__name__}: {error}")
            )

    def _why_not(self) -> str:
        if self._dropped:
            return f"{self.name}: {self._dropped}"
        if not self.enabled:
            return f"{self.name} is not enabled; set enabled to true in its config"
        words = f"{self.name} is {self.state}"
        if self.error is None:
            return words
        return mask_text(f"{words}: {str(self.error) or type(self.error).__name__}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.state}>"


class _Quiet(logging.Logger):
    """Hands warnings and worse on to a logger, whose own level stays the application's.

    It is one instance's: another of the same name, such as its successor, may be less quiet.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger.name, logging.WARNING)
        self._logger = logger

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        return level >= self.level and self._logger.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        self._logger.handle(record)


def build(
    cls: type, name: str, config: Mapping[str, Any], manifest: Any, orchestrator: Any, clock: Clock
) -> CommonService[Any]:
    """Makes a service of an orchestrator; what its `__init__` raises is kept in a FAILED instance."""
    service = _unmade(cls, name, orchestrator, clock)
    try:
        cast("Any", cls).__init__(service, config, manifest)
    except (Exception, SystemExit) as error:
        return broken(cls, name, error, orchestrator, clock, manifest)
    return service


def broken(
    cls: type, name: str, error: BaseException, orchestrator: Any, clock: Clock, manifest: Any = None
) -> CommonService[Any]:
    """An instance that is FAILED from the beginning: its settings or its `__init__` did not allow one."""
    service = _unmade(cls, name, orchestrator, clock)
    CommonService.__init__(service, {}, manifest)
    service.state, service.error = ServiceState.FAILED, scrub(error)
    return service


def _unmade(cls: type, name: str, orchestrator: Any, clock: Clock) -> CommonService[Any]:
    """An instance that knows whose it is before its `__init__` runs."""
    service: CommonService[Any] = cast("Any", cls).__new__(cls)
    service.name, service.orchestrator, service.clock = name, orchestrator, clock
    return service


def checked_config(resolved: Resolved, cls: type) -> dict[str, Any]:
    """The config of a service from its setting: the policy's keys and its own, each checked by its model.

    Args:
        resolved: The setting.
        cls: The class of the service.

    Raises:
        ConfigError: A key is unknown, of a wrong type or out of range.
    """
    secret_keys = tuple(getattr(cls, "secret_keys", ()))
    if not isinstance(resolved.value, dict):
        return validate(resolved, None, secret_keys=secret_keys)  # which refuses it
    policy = {key: value for key, value in resolved.value.items() if key in POLICY_KEYS}
    own = {key: value for key, value in resolved.value.items() if key not in POLICY_KEYS}
    return {
        **validate(replace(resolved, value=own), getattr(cls, "Config", None), secret_keys=secret_keys),
        **validate(replace(resolved, value=policy), ServicePolicy),
    }
