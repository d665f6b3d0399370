"""Services for the tests: each step is recorded, and a test says what a step does.

Nothing here knows pytest; what is tested with them is in the tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from jsorc import CommonService, Orchestrator, hookimpl
from jsorc.clock import SYSTEM, Clock
from jsorc.service import ServiceState
from jsorc.testing.clock import FakeClock

__all__ = [
    "LONG",
    "Listener",
    "Recorded",
    "Steps",
    "ask_from_threads",
    "await_deadline",
    "boom",
    "due_in",
    "fails",
    "orchestrator_with",
    "recorded",
]

LONG = 30.0
"""Real seconds after which a broken test gives up."""

Steps = Callable[[Any], object]


class Recorded(CommonService[Any]):
    """A service that notes each step in `journal`, and each instance in `made`."""

    journal: list[str]
    made: list[Recorded]
    steps: dict[str, Steps]

    def __init__(self, config: dict[str, Any], manifest: Any = None) -> None:
        super().__init__(config, manifest)
        self.made.append(self)
        self._step("init")

    def run(self) -> None:
        self._step("run", lambda me: setattr(me, "app", f"app {len(me.made)}"))

    def post_run(self) -> None:
        self._step("post_run")

    def ping(self) -> object:
        return self._step("ping")

    def failed(self) -> None:
        self._step("failed")

    def on_delete(self) -> None:
        self._step("on_delete")

    def _step(self, what: str, otherwise: Steps = lambda _: None) -> object:
        self.journal.append(what)
        return self.steps.get(what, otherwise)(self)


def recorded(**steps: Steps) -> type[Recorded]:
    """A fresh class; `recorded(run=…)` takes a function of the instance for each step that does something."""
    return type("Thing", (Recorded,), {"journal": [], "made": [], "steps": steps})


def boom(_: object) -> None:
    """A step that fails."""
    raise ValueError("boom")


def fails(times: int) -> Callable[[Any], None]:
    """A `run` that fails so many times and then works."""

    def run(service: Recorded) -> None:
        if service.journal.count("run") <= times:
            raise ConnectionError("nobody there")
        service.app = "app"

    return run


def orchestrator_with(
    services: dict[str, type[CommonService[Any]]] | None = None, *, clock: Clock = SYSTEM, **configs: Any
) -> Orchestrator:
    """An orchestrator of these services alone; the config of `name` is the setting `<NAME>_CONFIG`.

    Args:
        services: The classes by name.
        clock: Its clock.
        configs: `name={…}` for a config; one that is not given has automated true.
    """
    orchestrator = Orchestrator(discover=False, clock=clock, environ={})
    for name, cls in (services or {}).items():
        setting = f"{name.upper()}_CONFIG"
        orchestrator.service(name, config=setting)(cls)
        orchestrator.configure(**{setting: {"automated": True, **configs.pop(name, {})}})
    orchestrator.configure(**configs)
    return orchestrator


class Listener:
    """Keeps every change of state, and lets a test wait for one."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, str]] = []
        self.errors: list[BaseException | None] = []
        self._changed = threading.Condition()

    @hookimpl
    def jsorc_state_changed(
        self, service: Any, old: ServiceState, new: ServiceState, error: BaseException | None
    ) -> None:
        with self._changed:
            self.changes.append((service.name, str(old), str(new)))
            self.errors.append(error)
            self._changed.notify_all()

    def states(self, name: str) -> list[str]:
        """The states that a service entered."""
        with self._changed:
            return [new for service, _, new in self.changes if service == name]

    def await_state(self, name: str, state: str, count: int = 1, timeout: float = LONG) -> None:
        """Return once a service has entered a state for the `count`th time."""

        def there() -> bool:
            return sum(change[0] == name and change[2] == state for change in self.changes) >= count

        with self._changed:
            assert self._changed.wait_for(there, timeout), f"{name} is not {state}: {self.changes}"


def ask_from_threads(count: int, ask: Callable[[], Any]) -> list[Any]:
    """What `count` threads get that ask at the same moment: the answer or the exception of each."""
    barrier = threading.Barrier(count)
    answers: list[Any] = [None] * count

    def run(number: int) -> None:
        barrier.wait(LONG)
        try:
            answers[number] = ask()
        except BaseException as error:
            answers[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive(), "a thread still waits"
    return answers


def await_deadline(clock: FakeClock, seconds: float) -> None:
    """Return once a thread waits by this clock for just so many seconds from now."""

    def there() -> bool:
        return any(due is not None and abs(due - clock._now - seconds) < 1e-6 for due in clock._due)

    with clock._changed:
        assert clock._changed.wait_for(there, LONG), f"nobody waits {seconds:g} s: {clock._due}"


def due_in(orchestrator: Orchestrator, clock: FakeClock, name: str) -> float:
    """Seconds until the next attempt of a failed service."""
    slot = orchestrator._supervisor.slot(name)
    assert slot is not None
    assert slot.backoff.due is not None
    return slot.backoff.due - clock.monotonic()
