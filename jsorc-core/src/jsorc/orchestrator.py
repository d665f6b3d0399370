"""The Orchestrator: composes registry, settings, supervisor and the other parts, and hands calls on to them.

It holds no policy of its own; what a call does is told in the part that does it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from jsorc import overriding
from jsorc.clock import SYSTEM, Clock
from jsorc.config_changes import ConfigChanges
from jsorc.contexts import Contexts
from jsorc.errors import CastError, Closed, ConfigError, JsOrcError
from jsorc.events import Announcer
from jsorc.injection import Asked, Wanted, inject, wants
from jsorc.plugins import Brought, PluginRecord, Plugins, mark
from jsorc.provisioners import ask_provisioners
from jsorc.redaction import get_logger
from jsorc.regeneration import Readiness, Regenerator
from jsorc.registration import Candidate, Pillar, Registration
from jsorc.registry import Registry
from jsorc.service import CommonService, checked_config
from jsorc.settings import JsOrcSettings
from jsorc.stored_settings import ConfigChange, StoredSettings
from jsorc.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from jsorc.control import ControlServer
    from jsorc.daemons import Daemons
    from jsorc.provisioning import LocalProvisioner, ProvisionResult

__all__ = ["Orchestrator"]

log = get_logger("jsorc.orchestrator")

T = TypeVar("T")
C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

STOP_TIMEOUT = 25.0

_STOPPING: ContextVar[bool] = ContextVar("jsorc_stopping", default=False)
"""Whether the current context is within a stop, such as a service's `on_delete`."""


