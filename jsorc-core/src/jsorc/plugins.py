"""Discovery: one scan of the entry points of group `jsorc.services`, each plugin loaded in isolation.

A plugin that fails becomes a record with its error, and what it had begun to register is dropped. Ranking
what plugins bring is `registry`'s.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, cast

import pluggy

from jsorc import hookspecs
from jsorc.distributions import CORE, Found, check_fence, core_version, found, normalise
from jsorc.errors import JsOrcError, PluginLoadError, RegistrationError
from jsorc.redaction import get_logger, mask_text
from jsorc.registration import Owner, Pillar, Registration

__all__ = ["Brought", "PluginRecord", "Plugins", "mark", "marks_of"]

SLOW_IMPORT = 1.0
"""Seconds after which a plugin's import is worth a warning."""

log = get_logger("jsorc.plugins")

State = Literal["discovered", "loaded", "failed", "blocked"]


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """One plugin as discovery found it.

    Attributes:
        name: The name of its entry point.
        distribution: The distribution that brings it.
        version: The distribution's version.
        target: What the entry point names.
        state: `discovered`, `loaded`, `failed` or `blocked`.
        error: What went wrong and what mends it, when it failed.
    """

    name: str
    distribution: str
    version: str
    target: str
    state: State
    error: str | None = None


@dataclass(slots=True)
class Brought:
    """What one plugin brings; it is applied as a whole, once nothing of it failed."""

    distribution: str
    version: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    registrations: list[Registration] = field(default_factory=list)
    beside: frozenset[str] = frozenset()
    """The normalised names of the distributions whose plugins are there and not blocked."""

    def settings(self, **defaults: Any) -> None:
        """See `hookspecs.Register`."""
        self.defaults.update(defaults)

    def env(self, **variables: str) -> None:
        """See `hookspecs.Register`."""
        self.variables.update(variables)

    def service(
        self,
        name: str,
        target: str | type,
        *,
        config: str | None = None,
        manifest: str | None = None,
        priority: int = 0,
        proxy: bool = False,
        needs: Iterable[str] = (),
    ) -> None:
        """See `hookspecs.Register`."""
        self._add(
            "service",
            name,
            target,
            config=config,
            manifest=manifest,
            priority=priority,
            proxy=proxy,
            needs=_names(needs),
        )

    def repository(
        self, name: str, target: str | type, *, priority: int = 0, needs: Iterable[str] = ()
    ) -> None:
        """See `hookspecs.Register`."""
        self._add("repository", name, target, priority=priority, needs=_names(needs))

    def context(self, name: str, target: str | type, *, priority: int = 0) -> None:
        """See `hookspecs.Register`."""
        self._add("context", name, target, priority=priority)

    def has_plugin(self, distribution: str) -> bool:
        """See `hookspecs.Register`."""
        return normalise(distribution) in self.beside

    def expected(self) -> list[str]:
        """The settings that the registrations refer to."""
        return [setting for registration in self.registrations for setting in registration.settings]

    def _add(self, pillar: Pillar, name: str, target: str | type, **options: Any) -> None:
        cls = target if isinstance(target, type) else None
        if cls is None and not isinstance(target, str):
            raise RegistrationError(
                f"{pillar} {name!r} of {self.distribution}: the target {target!r:.60} is neither a class nor "
                "a string 'package.module:Class'"
            )
        text = target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"
        self.registrations.append(
            Registration(
                pillar, name, text, distribution=self.distribution, version=self.version, cls=cls, **options
            )
        )


def _names(names: Iterable[str]) -> tuple[str, ...]:
    # A lone string is handed on as it is, for the registration to refuse; tuple() would take it apart.
    return cast("tuple[str, ...]", names) if isinstance(names, str) else tuple(names)


MARKS = "__jsorc_marks__"


def mark(cls: type, pillar: Pillar, options: Mapping[str, Any]) -> None:
    """Leaves a decorator's options on the class itself, for every orchestrator that loads its plugin."""
    marks = cls.__dict__.get(MARKS, {})
    try:
        setattr(cls, MARKS, {**marks, (pillar, options["name"]): dict(options)})
    except TypeError:
        return  # a class written in C takes no attributes, and is in no plugin's module


