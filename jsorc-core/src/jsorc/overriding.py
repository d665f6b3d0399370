"""`JsOrc.override`: something else in place of a name for the length of a test.

Overrides are kept aside and change nothing that is registered, so that leaving one restores what was there.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

from jsorc.errors import RegistrationError
from jsorc.registry import Pillar
from jsorc.service import CommonService

__all__ = ["Override", "Overrides", "made"]

F = TypeVar("F", bound=Callable[..., Any])


class Overrides:
    """The overrides of one orchestrator, the latest of a name on top.

    Args:
        live: Told which services are overridden, and by what.
    """

    def __init__(self, live: Callable[[str, Any], None]) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._stacks: dict[tuple[Pillar, str], list[tuple[object, Any]]] = {}

    def find(self, pillar: Pillar, name: str) -> tuple[bool, Any]:
        """Whether a name is overridden, and by what."""
        stack = self._stacks.get((pillar, name))
        return (True, stack[-1][1]) if stack else (False, None)

    def push(self, pillar: Pillar, name: str, value: Any) -> object:
        """Overrides a name; what is returned takes that back."""
        token = object()
        with self._lock:
            self._stacks.setdefault((pillar, name), []).append((token, value))
            self._tell(pillar, name)
        return token

    def take_back(self, pillar: Pillar, name: str, token: object) -> None:
        """Ends one override; those made since stay on top."""
        with self._lock:
            stack = self._stacks[(pillar, name)]
            stack[:] = [entry for entry in stack if entry[0] is not token]
            self._tell(pillar, name)

    def _tell(self, pillar: Pillar, name: str) -> None:
        if pillar == "service":
            stack = self._stacks[(pillar, name)]
            self._live(name, stack[-1][1] if stack else None)


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
        self._entered: list[tuple[object, CommonService[Any] | None]] = []

    def __enter__(self) -> Any:
        value, fake = self._value, None
        if self._pillar == "service" and isinstance(value, type):
            value = fake = self._fake_service(self._name, value)
            fake.start()
        self._entered.append((self._overrides.push(self._pillar, self._name, value), fake))
        self._changed()
        return value

    def __exit__(self, *_: object) -> None:
        token, fake = self._entered.pop()
        self._overrides.take_back(self._pillar, self._name, token)
        self._changed()
        if fake is not None:
            fake._retire("it was an override, which has ended")
            fake._release()

    def __call__(self, function: F) -> F:
        """Decorates a function, coroutine function or generator function: it runs within the override."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("F", coroutine)
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                with self:
                    return (yield from function(*args, **kwargs))

            return cast("F", generator)

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast("F", plain)


def made(value: Any, *args: Any, **kwargs: Any) -> Any:
    """What an override gives: the instance itself, or a new instance of the class."""
    return value(*args, **kwargs) if isinstance(value, type) else value