class Orchestrator:
    """Services, repositories and contexts of one application, by name.

    `JsOrc` is the default one; another is for tests, or for an application that keeps two apart.

    Args:
        discover: False starts empty, without core's own hook and without looking for plugins.
        clock: The clock of every deadline, interval and backoff.
        environ: The environment variables to read; `os.environ` by default.
    """

    def __init__(
        self, *, discover: bool = True, clock: Clock = SYSTEM, environ: Mapping[str, str] | None = None
    ) -> None:
        self.settings = JsOrcSettings(environ)
        self._clock = clock
        self._lock = threading.RLock()
        self._plugins = Plugins(self._apply, environ, enabled=discover)
        self._pins: Mapping[str, str] | None = None
        self._registry = Registry(self._discover, self._present_pins, {"service": CommonService})
        self._announcer = Announcer(lambda: self._plugins.implementations("jsorc_state_changed"), clock)
        self._supervisor = Supervisor(
            self, self._registry, self._configuration, clock, self._announcer.announce
        )
        self._stored = StoredSettings(self.settings, lambda: self.src("hook"), clock)
        self._regenerator = Regenerator(
            orchestrator=self,
            supervisor=self._supervisor,
            registry=self._registry,
            settings=self.settings,
            plugins=self._plugins,
            local=self._local_provisioner,
            stored=self._stored,
            clock=clock,
        )
        self._changes = ConfigChanges(
            self._registry,
            self._stored,
            self._supervisor,
            self._configuration,
            self._regenerator.hook_needs,
        )
        self._overrides = overriding.Overrides(self._supervisor.overridden)
        self._contexts = Contexts(self.ctx, self._overrides.kept)
        self._factories: dict[str, Callable[[], Any]] = {}
        self._generation = 0
        self._live = self._supervisor.live
        self._binding = threading.RLock()
        self._shared: dict[Callable[[], Any], Any] = {}
        self._failures_told: set[str] = set()
        self._started = False
        self._stopping = False
        self._stopped = threading.Event()
        self._daemons: Daemons | None = None
        self._local: LocalProvisioner | None = None
        self._control: ControlServer | None = None
        _in_children_of_forks(self)

    # -- declaring

    def service(
        self,
        name: str,
        config: str | None = None,
        manifest: str | None = None,
        priority: int = 0,
        proxy: bool = False,
        needs: Iterable[str] = (),
    ) -> Callable[[C], C]:
        """Decorates a class that extends `CommonService` as a candidate for a service.

        Args:
            name: The name of the service.
            config: The setting that holds its config.
            manifest: The setting that holds what provisions it.
            priority: The highest wins the name.
            proxy: Whether a stand-in that is not running may take its place while stored settings are read.
            needs: Services that must start first.

        Raises:
            RegistrationError: At decoration, when the class or an argument will not do.
        """
        return self._decorator(
            "service",
            name=name,
            config=config,
            manifest=manifest,
            priority=priority,
            proxy=proxy,
            needs=needs,
        )

    def repository(self, name: str, priority: int = 0, needs: Iterable[str] = ()) -> Callable[[C], C]:
        """Decorates a class as a candidate for a repository.

        Args:
            name: The name of the repository.
            priority: The highest wins the name.
            needs: Services that must start first.

        Raises:
            RegistrationError: At decoration, when the class or an argument will not do.
        """
        return self._decorator("repository", name=name, priority=priority, needs=needs)

    def context(self, name: str, priority: int = 0) -> Callable[[C], C]:
        """Decorates a class as a candidate for a context.

        Args:
            name: The name of the context.
            priority: The highest wins the name.

        Raises:
            RegistrationError: At decoration, when the class or an argument will not do.
        """
        return self._decorator("context", name=name, priority=priority)

    def inject(
        self, services: Wanted = (), repositories: Wanted = (), context: Wanted = ()
    ) -> Callable[[F], F]:
        """Decorates a function so that it is given services, repositories and contexts by name.

        Each list has names, or pairs of a name and the parameter to give it to. An argument that the caller
        gives wins. Repositories and contexts are new instances at every call; nothing is committed.

        Raises:
            RegistrationError: At decoration, when the function takes no such parameter.
        """
        wanted: dict[str, Asked] = {}
        wants(services, self.svc, "services", wanted, waits=True)
        wants(repositories, self.src, "repositories", wanted)
        wants(context, self.ctx, "context", wanted)
        return inject(wanted)

    def configure(self, **settings: Any) -> None:
        """Sets the application's settings: `configure(REDIS_CONFIG={"port": 6380})`; merges deeply.

        A running service keeps its config until it is reset.

        Raises:
            ConfigError: A value is not JSON-like; nothing was set.
        """
        self.settings.configure(**settings)
        self._invalidate()

    def listen(self, plugin: object, name: str | None = None) -> None:
        """Adds an object or module with `@hookimpl` functions that no entry point names.

        Args:
            plugin: The object.
            name: What it is called in logs.
        """
        self._plugins.add(plugin, name or f"{type(plugin).__name__}-{id(plugin):x}")

    # -- the pillars

    @overload
    def src(self, name: str) -> Any: ...
    @overload
    def src(self, name: str, cast: type[T]) -> T: ...
    def src(self, name: str, cast: type[Any] | None = None) -> Any:
        """A new instance of the winning repository.

        Args:
            name: The name of the repository.
            cast: The class that it must be an instance of.

        Raises:
            NotRegistered: No repository has the name.
            PluginLoadError: The winner could not be imported.
            CastError: The winner is not a `cast`.
        """
        if cast is None:
            try:
                factory = self._factories[name]
            except KeyError:
                factory = self._factory(name)
            return factory()
        return _checked(self.src(name), cast, name)

    def hook(self) -> Any:
        """A new instance of the winning hook: `src("hook")`."""
        return self.src("hook")

    @overload
    def svc(self, name: str) -> CommonService[Any]: ...
    @overload
    def svc(self, name: str, cast: type[T]) -> T: ...
    def svc(self, name: str, cast: type[Any] | None = None) -> Any:
        """The one live service of a name, started at the first use if it is enabled.

        Whether it runs, `poke()` of what is returned says.

        Args:
            name: The name of the service.
            cast: The class that it must be an instance of.

        Raises:
            NotRegistered: No service has the name.
            PluginLoadError: The winner could not be imported.
            StartCycle: Asked within a start that would wait for itself.
            Closed: After `stop`.
            CastError: The service is not a `cast`.
        """
        if cast is None:
            try:
                return self._live[name]
            except KeyError:
                return self._supervisor.obtain(name)
        return _checked(self.svc(name), cast, name)

    @overload
    def ctx(self, name: str, cast: None = None, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def ctx(self, name: str, cast: type[T], *args: Any, **kwargs: Any) -> T: ...
    def ctx(self, name: str, cast: type[Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        """A new instance of the winning context.

        Args:
            name: The name of the context.
            cast: The class that it must be an instance of.
            args: Given to the class.
            kwargs: Given to the class.

        Raises:
            NotRegistered: No context has the name.
            PluginLoadError: The winner could not be imported.
            CastError: The winner is not a `cast`.
        """
        overridden = self._overrides.find("context", name)
        make = self._context(name) if overridden is None else overridden.make
        made = make(*args, **kwargs)
        return made if cast is None else _checked(made, cast, name)

    @overload
    def get(self, name: str, cast: None = None, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def get(self, name: str, cast: type[T], *args: Any, **kwargs: Any) -> T: ...
    def get(self, name: str, cast: type[Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        """The persistent instance of a context, made at the first call; see `ctx`."""
        kept = self._contexts.get(name, cast, *args, **kwargs)
        return kept if cast is None else _checked(kept, cast, name)

    @overload
    def renew(self, name: str, cast: None = None, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def renew(self, name: str, cast: type[T], *args: Any, **kwargs: Any) -> T: ...
    def renew(self, name: str, cast: type[Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        """A new persistent instance of a context in place of the one before; see `ctx`."""
        return self._contexts.renew(name, cast, *args, **kwargs)

    def destroy(self, name: str) -> bool:
        """Forgets the persistent instance of a context; whether there was one."""
        return self._contexts.destroy(name)

    def override(self, name: str, value: Any, kind: Pillar | None = None) -> overriding.Override:
        """Puts something else in place of a name, for tests: a context manager and a decorator.

        Args:
            name: A registered name.
            value: An instance, which is given to everyone, or a class, which is instantiated as the winner
                would be.
            kind: The pillar, where the name stands in more than one.

        Raises:
            NotRegistered: Nothing has the name, so nothing would be overridden; or `kind` is to be said.
            RegistrationError: The value cannot take the place of a service.
        """
        pillar = self._registry.explain(name, kind)[0].pillar
        return overriding.Override(self._overrides, pillar, name, value, self._invalidate, self._fake_service)

    # -- asking about it

    def plugins(self) -> list[PluginRecord]:
        """Every plugin that was discovered, with its state and error."""
        self._discover()
        return self._plugins.records()

    def discover(self, force: bool = False) -> list[PluginRecord]:
        """Scans for plugins if that was not done, or again when forced; see `plugins`."""
        if force:
            self._scan(force=True)
        return self.plugins()

    def explain(self, name: str, kind: Pillar | None = None) -> list[Candidate]:
        """Every candidate of a name in the order of rank, with what became of it.

        Args:
            name: The name.
            kind: The pillar, where the name stands in more than one.

        Raises:
            NotRegistered: The name has no candidate, or stands in two pillars and `kind` is not said.
        """
        return self._registry.explain(name, kind)

    def info(self) -> dict[str, Any]:
        """Everything that is known, as one JSON object: plugins, services and their states, winners."""
        from jsorc.inspection import describe

        self._discover()
        return describe(
            self._supervisor, self._registry, self._plugins, self.settings, self._clock, self._started
        )

    def alive(self) -> bool:
        """Whether this process does its part; it says nothing of other servers."""
        return self._regenerator.is_alive()

    def ready(self) -> Readiness:
        """Whether every service that is to run is RUNNING, and which are not."""
        return self._regenerator.readiness()

    def shared(self, factory: Callable[[], T]) -> T:
        """One object per orchestrator and factory, made at the first call: what its instances share."""
        with self._binding:
            if factory not in self._shared:
                self._shared[factory] = factory()
            return cast("T", self._shared[factory])

    def call_plugins(self, hook: str, **arguments: Any) -> list[Any]:
        """What each implementation of a hook returned; one that raised is logged and left out."""
        self._discover()
        answers = self._plugins.each(hook, **arguments)
        return [answer for _, answer in answers if not isinstance(answer, BaseException)]

    @property
    def state_dir(self) -> Path:
        """The folder of locks and of the control socket, one a user."""
        import platformdirs

        return platformdirs.user_state_path("jsorc", appauthor=False)

    # -- running it

    def start(self, signals: bool = False) -> None:
        """Does the initial regeneration in the calling thread, then supervises; once an orchestrator.

        Args:
            signals: Whether SIGTERM and SIGINT stop it and end the process; only from the main thread.

        Raises:
            Closed: After `stop`.
            DatabaseReady: The database came up only now: the process must start again, to migrate.
        """
        with self._lock:
            if self._supervisor.closed:
                raise Closed(
                    "start() after stop(): an orchestrator is started once; make another Orchestrator"
                )
            if self._started:
                return
            self._started = True
        leave_if_told: Callable[[], None] = lambda: None  # noqa: E731
        if signals:
            from jsorc.signals import stop_on_signals

            try:
                leave_if_told = stop_on_signals(self.stop)
            except ValueError:
                self._started = False
                raise
        import atexit

        atexit.register(_stop_if_there, weakref.ref(self))
        self._discover()
        self.settings.warn_unknown()
        self._notice_another_store()
        try:
            self._open_control()
            self._regenerator.start()
        finally:
            leave_if_told()

    def stop(self, timeout: float = STOP_TIMEOUT) -> list[str]:
        """Ends services in the reverse order of their start, then daemons and processes. `svc` raises Closed.

        Args:
            timeout: Seconds in all; a service has at most five.

        Returns:
            The names of daemons and processes that would not end.
        """
        deadline = self._clock.monotonic() + timeout
        with self._lock:
            first = not self._stopping
            self._stopping = True
        if not first:
            if not _STOPPING.get():  # else a handler that the stop itself runs would wait for itself
                self._clock.wait(self._stopped, timeout)
            return []
        token = _STOPPING.set(True)
        try:
            return self._stop(timeout, deadline)
        finally:
            _STOPPING.reset(token)
            self._stopped.set()

    def _stop(self, timeout: float, deadline: float) -> list[str]:
        with self._lock:
            control = self._control
        if control is not None:
            control.close()
        self._regenerator.stop()
        left = self._supervisor.stop(timeout * 0.8)
        with self._lock:
            local, daemons = self._local, self._daemons
        # The last two seconds are for those who come last, even where the services took all of theirs.
        if local is not None:
            local.stop(max(1.0, deadline - self._clock.monotonic() - 2.0))
        if daemons is not None:
            left += daemons.stop(max(0.5, deadline - self._clock.monotonic() - 1.0), final=True)
        self._announcer.close(min(1.0, max(0.1, deadline - self._clock.monotonic())))
        return left

    def regenerate(self) -> bool:
        """Brings up what is to run and does not, now; False, at once, where a pass is under way."""
        self._discover()
        return self._regenerator.regenerate()

    def provision(
        self, service: CommonService[Any] | None, manifest: Any, *, keep: bool = False
    ) -> ProvisionResult | None:
        """Hands a manifest to the plugins that provision, as regeneration does.

        Args:
            service: The service that it is for; None for what belongs to no service.
            manifest: What the plugin understands, such as YAML as text; it is handed on untouched.
            keep: Whether it takes the place of the service's registered manifest from now on: it is stored
                for every replica, once a plugin has provided; see `svc_manifest_unset`.

        Returns:
            What the first plugin that answers did; None where every one leaves it to others.

        Raises:
            ProvisionError: No plugin answered, and this is what those say that raised.
            ConfigError: It cannot be kept, as it holds a secret or is for no service that has a manifest
                setting, or is read before the hook can be; nothing was provisioned.
            StaleRevision: Somebody else changed stored settings meanwhile; it was provisioned and not kept.
        """
        self._discover()

        def ask(manifest: Any) -> ProvisionResult | None:
            return ask_provisioners(self._plugins, service, manifest, self._clock)

        if not keep:
            return ask(manifest)
        if service is None:
            raise ConfigError("a manifest is kept for a service; say for which, or do not keep it")
        return self._changes.keep_manifest(service.name, manifest, ask)

    def svc_reset(self, name: str) -> CommonService[Any]:
        """Ends a service and returns a fresh instance with the present settings, started if it is enabled."""
        return self._supervisor.reset(name)

    def svc_config(self, name: str) -> dict[str, Any]:
        """The config that a service would be started with now, stored settings included.

        Raises:
            NotRegistered: No service has the name.
            ConfigError: It does not validate.
        """
        registration = self._registry.winner("service", name)
        return self._configuration(registration, self._registry.load(registration))[0]

    def svc_class(self, name: str) -> type[CommonService[Any]]:
        """The class that wins the name of a service, imported; nothing is started.

        Raises:
            NotRegistered: No service has the name.
            PluginLoadError: The winner could not be imported.
        """
        return self._registry.load(self._registry.winner("service", name))

    def svc_config_set(self, name: str, config: Mapping[str, Any]) -> ConfigChange:
        """Changes and stores a service's config, once a service with it was seen to run.

        Args:
            name: The service.
            config: The keys to change; tables merge deeply into what is stored.

        Returns:
            The revision, and whether it outlives this process.

        Raises:
            ConfigError: It does not validate, holds a secret, or is read before the hook can be.
            ServiceUnavailable: A service with it does not start; nothing was stored.
            StaleRevision: Somebody else changed stored settings meanwhile; nothing was stored.
        """
        return self._changes.make(name, config)

    def svc_config_unset(self, name: str) -> ConfigChange:
        """Takes back what was stored of a service's config; see `svc_config_set`."""
        return self._changes.make(name, None)

    def svc_manifest_unset(self, name: str) -> ConfigChange:
        """Takes back a manifest that `provision` kept; the registered one is used at the next provisioning.

        Raises:
            NotRegistered: No service has the name.
            ConfigError: It has no manifest setting, or one that is read before the hook can be.
            StaleRevision: Somebody else changed stored settings meanwhile; nothing was stored.
        """
        return self._changes.forget_manifest(name)

    # -- how the parts meet

    def _decorator(self, pillar: Pillar, **options: Any) -> Callable[[C], C]:
        def decorate(cls: C) -> C:
            brought = Brought("application")
            getattr(brought, pillar)(target=cls, **options)
            self._registry.check(*brought.registrations)
            self.settings.expect(*brought.expected())
            self._registry.add(*brought.registrations)
            mark(cls, pillar, options)
            self._invalidate()
            return cls

        return decorate

    def _apply(self, brought: Brought) -> None:
        """Takes what one plugin brings, all of it or nothing."""
        self._registry.check(*brought.registrations)
        self.settings.declare(brought.distribution, brought.defaults, brought.variables, brought.expected())
        self._registry.add(*brought.registrations)

    def _discover(self) -> None:
        if not self._plugins.done:
            self._scan(force=False)

    def _scan(self, force: bool) -> None:
        self._plugins.discover(force, before=self._forget_declared, after=self._settle)

    def _forget_declared(self) -> None:
        self.settings.reset_declarations()
        for registration in self._registry.drop_declared():
            self.settings.expect(*registration.settings)

    def _settle(self) -> None:
        """Takes up what a scan found, before anybody else may ask."""
        self._registry.set_owners(self._plugins.owners())
        self._failures_told.clear()
        self._invalidate()

    def _invalidate(self) -> None:
        with self._lock:
            self._generation += 1
            self._factories.clear()
            self._pins = None

    def _present_pins(self) -> Mapping[str, str]:
        """The pins, kept like the factories until something changes who wins."""
        pins = self._pins
        if pins is None:
            pins = self._pins = self.settings.core().use
        return pins

    def _factory(self, name: str) -> Callable[[], Any]:
        """Finds the factory of a repository and keeps it until something changes who wins."""
        self._discover()
        generation = self._generation
        overridden = self._overrides.find("repository", name)
        if overridden is None:
            self._tell_failures(name)
            cls = self._registry.load(self._registry.winner("repository", name))
        elif isinstance(overridden.value, type):
            cls = overridden.value
        else:
            return self._kept(name, overridden.make, generation)
        bind = getattr(cls, "bind", None)
        if getattr(bind, "__self__", None) is not cls:  # not a class method
            return self._kept(name, cls, generation)
        with self._binding:
            if generation == self._generation and name in self._factories:
                return self._factories[name]
            return self._kept(name, cast("Any", bind)(self), generation)

    def _kept(self, name: str, factory: Callable[[], Any], generation: int) -> Callable[[], Any]:
        with self._lock:
            if generation == self._generation:
                self._factories[name] = factory
        return factory

    def _tell_failures(self, name: str) -> None:
        failed = [record for record in self._plugins.records() if record.state == "failed"]
        for record in failed:
            if record.distribution not in self._failures_told:
                self._failures_told.add(record.distribution)
                log.error(
                    "plugin %r of %s did not load, so the winner of %r may not be the one you expect: %s",
                    record.name,
                    record.distribution,
                    name,
                    record.error,
                )

    def _context(self, name: str) -> type:
        return self._registry.load(self._registry.winner("context", name))

    def _fake_service(self, name: str, cls: type) -> CommonService[Any]:
        return self._supervisor.make(self._registry.winner("service", name), cls)

    def _configuration(
        self, registration: Registration, cls: type, stored: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], Any]:
        """Config and manifest for a service that is to be started."""
        bootstrap = registration.name in self._regenerator.hook_needs()
        # Once started, each pass reads them; what is asked for before the first one must not miss them.
        if stored is None and not bootstrap and not (self._started and self._stored.known):
            self._stored.refresh()
        secret_keys = tuple(getattr(cls, "secret_keys", ()))
        config: dict[str, Any] = {}
        manifest: Any = {}
        layer: bool | Mapping[str, Any] = not bootstrap if stored is None else stored
        if registration.config is not None:
            resolved = self.settings.resolve(registration.config, layer, secret_keys=secret_keys)
            config = checked_config(resolved, cls)
        if registration.manifest is not None:
            manifest = self.settings.resolve(registration.manifest, layer).value
        return config, manifest

    def _open_control(self) -> None:
        """Lets the `jsorc` command speak to this process, unless it is not to."""
        config = self.settings.core()
        if not config.control:
            return
        from jsorc.control import ControlServer, socket_path

        path = socket_path(self.state_dir, config.namespace)
        with self._lock:
            if not self._stopping:
                self._control = ControlServer(path, {"status": self.info, "regenerate": self.regenerate})
                self._control.open()

    def _notice_another_store(self) -> None:
        from jsorc.last_winner import warn_of_another_store

        try:
            winner = self._registry.winner("repository", "hook")
        except JsOrcError:
            return
        pin = self.settings.explain("JSORC_CONFIG").get("use.hook")
        if pin is None or pin.layer != "environment":  # who pins for one process means that process
            warn_of_another_store(self.state_dir, self.settings.core().namespace, winner)

    def _local_provisioner(self) -> LocalProvisioner:
        from jsorc.daemons import Daemons
        from jsorc.provisioning import LocalProvisioner

        with self._lock:
            if self._stopping:
                raise Closed("the orchestrator was stopped; it starts no server any more")
            if self._local is None:
                self._daemons = Daemons("the local provisioner", clock=self._clock)
                self._local = LocalProvisioner(self.state_dir / "locks", self._clock, self._daemons)
            return self._local

    def _after_fork(self) -> None:
        """In the child of a fork: new locks, no live services, no threads; the parent's are left alone."""
        self._lock = threading.RLock()
        self._binding = threading.RLock()
        self._plugins.after_fork()
        self._registry.after_fork()
        self.settings.after_fork()
        self._contexts.after_fork()
        self._overrides.after_fork()
        self._supervisor.forget()
        self._stored.forget()
        self._regenerator.forget()
        self._announcer = Announcer(lambda: self._plugins.implementations("jsorc_state_changed"), self._clock)
        self._supervisor.announce = self._announcer.announce
        if self._local is not None:
            self._local.forget()
        if self._daemons is not None:
            self._daemons.forget()
        if self._control is not None:
            self._control.forget()
            self._control = None
        for shared in self._shared.values():
            forget = getattr(shared, "after_fork", None)
            if forget is not None:
                forget()
        self._started = self._stopping = False
        self._stopped = threading.Event()


def _checked(found: Any, cls: type[T], name: str) -> T:
    if not isinstance(found, cls):
        raise CastError(
            f"{name!r} is {type(found).__name__}, not {cls.__name__}; see JsOrc.explain({name!r})"
        )
    return found


def _stop_if_there(reference: weakref.ref[Orchestrator]) -> None:
    orchestrator = reference()
    if orchestrator is not None:
        orchestrator.stop()


def _in_children_of_forks(orchestrator: Orchestrator) -> None:
    if not hasattr(os, "register_at_fork"):
        return
    reference = weakref.ref(orchestrator)

    def after() -> None:
        mine = reference()
        if mine is not None:
            mine._after_fork()

    os.register_at_fork(after_in_child=after)
