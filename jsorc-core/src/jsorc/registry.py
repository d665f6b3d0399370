"""Names and their ranked candidates: what was registered, who wins a name, and why.

Targets stay strings until a winner is first used. Nothing here discovers plugins or makes instances.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import cast

from jsorc.distributions import normalise
from jsorc.errors import NotRegistered, PluginLoadError, RegistrationError
from jsorc.redaction import get_logger
from jsorc.registration import APPLICATION, PILLARS, Candidate, Owner, Pillar, Registration, package_of

__all__ = ["Registry"]

OUR_SERVICES = {
    "elastic": "jsorc-elastic",
    "kube": "jsorc-kube",
    "mail": "jsorc-mail",
    "prome": "jsorc-prome",
    "redis": "jsorc-redis",
    "task": "jsorc-task",
}

_ASKED_BY: dict[Pillar, str] = {"service": "svc", "repository": "src", "context": "ctx"}

log = get_logger("jsorc.registry")


class Registry:
    """Every registration of one orchestrator.

    Args:
        discover: Called before a question is answered; it adds what the plugins bring.
        pins: Says which distribution a name is pinned to (`JSORC_CONFIG.use`).
        bases: The class that a pillar's targets must derive from.
    """

    def __init__(
        self,
        discover: Callable[[], None],
        pins: Callable[[], Mapping[str, str]],
        bases: Mapping[Pillar, type] | None = None,
    ) -> None:
        self._discover = discover
        self._pins = pins
        self._bases = dict(bases or {})
        self._lock = threading.RLock()
        self._entries: dict[tuple[Pillar, str], dict[str, Registration]] = {}
        self._owners: tuple[Owner, ...] = ()
        self._failures: dict[tuple[Pillar, str, str], str] = {}
        self._warned: set[tuple[str, ...]] = set()

    def add(self, *registrations: Registration) -> None:
        """Adds candidates; one with the same target under the same name is replaced.

        Raises:
            RegistrationError: A class is not of the kind that its pillar needs.
        """
        self.check(*registrations)
        with self._lock:
            for registration in registrations:
                entries = self._entries.setdefault((registration.pillar, registration.name), {})
                earlier = entries.pop(registration.target, None)
                if earlier is not None and registration.cls is None:
                    registration = replace(registration, cls=earlier.cls)
                entries[registration.target] = registration

    def check(self, *registrations: Registration) -> None:
        """Refuses what `add` would refuse, and adds nothing.

        Raises:
            RegistrationError: A class is not of the kind that its pillar needs.
        """
        for registration in registrations:
            wrong = self._unfit(registration, registration.cls) if registration.cls is not None else ""
            if wrong:
                raise RegistrationError(wrong)

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()

    def set_owners(self, owners: Iterable[Owner]) -> None:
        """Says which plugins there are, and whether their classes may be used."""
        with self._lock:
            self._owners = tuple(owners)

    def drop_declared(self) -> list[Registration]:
        """Forgets what plugins declared, before they are discovered anew; returns the application's own."""
        with self._lock:
            self._entries = {
                key: {target: r for target, r in entries.items() if r.distribution == APPLICATION}
                for key, entries in self._entries.items()
            }
            self._failures.clear()
            return [registration for entries in self._entries.values() for registration in entries.values()]

    def names(self, pillar: Pillar) -> list[str]:
        """The names of a pillar that have a candidate which may be used, A to Z."""
        self._discover()
        with self._lock:
            names = [name for (kind, name), entries in self._entries.items() if kind == pillar and entries]
        return sorted(name for name in names if self._usable(pillar, name))

    def winner(self, pillar: Pillar, name: str) -> Registration:
        """The candidate that a name stands for.

        Raises:
            NotRegistered: There is none; the message has the nearest name and what to install.
            PluginLoadError: The name is pinned to a plugin that did not load.
        """
        self._discover()
        pin = self._pins().get(name)
        usable = self._usable(pillar, name)
        if pin is not None:
            return self._pinned(pillar, name, pin, usable)
        if not usable:
            raise NotRegistered(self._missing(pillar, name))
        first = usable[0]
        tied = {first.distribution} | {r.distribution for r in usable if r.priority == first.priority}
        if len(tied) > 1 and APPLICATION not in tied:
            self._warn_of_tie(pillar, name, first, sorted(tied))
        return first

    def load(self, registration: Registration) -> type:
        """Imports the class of a registration.

        Raises:
            PluginLoadError: The import failed, or it is not a class of the right kind. It is tried again at
                the next call, and no lower candidate takes its place.
        """
        if registration.cls is not None:
            return registration.cls
        module, _, qualname = registration.target.partition(":")
        key = (registration.pillar, registration.name, registration.target)
        try:
            found: object = importlib.import_module(module)
            for part in qualname.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:
            with self._lock:
                self._failures[key] = f"{type(error).__name__}: {error}"
            raise PluginLoadError(
                f"{registration.pillar} {registration.name!r}: {registration.target} of "
                f"{registration.distribution} could not be imported ({type(error).__name__}: {error}). "
                f"Install what it misses, keep it out with JSORC_PLUGINS_BLOCK={registration.distribution}, "
                f"or pin another: JSORC_CONFIG__USE__{registration.name.upper()}=<distribution>."
            ) from error
        wrong = self._unfit(registration, found)
        if wrong:
            with self._lock:
                self._failures[key] = wrong
            raise PluginLoadError(wrong)
        cls = cast("type", found)
        with self._lock:
            self._failures.pop(key, None)
            entries = self._entries.get((registration.pillar, registration.name), {})
            if registration.target in entries:
                entries[registration.target] = replace(entries[registration.target], cls=cls)
        return cls

    def explain(self, name: str, kind: Pillar | None = None) -> list[Candidate]:
        """Every candidate of a name in the order of rank, with what became of it.

        Args:
            name: The name.
            kind: The pillar, where the name stands in more than one.

        Raises:
            NotRegistered: The name has no candidate, or stands in two pillars and `kind` is not said.
        """
        self._discover()
        if kind is not None and kind not in PILLARS:
            raise NotRegistered(f"kind is one of {', '.join(PILLARS)}, not {kind!r}")
        with self._lock:
            kinds = [pillar for pillar in PILLARS if self._entries.get((pillar, name))]
        if kind is None:
            if len(kinds) > 1:
                raise NotRegistered(f"{name!r} stands in {' and '.join(kinds)}: say kind={kinds[0]!r}")
            kind = kinds[0] if kinds else None
        if kind is None or kind not in kinds:
            raise NotRegistered(self._missing(kind, name))
        return self._rows(kind, name)

    def _rows(self, kind: Pillar, name: str) -> list[Candidate]:
        pin = self._pins().get(name)
        ranked = self._ranked(kind, name)
        usable = [r for r in ranked if not self._status_of_owner(r)]
        if pin is None:
            chosen = usable[0] if usable else None
        else:
            chosen = next((r for r in usable if _same_distribution(r.distribution, pin)), None)
        rows = []
        for r in ranked:
            failure = self._failures.get((kind, name, r.target))
            status = self._status_of_owner(r)
            if status:
                pass
            elif failure:
                status = f"failed: {failure}"
            elif r is chosen:
                status = "selected" if pin is None else "pinned"
            elif pin is None and chosen is not None and _ties(chosen, r):
                status = "tied"
            else:
                status = "outranked"
            rows.append(Candidate(kind, r.distribution, r.version, r.priority, r.target, status))
        shown = {row.distribution for row in rows}
        rows += [
            Candidate(kind, owner.distribution, owner.version, None, owner.target, owner.status)
            for owner in sorted(set(self._owners), key=lambda o: (o.distribution, o.target))
            if owner.status and owner.distribution not in shown
        ]
        return rows

    def _ranked(self, pillar: Pillar, name: str) -> list[Registration]:
        with self._lock:
            entries = list(self._entries.get((pillar, name), {}).values())
            owned = [self._owned(registration) for registration in entries]
        order = {id(registration): place for place, registration in enumerate(owned)}
        return sorted(
            owned,
            key=lambda r: (
                -r.priority,
                r.distribution != APPLICATION,
                -order[id(r)] if r.distribution == APPLICATION else 0,
                r.distribution,
                r.target,
            ),
        )

    def _owned(self, registration: Registration) -> Registration:
        """The registration under the name of the plugin that its class belongs to."""
        if registration.distribution != APPLICATION:
            return registration
        for owner in self._owners:
            if package_of(owner.target) == registration.package:
                return replace(registration, distribution=owner.distribution, version=owner.version)
        return registration

    def _status_of_owner(self, registration: Registration) -> str:
        """What keeps a decorated class from being used: its plugin failed, or is blocked."""
        for owner in self._owners:
            if (owner.distribution, package_of(owner.target)) == (
                registration.distribution,
                registration.package,
            ):
                return owner.status
        return ""

    def _usable(self, pillar: Pillar, name: str) -> list[Registration]:
        return [r for r in self._ranked(pillar, name) if not self._status_of_owner(r)]

    def _pinned(self, pillar: Pillar, name: str, pin: str, usable: list[Registration]) -> Registration:
        for registration in usable:
            if _same_distribution(registration.distribution, pin):
                return registration
        for owner in self._owners:
            if owner.status and _same_distribution(owner.distribution, pin):
                raise PluginLoadError(
                    f"{pillar} {name!r} is pinned to {pin} (JSORC_CONFIG.use), whose plugin {owner.target} "
                    f"is {owner.status}. Mend that, or take the pin away."
                )
        others = sorted({registration.distribution for registration in usable})
        raise NotRegistered(
            f"{pillar} {name!r} is pinned to {pin} (JSORC_CONFIG.use), which brings no such {pillar}. "
            f"Install it (pip install {pin}), or pin one of: {', '.join(others) or 'none is there'}."
        )

    def _missing(self, pillar: Pillar | None, name: object) -> str:
        from difflib import get_close_matches

        pillars = PILLARS if pillar is None else (pillar,)
        known = sorted({n for kind in pillars for n in self.names(kind)})
        words = [f"no {pillar or 'name'} {name!r} is registered; there is {', '.join(known) or 'none yet'}."]
        if isinstance(name, str):
            near = get_close_matches(name, known, 1)
            if near:
                words.append(f"Did you mean {near[0]!r}?")
            if name in OUR_SERVICES and pillar in (None, "service"):
                words.append(f"It comes with: pip install {OUR_SERVICES[name]}")
            elsewhere = [kind for kind in PILLARS if kind not in pillars and name in self.names(kind)]
            if elsewhere:
                words.append(f"It is a {elsewhere[0]}: ask JsOrc.{_ASKED_BY[elsewhere[0]]}({name!r}).")
        broken = [f"{o.distribution} is {o.status}" for o in self._owners if o.status]
        if broken:
            words.append(f"Not used: {'; '.join(sorted(broken))}.")
        return " ".join(words)

    def _unfit(self, registration: Registration, found: object) -> str:
        whose = (
            f"{registration.pillar} {registration.name!r}: {registration.target} of "
            f"{registration.distribution}"
        )
        if not isinstance(found, type):
            return f"{whose} is {type(found).__name__} {found!r:.60}, not a class"
        base = self._bases.get(registration.pillar)
        if base is not None and not issubclass(found, base):
            return f"{whose} does not extend {base.__name__}; write: class {found.__name__}({base.__name__})"
        return ""

    def _warn_of_tie(self, pillar: Pillar, name: str, first: Registration, tied: list[str]) -> None:
        key = (pillar, name, *tied)
        with self._lock:
            if key in self._warned:
                return
            self._warned.add(key)
        log.warning(
            "%s %r: %s have the same priority %d; %s is used. Pin one: JSORC_CONFIG__USE__%s=<distribution>",
            pillar,
            name,
            " and ".join(tied),
            first.priority,
            first.distribution,
            name.upper(),
        )


def _ties(first: Registration, other: Registration) -> bool:
    return (
        first.priority == other.priority
        and first.distribution != other.distribution
        and APPLICATION not in (first.distribution, other.distribution)
    )


def _same_distribution(one: str, other: str) -> bool:
    return normalise(one) == normalise(other)
