"""The live services of one orchestrator: single-flight starts, the exchange of an instance, the ordered stop.

Which service is tried again, and when, is decided by `regeneration`; here is how a start or a stop is done
safely from any number of threads.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from jsorc.backoff import Backoff
from jsorc.clock import Clock
from jsorc.daemons import Call
from jsorc.errors import Closed, ConfigError, JsOrcError, ServiceUnavailable, StartCycle
from jsorc.probes import Prober
from jsorc.redaction import get_logger
from jsorc.registration import Registration
from jsorc.registry import Registry
from jsorc.service import STARTING, CommonService, ServiceState, broken, build

__all__ = ["READING", "Slot", "Supervisor"]

log = get_logger("jsorc.supervisor")

STOP_EACH = 5.0
"""Seconds that a service has to end what it holds."""
REPLACED = "this instance was replaced; ask JsOrc.svc({0!r}) for the present one"
STOPPED = "it was stopped with its orchestrator"

READING: ContextVar[bool] = ContextVar("jsorc_reading_stored_settings", default=False)
"""Whether the current context reads stored settings in order to start a service."""
MAKING: ContextVar[tuple[str, ...]] = ContextVar("jsorc_making", default=())
"""The services whose settings the current context reads, in order to make an instance of them."""

Service = CommonService[Any]
Configure = Callable[[Registration, type], tuple[dict[str, Any], Any]]


@dataclass(slots=True)
class Start:
    """A start under way: who waits for it waits for `done`."""

    done: threading.Event = field(default_factory=threading.Event)
    service: Service | None = None
    error: BaseException | None = None


@dataclass(slots=True)
class Slot:
    """What is known of one service name.

    Attributes:
        name: The name.
        backoff: When a failed one is tried again.
        registration: The candidate that won when the present instance was made.
        service: The present instance.
        starting: The start that is under way.
        hung: An earlier instance with a thread that did not end; while it lives nothing new begins.
        order: The place in the order in which starts ended.
        since: When the present state was entered, in the clock's seconds.
        attempts: How many instances were started.
    """

    name: str
    backoff: Backoff
    registration: Registration | None = None
    service: Service | None = None
    starting: Start | None = None
    hung: Service | None = None
    order: int = 0
    since: float = 0.0
    attempts: int = 0


class Supervisor:
    """Every live service of one orchestrator.

    Args:
        orchestrator: Given to the services, and not looked at here.
        registry: Says which class a name stands for.
        configure: Reads config and manifest of a registration; it raises ConfigError.
        clock: The clock of every deadline.
        announce: Told of each change of state; it must return at once.
        backoff: Makes the backoff of a service.
    """

    def __init__(
        self,
        orchestrator: Any,
        registry: Registry,
        configure: Configure,
        clock: Clock,
        announce: Callable[[Service, ServiceState, ServiceState, BaseException | None], None],
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self.live: dict[str, Service] = {}
        """The services that `svc` may return without a further question."""
        self.failing: dict[str, Slot] = {}
        """The services that are FAILED."""
        self.prober = Prober(clock, self._died)
        self.supervised = False
        """Whether a regenerator looks after failed services, so that `svc` need not."""
        self._orchestrator = orchestrator
        self._registry = registry
        self._configure = configure
        self._clock = clock
        self.announce = announce
        self._new_backoff = backoff
        self._lock = threading.Lock()
        self._slots: dict[str, Slot] = {}
        self._waits: dict[str, list[str]] = {}
        self._orders = itertools.count(1)
        self._closed = False
        self._inherited: list[Service] = []
        self._overridden: dict[str, Any] = {}

    @property
    def closed(self) -> bool:
        """Whether `stop` was called."""
        return self._closed

    def slots(self) -> list[Slot]:
        """Every service that was ever asked for, by name."""
        with self._lock:
            return sorted(self._slots.values(), key=lambda slot: slot.name)

    def slot(self, name: str) -> Slot | None:
        """What is known of one name; None when it was never asked for."""
        return self._slots.get(name)

    def obtain(self, name: str) -> Service:
        """The one service of a name, started if it is cold and enabled; at most one thread starts it.

        Raises:
            NotRegistered: No service has the name.
            PluginLoadError: The class could not be imported.
            StartCycle: The start that the caller is in would wait for itself.
            Closed: The orchestrator was stopped.
        """
        return self._obtain(name)

    def _obtain(self, name: str, *, patient: bool = False) -> Service:
        """See `obtain`; a patient caller waits for a failed service that is being tried again."""
        while True:
            if name in self._overridden:
                return self._overridden[name]  # type: ignore[no-any-return]  # whatever a test put there
            if READING.get() and (stand_in := self._stand_in(name)) is not None:
                return stand_in
            with self._lock:
                self._refuse_if_closed(name)
                asking, slot = self._asking(), self._slot(name)
                start, service = slot.starting, slot.service
                if start is None and service is not None:
                    self._retry_if_due(slot, service)
                    self._show(slot.name, service)
                    return service
                if start is not None:
                    if asking is not None and start.service is asking and asking.is_running():
                        return asking  # post_run() asks for its own service
                    self._refuse_cycle(asking, name)
                    if service is not None and not patient:
                        # One that failed is being tried again: nobody need wait for that.
                        fresh = start.service
                        is_better = fresh is not None and fresh.is_running() and not service.is_running()
                        return fresh if fresh is not None and is_better else service
                mine = start is None
                if start is None:
                    start = slot.starting = Start()
                self._note_wait(asking, name)
            try:
                if mine:
                    self._perform(slot, start)
                else:
                    self._clock.wait(start.done, None)
            finally:
                self._end_wait(asking, name)
            if start.error is not None or start.service is not None or self._closed:
                return self._outcome(start, name)
            # Whoever was at it was interrupted (Ctrl-C) before there was an instance: it is tried anew.

    def overridden(self, name: str, value: Any) -> None:
        """Gives something else in place of a service; None gives the service again."""
        with self._lock:
            self._overridden.pop(name, None)
            self.live.pop(name, None)
            if value is not None:
                self._overridden[name] = self.live[name] = value

    def attempt(self, name: str) -> Service:
        """Starts a fresh instance in place of a failed one; where there is none that failed, like `obtain`.

        While the thread of the last attempt lives no new one begins: the failed instance is returned.
        """
        with self._lock:
            self._refuse_if_closed(name)
            slot = self._slot(name)
            service = slot.service
            start = None
            if slot.starting is None and service is not None and service.has_failed():
                if service._hangs():
                    slot.backoff.failed(self._clock.monotonic())
                    return service
                start = slot.starting = Start()
        if start is None:
            return self.obtain(name)
        self._perform(slot, start)
        return self._outcome(start, name)

    def reset(self, name: str) -> Service:
        """Ends the present instance and gives a fresh one, started if it is enabled."""
        with self._claimed(name) as (slot, start):
            with self._lock:
                old, slot.service = slot.service, None
                self.live.pop(name, None)
                self.failing.pop(name, None)
            if old is not None:
                old._retire(REPLACED.format(name))
                old._release(STOP_EACH)
                slot.hung = old if old._hangs() else slot.hung
            self._perform(slot, start)
        return self._outcome(start, name)

    def exchange(
        self, name: str, config: Mapping[str, Any], manifest: Any, store: Callable[[], Callable[[], None]]
    ) -> Service:
        """Puts an instance with another config in place of the present one, which serves until it runs.

        The candidate runs and is pinged; `store` keeps the config; the candidate takes the place, the old
        one's daemons end, and `post_run` of the candidate follows. If that fails, the old one is restored.

        Args:
            name: The service.
            config: The candidate's config, checked already.
            manifest: Its manifest.
            store: Keeps the config; it returns what takes that back.

        Raises:
            ServiceUnavailable: The candidate does not start; nothing was stored.
        """
        registration = self._registry.winner("service", name)
        cls = self._registry.load(registration)
        with self._claimed(name) as (slot, claim):
            old = slot.service
            self._refuse_beside_hung(slot)
            candidate = build(cls, name, config, manifest, self._orchestrator, self._clock)
            with self._lock:
                claim.service = candidate
                self._refuse_if_closed(name)
            try:
                self._try_out(candidate)
                take_back = store()
            except BaseException:
                self._drop(slot, candidate, "it was a candidate that did not start")
                raise
            self._admit(slot, candidate)
            if old is not None:
                old._end_daemons(STOP_EACH)
            error = candidate._complete() if candidate.enabled else None
            if error is None:
                with self._lock:
                    slot.registration, slot.starting = registration, None
                    if not self._closed:
                        self._install(slot, candidate)
                if old is not None:
                    old._retire(REPLACED.format(name))
                    old._release(STOP_EACH)
                if self._closed:
                    self._drop(slot, candidate, STOPPED)
                    self._refuse_if_closed(name)
                return candidate
            self._drop(slot, candidate, "it was a candidate whose post_run() failed")
            refusal = f"{name}: post_run() of the new config failed, the old one is back: {error}"
            try:
                take_back()
            except JsOrcError as unrestored:
                refusal += f". What was stored could not be taken back: {unrestored}"
            claim.service = old
            self._restore(slot, old)
            raise ServiceUnavailable(refusal) from error

    def _admit(self, slot: Slot, candidate: Service) -> None:
        """Makes a candidate that was tried out one whose changes of state are told."""
        slot.attempts += 1
        self._connect(candidate)
        if candidate.enabled:
            self.announce(candidate, ServiceState.NOT_STARTED, ServiceState.STARTED, None)

    def _drop(self, slot: Slot, candidate: Service, why: str) -> None:
        candidate._retire(why)
        candidate._release(STOP_EACH)
        slot.hung = candidate if candidate._hangs() else slot.hung

    def _restore(self, slot: Slot, old: Service | None) -> None:
        """Lets `post_run` of an instance bring back the daemons that were ended for its successor."""
        if old is None or not old.is_running():
            return
        error = old._attempt_to(old.post_run)
        if error is not None:
            self._died(old, error)

    # -- starting

    def _perform(self, slot: Slot, start: Start) -> None:
        """Makes and starts an instance; the caller has put `start` into the slot."""
        previous = slot.service
        try:
            registration = self._registry.winner("service", slot.name)
            cls = self._registry.load(registration)
            if previous is not None:
                previous._release(STOP_EACH)
            token = MAKING.set((*MAKING.get(), slot.name))
            try:
                service = self.make(registration, cls)
            finally:
                MAKING.reset(token)
            self._connect(service)
            with self._lock:
                slot.registration, start.service = registration, service
                closed = self._closed  # if not, stop() sees this instance and ends its start
            if service.has_failed():
                self.announce(service, ServiceState.NOT_STARTED, ServiceState.FAILED, service.error)
            elif service.enabled and not closed:
                slot.attempts += 1
                self._start(slot, service, registration)
        except JsOrcError as error:
            start.error = error
        finally:
            with self._lock:
                slot.starting = None
                if start.service is not None:
                    if previous is not None:
                        previous._retire(REPLACED.format(slot.name))
                    self._install(slot, start.service)
                elif previous is not None and slot.service is previous:
                    self._note_failure(slot)  # such as a class that cannot be imported any more
            start.done.set()
            if self._closed and start.service is not None:
                start.service._retire(STOPPED)
                start.service._release(STOP_EACH)

    def make(self, registration: Registration, cls: type) -> Service:
        """Makes an instance that is not started; FAILED where its settings or its class do not allow one."""
        name, clock = registration.name, self._clock
        try:
            config, manifest = self._configure(registration, cls)
        except ConfigError as error:
            return broken(cls, name, error, self._orchestrator, clock)
        return build(cls, name, config, manifest, self._orchestrator, clock)

    def _start(self, slot: Slot, service: Service, registration: Registration) -> None:
        token = STARTING.set(service)
        try:
            self._refuse_beside_hung(slot)
            for need in registration.needs:
                needed = self._obtain(need, patient=True)
                if not needed.is_running():
                    raise ServiceUnavailable(
                        f"{service.name} needs {need}, and {needed._why_not()}"
                    ) from needed.error
        except JsOrcError as error:
            if service._begin():
                service._fail(error)
            return
        finally:
            STARTING.reset(token)
        service.start()

    def _refuse_beside_hung(self, slot: Slot) -> None:
        for hung in (slot.hung, slot.service):
            if hung is not None and hung._hangs():
                slot.hung = hung
                raise ServiceUnavailable(
                    f"{slot.name}: a thread of an earlier instance still hangs in run() or ping(), and "
                    "nothing new begins beside it; give what it calls a timeout"
                )
        slot.hung = None

    def _try_out(self, candidate: Service) -> None:
        if candidate.has_failed():
            raise ServiceUnavailable(f"{candidate._why_not()}; nothing was stored") from candidate.error
        if candidate.enabled:
            error = candidate._rehearse()
            if error is not None:
                raise ServiceUnavailable(
                    f"{candidate.name} does not start with the new config, nothing was stored: {error}"
                ) from error

    def _install(self, slot: Slot, service: Service) -> None:
        """Makes an instance the present one; under the lock."""
        slot.service = service
        slot.since = self._clock.monotonic()
        slot.order = next(self._orders)
        self.failing.pop(slot.name, None)
        if self._closed:
            return
        if service.has_failed():
            self._note_failure(slot)
            log.warning("%s", service._why_not())
            return
        self._show(slot.name, service)
        if service.is_running():
            slot.backoff.succeeded(slot.since)
            self.prober.watch(service)
            self.prober.wake.set()  # what needs it may be due

    def _show(self, name: str, service: Service) -> None:
        """Lets `svc` return a service without a further question, unless it failed; under the lock."""
        # One that is not enabled is shown too: there is nothing to ask again until it is reset.
        if not self._closed and name not in self._overridden and not service.has_failed():
            self.live[name] = service
            if service.has_failed():  # `_changed` has no lock: it failed before it was there to be taken out
                self.live.pop(name, None)

    def _outcome(self, start: Start, name: str) -> Service:
        if start.error is not None:
            raise start.error
        if self._closed or start.service is None:
            raise Closed(f"{name} was not started: the orchestrator was stopped meanwhile")
        return start.service

    @contextmanager
    def _claimed(self, name: str) -> Iterator[tuple[Slot, Start]]:
        """Keeps others from starting a service; `svc` gives the present instance, or waits."""
        mine = Start()
        while True:
            with self._lock:
                self._refuse_if_closed(name)
                asking, slot = self._asking(), self._slot(name)
                claim = slot.starting
                if claim is None:
                    slot.starting = mine
                    break
                self._refuse_cycle(asking, name)
                self._note_wait(asking, name)
            try:
                self._clock.wait(claim.done, None)
            finally:
                self._end_wait(asking, name)
        try:
            yield slot, mine
        finally:
            with self._lock:
                if slot.starting is mine:
                    slot.starting = None
                mine.service = mine.service if mine.done.is_set() else slot.service
            mine.done.set()

    def _retry_if_due(self, slot: Slot, service: Service) -> None:
        """Tries a failed service again, beside the caller, where no regenerator does; under the lock."""
        due = slot.backoff.due
        if not service.has_failed() or (self.supervised and service.automated):
            return
        if due is not None and self._clock.monotonic() >= due and not service._hangs():
            slot.starting = start = Start()
            Call(lambda: self._perform(slot, start), name=f"jsorc-retry-{slot.name}", clock=self._clock)

    def _stand_in(self, name: str) -> Service | None:
        with self._lock:
            slot = self._slots.get(name)
            if slot is not None and slot.service is not None and slot.service.is_running():
                return None
        if not self._registry.winner("service", name).proxy:
            if name in MAKING.get():
                raise StartCycle(f"services wait for each other to start: {name} -> its settings -> {name}")
            return None
        stand_in: Service = CommonService({})
        stand_in.name = name
        stand_in._retire("it is not running yet, and stored settings are read without it")
        return stand_in

    def _connect(self, service: Service) -> None:
        service._on_change = self._changed
        service._on_report = self._reported

    def _changed(self, service: Service, old: ServiceState, new: ServiceState) -> None:
        # Called under the service's own lock: nothing here may wait.
        slot = self._slots.get(service.name)
        if slot is not None and slot.service is service:
            slot.since = self._clock.monotonic()
        if new is not ServiceState.RUNNING and self.live.get(service.name) is service:
            self.live.pop(service.name, None)
        self.announce(service, old, new, service.error if new is ServiceState.FAILED else None)

    def _reported(self, service: Service, error: BaseException) -> None:
        log.debug("%s: a client reported %s: %s", service.name, type(error).__name__, error)
        self.prober.report(service)

    def _died(self, service: Service, error: BaseException) -> None:
        if service._fail(error):
            log.warning("%s", service._why_not())
            with self._lock:
                slot = self._slots.get(service.name)
                if slot is not None and slot.service is service:
                    self._note_failure(slot)

    def _note_failure(self, slot: Slot) -> None:
        if self._closed:
            return
        slot.backoff.failed(self._clock.monotonic())
        self.failing[slot.name] = slot
        self.prober.wake.set()

    def _slot(self, name: str) -> Slot:
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = Slot(name, self._new_backoff())
        return slot

    def _refuse_if_closed(self, name: str) -> None:
        if self._closed:
            raise Closed(f"{name} is not to be had: JsOrc.stop() was called; make another Orchestrator")

    # -- circles

    def _asking(self) -> Service | None:
        """The service in whose start the caller is; a daemon keeps the context of a start that is over."""
        service = STARTING.get()
        slot = self._slots.get(service.name) if service is not None else None
        under_way = slot is not None and slot.starting is not None and slot.starting.service is service
        return service if under_way else None

    def _note_wait(self, asking: Service | None, name: str) -> None:
        """Notes that the start of one service waits for that of another; under the lock."""
        # In one step with the question whether that is a circle: two that ask at once must not both be let.
        if asking is not None:
            self._waits.setdefault(asking.name, []).append(name)

    def _end_wait(self, asking: Service | None, name: str) -> None:
        if asking is not None:
            with self._lock:
                self._waits[asking.name].remove(name)

    def _refuse_cycle(self, asking: Service | None, name: str) -> None:
        path = self._path(name, asking.name, [name]) if asking is not None else None
        if path is not None:
            raise StartCycle(f"services wait for each other to start: {' -> '.join([*path, name])}")

    def _path(self, here: str, there: str, path: list[str]) -> list[str] | None:
        if here == there:
            return path
        for further in self._waits.get(here, ()):
            if further not in path:
                found = self._path(further, there, [*path, further])
                if found is not None:
                    return found
        return None

    # -- ending

    def stop(self, timeout: float) -> list[str]:
        """Ends every service in the reverse order of its start.

        Args:
            timeout: Seconds for all of them; each has at most five.

        Returns:
            The daemons and processes that would not end.
        """
        deadline = self._clock.monotonic() + timeout
        with self._lock:
            self._closed = True
            self.live.clear()
            self.failing.clear()
            # What is starting now comes first: it may need whatever runs already.
            slots = sorted(
                self._slots.values(), key=lambda slot: (slot.starting is not None, slot.order), reverse=True
            )
        self.prober.clear()
        left: list[str] = []
        for slot in slots:
            start = slot.starting
            for service in (start.service if start is not None else None, slot.service):
                if service is not None:
                    remaining = max(0.0, deadline - self._clock.monotonic())
                    service._retire(STOPPED)
                    left += service._release(min(STOP_EACH, remaining))
        return left

    def forget(self) -> None:
        """Lets go of everything without touching it: after a fork, in the child, it is the parent's."""
        # The parent's objects are kept, since their finalizers would close connections that are not ours.
        for slot in self._slots.values():
            starting = slot.starting.service if slot.starting is not None else None
            known = (slot.service, slot.hung, starting)
            self._inherited += [service for service in known if service is not None]
        for service in self._inherited:
            service._forget()
        self._lock = threading.Lock()
        self._slots, self._waits = {}, {}
        self.live.clear()
        self.failing.clear()
        self.prober = Prober(self._clock, self._died)
        self.supervised = False