def marks_of(cls: type) -> Iterator[tuple[Pillar, dict[str, Any]]]:
    """The marks that decorators left on a class, not on its bases."""
    for (pillar, _), options in cls.__dict__.get(MARKS, {}).items():
        yield pillar, dict(options)


class Plugins:
    """The plugins of one orchestrator.

    Args:
        apply: Takes what a plugin brings; what it raises fails that plugin.
        environ: Where the allow and block lists are read, at each scan.
        enabled: False for an orchestrator that starts empty.
    """

    def __init__(
        self,
        apply: Callable[[Brought], None],
        environ: Mapping[str, str] | None = None,
        enabled: bool = True,
    ) -> None:
        self._apply = apply
        self._environ = os.environ if environ is None else environ
        self._enabled = enabled
        self._lock = threading.RLock()
        self._scanning = False
        self._done = not enabled
        self._records: list[PluginRecord] = []
        self._added: list[tuple[object, str]] = []
        self._manager = self._new_manager()

    @property
    def done(self) -> bool:
        """Whether the scan was made."""
        return self._done

    def records(self) -> list[PluginRecord]:
        """Every plugin that the last scan found, by distribution name."""
        return list(self._records)

    def owners(self) -> list[Owner]:
        """Each plugin, with what keeps its classes from being used."""
        statuses = {"failed": "failed: {}", "blocked": "blocked"}
        return [
            Owner(
                record.distribution,
                record.version,
                record.target,
                statuses.get(record.state, "").format(record.error),
            )
            for record in self._records
        ]

    def discover(self, force: bool, *, before: Callable[[], None], after: Callable[[], None]) -> None:
        """Scans the entry points, once, or again when forced; others who ask wait for it.

        Args:
            force: Whether to scan again.
            before: Called before the scan.
            after: Called when the records are complete.

        Raises:
            PluginLoadError: A plugin failed and `JSORC_STRICT=1`; the next call scans again.
        """
        if self._done and not force:
            return
        with self._lock:
            if self._scanning or not self._enabled or (self._done and not force):
                return
            self._scanning, self._done = True, False
            try:
                if force:
                    import importlib

                    importlib.invalidate_caches()
                before()
                try:
                    self._scan()
                finally:
                    after()
                self._done = True
            finally:
                self._scanning = False

    def each(self, hook: str, /, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Calls every implementation of a hook by itself, in pluggy's order.

        Yields:
            The plugin's name, and what it returned or, where it raised, the exception.
        """
        for name, function in self.implementations(hook):
            try:
                yield name, function(**arguments)
            except (Exception, SystemExit) as error:
                log.exception("%s of plugin %s failed", hook, name)
                yield name, error

    def first(self, hook: str, /, **arguments: Any) -> Any:
        """The first answer to a hook that is neither None nor an exception; None when nobody answers."""
        for _, answer in self.each(hook, **arguments):
            if answer is not None and not isinstance(answer, BaseException):
                return answer
        return None

    def implementations(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """Every implementation of a hook, as functions that take the hook's arguments by keyword."""
        found = reversed(getattr(self._manager.hook, hook).get_hookimpls())
        return [(implementation.plugin_name, _by_keyword(implementation)) for implementation in found]

    def add(self, plugin: object, name: str) -> None:
        """Registers a pluggy plugin that no entry point names, such as an application's own listener."""
        with self._lock:
            self._register(self._manager, plugin, name)
            self._added.append((plugin, name))

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()
        self._scanning = False

    def _new_manager(self) -> pluggy.PluginManager:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        for plugin, name in self._added:
            manager.register(plugin, name)
        return manager

    def _scan(self) -> None:
        self._manager = self._new_manager()
        self._records = []
        blocked, allowed = self._lists()
        strict = self._environ.get("JSORC_STRICT", "").strip().lower() in {"1", "true", "yes", "on"}
        self._load_core()
        plugins = [(normalise(plugin.distribution), plugin) for plugin in found()]
        used = {name for name, _ in plugins if name not in blocked and (allowed is None or name in allowed)}
        for name, plugin in plugins:
            if name not in used:
                self._records.append(_record(plugin, "blocked"))
                continue
            try:
                self._load(plugin, frozenset(used))
            except (Exception, SystemExit) as error:
                text = _text_of(error)
                self._records.append(_record(plugin, "failed", text))
                if strict:
                    raise PluginLoadError(
                        f"plugin {plugin.name!r} of {plugin.distribution} did not load: {text} "
                        "(JSORC_STRICT is set)"
                    ) from error
                log.warning(
                    "plugin %r of %s did not load and is left out: %s",
                    plugin.name,
                    plugin.distribution,
                    text,
                )
            else:
                self._records.append(_record(plugin, "loaded"))

    def _lists(self) -> tuple[set[str], set[str] | None]:
        def names(variable: str) -> set[str]:
            return {normalise(n.strip()) for n in self._environ.get(variable, "").split(",") if n.strip()}

        return names("JSORC_PLUGINS_BLOCK"), names("JSORC_PLUGINS_ALLOW") or None

    def _load_core(self) -> None:
        from jsorc import plugin

        brought = Brought(CORE, core_version())
        plugin.jsorc_register(brought)
        self._apply(brought)

    def _load(self, plugin: Found, beside: frozenset[str]) -> None:
        if plugin.entry is None:
            raise PluginLoadError(plugin.error)
        check_fence(plugin)
        began = time.monotonic()
        loaded = plugin.entry.load()
        took = time.monotonic() - began
        if took > SLOW_IMPORT:
            log.warning("plugin %r of %s took %.1f s to import", plugin.name, plugin.distribution, took)
        brought = Brought(plugin.distribution, plugin.version, beside=beside)
        key = f"{plugin.distribution}:{plugin.name}"
        if isinstance(loaded, type):
            classes = [loaded]
            if not list(marks_of(loaded)):
                raise RegistrationError(f"{plugin.target} is a class without a JsOrc decorator")
        else:
            self._register(self._manager, loaded, key)
            classes = _classes_of(loaded)
        try:
            if not isinstance(loaded, type) and self._manager.parse_hookimpl_opts(loaded, "jsorc_register"):
                loaded.jsorc_register(brought)
            for cls in classes:
                for pillar, options in marks_of(cls):
                    getattr(brought, pillar)(target=cls, **options)
            if not brought.registrations and not self._manager.get_hookcallers(loaded):
                raise RegistrationError(
                    f"{plugin.target} registers nothing: it has no @hookimpl and no decorated class"
                )
            self._apply(brought)
        except BaseException:
            if self._manager.has_plugin(key):
                self._manager.unregister(name=key)
            raise

    @staticmethod
    def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
        try:
            manager.register(plugin, name)
            manager.check_pending()
            for caller in manager.get_hookcallers(plugin) or []:
                for implementation in caller.get_hookimpls():
                    if implementation.wrapper or implementation.hookwrapper:
                        raise RegistrationError(
                            f"{implementation.plugin_name} wraps {caller.name}: every implementation is "
                            "called by itself, so wrappers are not supported"
                        )
        except BaseException:
            if manager.has_plugin(name):
                manager.unregister(name=name)
            raise


def _record(plugin: Found, state: State, error: str | None = None) -> PluginRecord:
    return PluginRecord(plugin.name, plugin.distribution, plugin.version, plugin.target, state, error)


def _text_of(error: BaseException) -> str:
    try:
        return mask_text(str(error) if isinstance(error, JsOrcError) else f"{type(error).__name__}: {error}")
    except Exception:  # an exception whose own text fails is a plugin's mistake like any other
        return type(error).__name__


def _by_keyword(implementation: pluggy.HookImpl) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        return implementation.function(*(arguments[name] for name in implementation.argnames))

    return call


def _classes_of(found: object) -> list[type]:
    if not isinstance(found, ModuleType):
        return []
    package = found.__name__.partition(".")[0]
    return [
        value
        for value in vars(found).values()
        if isinstance(value, type)
        and value.__module__.partition(".")[0] == package
        and MARKS in value.__dict__
    ]
