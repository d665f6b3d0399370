"""`@JsOrc.inject`: hands services, repositories and contexts to a function by name.

It finds nothing itself; the orchestrator gives it the functions to ask.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from jsorc.errors import RegistrationError
from jsorc.wrapping import Arguments, wrap

__all__ = ["Asked", "Wanted", "inject", "wants"]

F = TypeVar("F", bound=Callable[..., Any])
Wanted = Iterable[str | tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one parameter is given.

    Attributes:
        name: The name to ask for.
        ask: The function to ask.
        waits: Whether the answer may take a while, as the start of a service does.
    """

    name: str
    ask: Callable[[str], Any]
    waits: bool = False


def inject(wanted: Mapping[str, Asked]) -> Callable[[F], F]:
    """Makes the decorator.

    Args:
        wanted: What each parameter is given.

    Returns:
        A decorator; it raises RegistrationError where the function takes no such parameter.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        _check(function, signature, wanted)
        call = _Call(signature, wanted)

        def around(*args: Any, **kwargs: Any) -> AbstractContextManager[Arguments]:
            missing = call.missing(args, kwargs)
            return nullcontext(call.placed(args, kwargs, _answers(missing)))

        @asynccontextmanager
        async def around_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Arguments]:
            missing = call.missing(args, kwargs)
            slow = {name: asked for name, asked in missing.items() if asked.waits}
            quick = {name: asked for name, asked in missing.items() if not asked.waits}
            answers = await _in_thread(slow) if slow else {}
            yield call.placed(args, kwargs, {**answers, **_answers(quick)})

        wrapper = wrap(function, around, around_async)
        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[p for p in signature.parameters.values() if p.name not in wanted]
        )
        return cast("F", wrapper)

    return decorate


def wants(
    names: Wanted, ask: Callable[[str], Any], what: str, into: dict[str, Asked], *, waits: bool = False
) -> None:
    """Reads one list of `inject`, of names or pairs of a name and its alias, into what is wanted.

    Raises:
        RegistrationError: The list is not of that form, or two entries are for one parameter.
    """
    if isinstance(names, str):
        raise RegistrationError(f"inject: {what} is a list of names, not {names!r}; write [{names!r}]")
    for item in names:
        pair: Any = (item, item) if isinstance(item, str) else item
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(n, str) for n in pair)):
            raise RegistrationError(f"inject: {what} has {item!r}; it takes a name or a pair (name, alias)")
        name, alias = pair
        if alias in into:
            raise RegistrationError(f"inject: two entries are for the parameter {alias!r}; give one an alias")
        into[alias] = Asked(name, ask, waits)


def _check(function: Callable[..., Any], signature: inspect.Signature, wanted: Iterable[str]) -> None:
    parameters = signature.parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    takes = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for name in wanted:
        if name not in takes:
            raise RegistrationError(
                f"inject: {function.__qualname__}() takes no parameter {name!r}; it takes "
                f"{', '.join(takes) or 'none'}"
            )


class _Call:
    """How the caller's arguments and those that are injected become the arguments of one call."""

    def __init__(self, signature: inspect.Signature, wanted: Mapping[str, Asked]) -> None:
        parameters = signature.parameters.values()
        self._wanted = wanted
        self._variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self._only = sum(p.kind is p.POSITIONAL_ONLY for p in parameters)
        self._all = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._plain = [name for name in self._all if name not in wanted]

    def missing(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Asked]:
        """What the caller left to be injected."""
        given = set(self._names(args)[: len(args)]).union(kwargs)
        return {name: asked for name, asked in self._wanted.items() if name not in given}

    def placed(self, args: tuple[Any, ...], kwargs: dict[str, Any], injected: Mapping[str, Any]) -> Arguments:
        """The arguments of the function itself."""
        names = self._names(args)
        given = dict(zip(names, args, strict=False))
        if self._variadic or len(args) > len(names) or given.keys() & kwargs.keys():
            return args, {**injected, **kwargs}  # what is wrong with it, Python's own TypeError says best
        by_name = dict(list(given.items())[self._only :])
        return args[: self._only], {**by_name, **injected, **kwargs}

    def _names(self, args: tuple[Any, ...]) -> list[str]:
        """The parameters that positional arguments fill: those that are not injected.

        A caller who gives more than those means the function's own order.
        """
        return self._all if self._variadic or len(args) > len(self._plain) else self._plain


def _answers(missing: Mapping[str, Asked]) -> dict[str, Any]:
    return {parameter: asked.ask(asked.name) for parameter, asked in missing.items()}


async def _in_thread(missing: Mapping[str, Asked]) -> dict[str, Any]:
    """Starts services beside the event loop, which a start would hold up."""
    import asyncio

    from jsorc.daemons import Call

    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work() -> dict[str, Any]:
        try:
            return _answers(missing)
        finally:
            loop.call_soon_threadsafe(done.set)

    call = Call(work, name="jsorc-inject")
    await done.wait()
    call.wait(None)
    return call.result()
