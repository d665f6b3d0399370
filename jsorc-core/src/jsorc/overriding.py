"""`JsOrc.override`: something else in place of a name for the length of a test.

Overrides are kept aside and change nothing that is registered, so that leaving one restores what was there.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from jsorc.errors import RegistrationError
from jsorc.registration import Pillar
from jsorc.service import CommonService
from jsorc.wrapping import Arguments, wrap

__all__ = ["Overridden", "Override", "Overrides"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(eq=False, slots=True)
class Overridden:
    """What stands in place of a name.

    Attributes:
        value: An instance, or a class.
        kept: The persistent instances that were made of it.
    """

    value: Any
    kept: dict[str, Any] = field(default_factory=dict)

    def make(self, *args: Any, **kwargs: Any) -> Any:
        """The instance itself, or a new instance of the class."""
        return self.value(*args, **kwargs) if isinstance(self.value, type) else self.value


class Overrides:
    """The overrides of one orchestrator, the latest of a name on top.

    Args:
        live: Told which services are overridden, and by what.
    """

    def __init__(self, live: Callable[[str, Any], None]) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._stacks: dict[tuple[Pillar, str], list[Overridden]] = {}

    def find(self, pillar: Pillar, name: str) -> Overridden | None:
        """What a name is overridden by, if it is."""
        stack = self._stacks.get((pillar, name))
        return stack[-1] if stack else None

    def kept(self, name: str) -> dict[str, Any] | None:
        """Where the persistent instances of a context are kept that is overridden."""
        overridden = self.find("context", name)
        return None if overridden is None else overridden.kept

    def push(self, pillar: Pillar, name: str, value: Any) -> Overridden:
        """Overrides a name; what is returned is given to `take_back`."""
        overridden = Overridden(value)
        with self._lock:
            self._replace(pillar, name, [*self._stacks.get((pillar, name), ()), overridden])
        return overridden

    def take_back(self, pillar: Pillar, name: str, overridden: Overridden) -> None:
        """Ends one override; those made since stay on top."""
        with self._lock:
            stack = [entry for entry in self._stacks[pillar, name] if entry is not overridden]
            self._replace(pillar, name, stack)

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _replace(self, pillar: Pillar, name: str, stack: list[Overridden]) -> None:
        # As a whole: `find` has no lock.
        self._stacks[pillar, name] = stack
        if pillar == "service":
            self._live(name, stack[-1].value if stack else None)


class Override:
    """One `JsOrc.override(…)`: enter it with `with`, or decorate a function; it may be entered many times."""

    def __init__(
        self,
        overrides: Overrides,
        pillar: Pillar,
        name: str,
        value: Any,
        changed: Callable[[], None],
        fake_service: Callable[[str, type], CommonService[Any]],
    ) -> None:
        if pillar == "service" and isinstance(value, type) and not issubclass(value, CommonService):
            raise RegistrationError(
                f"override of service {name!r}: the class {value.__name__} does not extend CommonService; "
                f"give an instance, {value.__name__}(…), or a class that does"
            )
        if value is None:
            raise RegistrationError(f"override of {pillar} {name!r}: give an instance or a class, not None")
        self._overrides = overrides
        self._pillar, self._name, self._value = pillar, name, value
        self._changed = changed
        self._fake_service = fake_service
        self._entered: list[tuple[Overridden, CommonService[Any] | None]] = []

    def __enter__(self) -> Any:
        value, fake = self._value, None
        if self._pillar == "service" and isinstance(value, type):
            value = fake = self._fake_service(self._name, value)
            fake.start()
        self._entered.append((self._overrides.push(self._pillar, self._name, value), fake))
        self._changed()
        return value

    def __exit__(self, *_: object) -> None:
        overridden, fake = self._entered.pop()
        self._overrides.take_back(self._pillar, self._name, overridden)
        self._changed()
        if fake is not None:
            fake._retire("it was an override, which has ended")
            fake._release()

    def __call__(self, function: F) -> F:
        """Decorates a function, coroutine function or generator function: it runs within the override."""

        @contextmanager
        def around(*args: Any, **kwargs: Any) -> Iterator[Arguments]:
            mine = copy.copy(self)  # calls that overlap must not end each other's
            mine._entered = []
            with mine:
                yield args, kwargs

        return cast("F", wrap(function, around))
