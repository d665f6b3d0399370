"""The Regenerator: what is to run is started, provisioned when it fails, and tried again until it runs.

It holds the order of the initial regeneration (database stage, then services after what they need) and the
thread of the interval pass. How one start is done is `supervisor`'s.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jsorc.backoff import Backoff
from jsorc.clock import Clock
from jsorc.daemons import Call, call
from jsorc.errors import Closed, ConfigError, DatabaseReady, JsOrcError, NotRegistered, ProvisionError
from jsorc.plugins import Plugins
from jsorc.provisioners import PROVISION_TIMEOUT, ask_provisioners
from jsorc.redaction import get_logger, mask_text, scrub
from jsorc.registration import Registration
from jsorc.registry import Registry
from jsorc.service import CommonService
from jsorc.settings import JsOrcSettings
from jsorc.stored_settings import StoredSettings
from jsorc.supervisor import Supervisor

if TYPE_CHECKING:
    from jsorc.provisioning import LocalProvisioner, ProvisionResult

__all__ = ["Readiness", "Regenerator"]

log = get_logger("jsorc.regeneration")

DEFAULT_INTERVAL = 10.0
"""Seconds between two interval passes where the setting cannot be read."""
ANSWER_TIMEOUT = 5.0
"""Seconds that a plugin has to say whether the database is ready or this replica leads."""
PREPARE_TIMEOUT = 600.0
"""Seconds that a plugin has to migrate the database."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether what is to run does run.

    Attributes:
        ok: Whether nothing is waited for.
        waiting: The names of the services that are not RUNNING.
    """

    ok: bool
    waiting: tuple[str, ...] = ()


class Regenerator:
    """The regeneration of one orchestrator.

    Args:
        orchestrator: Given to plugins, and not looked at here.
        supervisor: Starts services.
        registry: Says which services there are, and what they need.
        settings: Says which of them are to run.
        plugins: Asked to provision, whether the database is ready, and who leads.
        local: Gives what runs servers on this machine.
        stored: Read at each pass.
        clock: The clock of intervals, backoff and deadlines.
    """

    def __init__(
        self,
        *,
        orchestrator: Any,
        supervisor: Supervisor,
        registry: Registry,
        settings: JsOrcSettings,
        plugins: Plugins,
        local: Callable[[], LocalProvisioner],
        stored: StoredSettings,
        clock: Clock,
    ) -> None:
        self._orchestrator = orchestrator
        self._supervisor = supervisor
        self._registry = registry
        self._settings = settings
        self._plugins = plugins
        self._local = local
        self._stored = stored
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begins anew, in the child of a fork: the thread is the parent's."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._changed = threading.Event()
        self._started = False
        self._passing = False
        self._recovering: dict[str, threading.Event] = {}
        self._looking: threading.Event | None = None
        self._explained: set[str] = set()
        self._kept: frozenset[str] = frozenset()
        self._complained = self._why = ""
        self._thread: threading.Thread | None = None

    # -- what is to run

    def hook_needs(self) -> tuple[str, ...]:
        """The services that the winning hook needs; they, and the database, use no stored settings."""
        try:
            return self._registry.winner("repository", "hook").needs
        except JsOrcError:
            return ()

    def wanted(self, unseen: bool = False) -> list[str]:
        """The enabled services that are to run: preloaded ones, automated ones, and what these need.

        Args:
            unseen: Only those that were never asked for.
        """
        preloaded = set(self._settings.core().pre_loaded_services)
        found: list[str] = []
        seen: set[tuple[str, bool]] = set()

        def add(name: str, always: bool) -> None:
            if (name, always) in seen or (unseen and self._was_begun(name)):
                return
            seen.add((name, always))
            registration, enabled, automated = self._intention(name)
            if not enabled or not (always or automated):
                return
            for need in registration.needs if registration is not None else ():
                add(need, True)
            if name not in found:
                found.append(name)

        for name in self.hook_needs():
            add(name, True)
        for name in self._registry.names("service"):
            add(name, name in preloaded)
        return found

    def _intention(self, name: str) -> tuple[Registration | None, bool, bool]:
        """Who stands for a service, whether it is enabled, and automated; a running one keeps its config."""
        slot = self._supervisor.slot(name)
        if slot is not None and slot.service is not None and slot.service.is_running():
            return slot.registration, True, slot.service.automated
        try:
            registration = self._registry.winner("service", name)
            config = self._settings.resolve(registration.config).value if registration.config else {}
        except NotRegistered:
            return None, False, False
        except JsOrcError:
            return None, True, True  # its start says what is wrong
        config = config if isinstance(config, dict) else {}
        return registration, config.get("enabled", True) is not False, config.get("automated") is True

    def _was_begun(self, name: str) -> bool:
        """Whether a service was started, or is being started, as its settings were then."""
        slot = self._supervisor.slot(name)
        if slot is None or (slot.starting is None and slot.service is None):
            return False
        return slot.starting is not None or slot.service is None or slot.service.enabled

    def readiness(self) -> Readiness:
        """Whether everything that is to run is RUNNING."""
        waiting = tuple(name for name in self.wanted() if not self._runs(name))
        return Readiness(not waiting and not self._supervisor.closed, waiting)

    def is_alive(self) -> bool:
        """Whether the interval pass goes on, where it was begun."""
        return not self._supervisor.closed and (self._thread is None or self._thread.is_alive())

    # -- the initial regeneration

    def start(self) -> None:
        """Does the initial regeneration in the calling thread, then begins the interval pass.

        Raises:
            DatabaseReady: The database was not there and is now: the process must start again.
        """
        self._database_stage()
        self._prepare_database()
        self._started = self._supervisor.supervised = self._passing = True
        # It runs from now on, so that what runs already is probed while something else takes its time.
        self._thread = threading.Thread(target=self._loop, name="jsorc-regeneration", daemon=True)
        self._thread.start()
        try:
            self._keep(self.wanted())
            needed = self.hook_needs()
            first = [name for name in self.wanted() if name in needed]
            self._bring_up_all(first, self._bring_up)
            self._stored.refresh()
            rest = [name for name in self.wanted() if name not in first]
            self._keep([*first, *rest])
            self._bring_up_all(rest, self._bring_up)
        finally:
            self._passing = False
            self._supervisor.prober.wake.set()

    def stop(self) -> None:
        """Ends the interval pass; what it has begun ends by its own deadlines."""
        self._stopping.set()
        self._changed.set()
        self._supervisor.prober.wake.set()

    def _database_stage(self) -> None:
        config = self._settings.database()
        if not config.enabled or self._database_ready() in (True, None):
            return
        backoff, provisioned = Backoff(), False
        while not self._stopping.is_set():
            if not provisioned and self._is_leader():
                provisioned = True
                self._provision_database()
            if self._database_ready():
                log.warning("the database is ready; this process ends with code %d", config.exit_code)
                raise DatabaseReady(config.exit_code)
            now = self._clock.monotonic()
            delay = backoff.failed(now) - now
            log.warning(
                "waiting for the database: attempt %d, again in %.1f s%s", backoff.failures, delay, self._why
            )
            self._clock.wait(self._stopping, delay)
        raise Closed("the wait for the database was ended by JsOrc.stop()")

    def _provision_database(self) -> None:
        log.warning("the database is not there; it is provisioned from DB_REGEN_MANIFEST")
        try:
            manifest = self._settings.resolve("DB_REGEN_MANIFEST", stored=False).value
            result = ask_provisioners(self._plugins, None, manifest, self._clock)
        except JsOrcError as error:
            log.warning("the database was not provisioned: %s", error)
        else:
            log.info("the database: %s", result.detail if result else "no plugin provisions it")

    def _database_ready(self) -> bool | None:
        """Whether the database answers; None where no plugin has one. What raises or hangs: not ready."""
        answered, self._why = False, ""
        for name, implementation in self._plugins.implementations("jsorc_database_ready"):
            try:
                ready = call(
                    functools.partial(implementation, orchestrator=self._orchestrator),
                    ANSWER_TIMEOUT,
                    name=f"jsorc-database-{name}",
                    clock=self._clock,
                )
            except (Exception, SystemExit) as error:
                if isinstance(error, ConfigError):
                    raise  # to wait would not mend it
                self._why = mask_text(f": {name} says {type(error).__name__}: {error}")
                answered = True
                continue
            if ready is not None:
                return bool(ready)
        if not answered:
            log.warning("DB_REGEN_CONFIG is enabled, and no plugin answers jsorc_database_ready")
            return None
        return False

    def _prepare_database(self) -> None:
        """Lets plugins migrate; where one fails, what needs the database says so itself."""
        for name, implementation in self._plugins.implementations("jsorc_database_prepare"):
            try:
                call(
                    functools.partial(implementation, orchestrator=self._orchestrator),
                    PREPARE_TIMEOUT,
                    name=f"jsorc-prepare-database-{name}",
                    clock=self._clock,
                )
            except (Exception, SystemExit) as error:
                log.error("%s did not prepare the database: %s", name, mask_text(str(error)))

    def _bring_up_all(self, names: list[str], work: Callable[[str], None]) -> None:
        """Does the work for services side by side, for each after those of them that it needs."""
        pending = {name: {need for need in self._needs(name) if need in names} for name in names}
        running: dict[str, threading.Event] = {}
        while (pending or running) and not self._stopping.is_set():
            ready = [name for name, needs in pending.items() if not needs & (pending.keys() | running.keys())]
            if not ready and not running:
                ready = list(pending)  # a circle; the start of one of them names it
            for name in ready:
                del pending[name]
                running[name] = self._begin(name, work)
            self._clock.wait(self._changed, None)
            self._changed.clear()
            running = {name: done for name, done in running.items() if not done.is_set()}

    def _begin(self, name: str, work: Callable[[str], None]) -> threading.Event:
        """Does the work for one service on a thread of its own; the event is set when it has ended."""
        done = threading.Event()

        def guarded() -> None:
            try:
                work(name)
            except Closed:
                log.debug("%s: the orchestrator was stopped meanwhile", name)
            except BaseException as error:
                log.error("%s: %s", name, mask_text(f"{type(error).__name__}: {error}"))
                if not isinstance(error, JsOrcError):
                    log.debug("regeneration of %s", name, exc_info=True)
            finally:
                done.set()
                self._changed.set()
                self._supervisor.prober.wake.set()

        Call(guarded, name=f"jsorc-regenerate-{name}", clock=self._clock)
        return done

    def _bring_up(self, name: str) -> None:
        slot = self._supervisor.slot(name)
        known = slot.service if slot is not None else None
        if known is not None and not known.enabled:
            service = self._supervisor.reset(name)  # it was enabled since it was first asked for
        else:
            service = self._supervisor.obtain(name)
        if service.has_failed():
            self._provide(service)

    def _recover(self, name: str) -> None:
        service = self._supervisor.attempt(name)
        if service.has_failed() and not service._hangs():
            self._provide(service)

    def _provide(self, service: CommonService[Any]) -> None:
        """Provisions what a failed service runs on, and starts it again."""
        if self._provision(service):
            slot = self._supervisor.slot(service.name)
            if slot is not None:
                slot.backoff.forgive()
            self._supervisor.attempt(service.name)

    # -- provisioning

    def _provision(self, service: CommonService[Any]) -> bool:
        """Sees to it that what a service runs on is there; whether it is worth another start."""
        if not self._started or isinstance(service.error, ConfigError) or self._lacks(service.name):
            return False
        if not self._is_leader():
            return False
        try:
            result = self._provided_by_somebody(service)
        except (Exception, SystemExit) as error:
            if service.error is not None and error.__cause__ is None:
                error.__cause__ = service.error
            service.error = scrub(error)
            log.warning("%s was not provisioned: %s", service.name, error)
            return False
        if result is None:
            self._explain(service)
            return False
        log.info("%s: %s", service.name, result.detail)
        return result.provided

    def _provided_by_somebody(self, service: CommonService[Any]) -> ProvisionResult | None:
        """Asks the plugins, then this machine; what plugins raised is raised where neither answers."""
        result, failure = None, None
        try:
            result = ask_provisioners(self._plugins, service, service.manifest, self._clock)
        except ProvisionError as error:
            failure = error
        if result is None:
            process = call(
                service.local_process, ANSWER_TIMEOUT, name=f"jsorc-local-{service.name}", clock=self._clock
            )
            if process is not None:
                result = self._local().provision(process, PROVISION_TIMEOUT)
        if result is None and failure is not None:
            raise failure
        return result

    def _is_leader(self) -> bool:
        for name, implementation in self._plugins.implementations("jsorc_is_leader"):
            try:
                leads = call(implementation, ANSWER_TIMEOUT, name=f"jsorc-leader-{name}", clock=self._clock)
            except (Exception, SystemExit) as error:
                log.warning("jsorc_is_leader of %s failed, so this replica does not lead: %s", name, error)
                return False
            if leads is not None:
                return bool(leads)
        return True

    def _explain(self, service: CommonService[Any]) -> None:
        if service.name in self._explained:
            return
        self._explained.add(service.name)
        slot = self._supervisor.slot(service.name)
        setting = slot.registration.config if slot is not None and slot.registration is not None else None
        log.warning(
            "%s: nothing provisions it here. Start its server, name its host in %s, or install a plugin that "
            "provisions, such as jsorc-kube",
            service.name,
            setting or "its config",
        )

    # -- the interval pass

    def regenerate(self) -> bool:
        """Brings up what is to run and does not, now, whatever the backoff says.

        Returns:
            True when done; False, at once, where a pass is under way already.
        """
        with self._lock:
            if self._passing or any(not done.is_set() for done in self._recovering.values()):
                return False
            self._passing = True
        try:
            self._stored.refresh()
            names = [name for name in self.wanted() if not self._runs(name)]
            names += [name for name in list(self._supervisor.failing) if name not in names]
            self._bring_up_all(names, self._recover)
        finally:
            self._passing = False
            self._supervisor.prober.wake.set()
        return True

    def _loop(self) -> None:
        wake = self._supervisor.prober.wake
        interval_due = self._clock.monotonic()
        while not self._stopping.is_set():
            wake.clear()
            try:
                probe_due = self._supervisor.prober.tick()
                now = self._clock.monotonic()
                if now >= interval_due:
                    interval_due = now + self._interval()
                    self._interval_pass()
                due = [when for when in (probe_due, interval_due, self._recover_due(now)) if when is not None]
                timeout = max(0.0, min(due) - self._clock.monotonic())
            except Exception:
                log.exception("the interval pass met an error and goes on")
                timeout = 1.0
            self._clock.wait(wake, timeout)

    def _interval(self) -> float:
        try:
            return self._settings.core().backoff_interval
        except ConfigError as error:
            if str(error) != self._complained:
                self._complained = str(error)
                log.error("the interval is %g s until this is mended: %s", DEFAULT_INTERVAL, error)
            return DEFAULT_INTERVAL

    def _recover_due(self, now: float) -> float | None:
        """Begins the recoveries that are due; when the next one is."""
        if self._passing:
            return None
        next_due: float | None = None
        for name, slot in list(self._supervisor.failing.items()):
            if not self._is_idle(name):
                continue  # its end wakes the pass; and only then is what `due` says the latest
            service, due = slot.service, slot.backoff.due
            if service is None or due is None or not (service.automated or name in self._kept):
                continue
            if self._lacks(name):
                continue  # its turn comes when what it needs runs; until then it would only fail again
            if due > now:
                next_due = due if next_due is None else min(next_due, due)
            else:
                self._begin_alone(name, self._recover)
        return next_due

    def _interval_pass(self) -> None:
        """Reads stored settings and begins what was never begun, such as a service enabled meanwhile."""
        if not self._passing and (self._looking is None or self._looking.is_set()):
            self._looking = self._begin("settings", self._look_around)

    def _look_around(self, _: str) -> None:
        self._stored.refresh()
        self._keep(self.wanted())
        for name in self.wanted(unseen=True):
            self._begin_alone(name, self._bring_up)

    def _begin_alone(self, name: str, work: Callable[[str], None]) -> None:
        """Begins the work for one service, unless that is under way, or a whole pass is."""
        with self._lock:
            if not self._passing and self._is_idle(name):
                self._recovering[name] = self._begin(name, work)

    def _is_idle(self, name: str) -> bool:
        recovering = self._recovering.get(name)
        return recovering is None or recovering.is_set()

    def _keep(self, names: list[str]) -> None:
        """Notes what is to run, and so is started again when it failed."""
        self._kept = frozenset(names)

    def _needs(self, name: str) -> tuple[str, ...]:
        try:
            return self._registry.winner("service", name).needs
        except JsOrcError:
            return ()

    def _lacks(self, name: str) -> bool:
        """Whether something that a service needs does not run."""
        return any(not self._runs(need) for need in self._needs(name))

    def _runs(self, name: str) -> bool:
        slot = self._supervisor.slot(name)
        return slot is not None and slot.service is not None and slot.service.is_running()
