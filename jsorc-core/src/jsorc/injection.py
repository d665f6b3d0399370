"""`@JsOrc.inject`: hands services, repositories and contexts to a function by name.

It finds nothing itself; the orchestrator gives it three functions to ask.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from typing import Any, TypeVar, cast

from jsorc.errors import RegistrationError

__all__ = ["Wanted", "inject", "wants"]

F = TypeVar("F", bound=Callable[..., Any])
Wanted = Iterable[str | tuple[str, str]]
Asked = tuple[str, Callable[[str], Any]]
"""The name to ask for, and the function to ask."""


def inject(wanted: Mapping[str, Asked]) -> Callable[[F], F]:
    """Makes the decorator.

    Args:
        wanted: For each parameter, the name to ask for and the function to ask.

    Returns:
        A decorator; it raises RegistrationError where the function takes no such parameter.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        _check(function, signature, wanted)
        positional = tuple(
            p.name
            for p in signature.parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        )
        variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())

        # Positional arguments fill the parameters that are not injected; a caller who gives more than those
        # means the function's own order.
        plain = tuple(name for name in positional if name not in wanted)
        only = sum(p.kind is p.POSITIONAL_ONLY for p in signature.parameters.values())

        def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            names = positional if variadic or len(args) > len(plain) else plain
            given = dict(zip(names, args, strict=False))
            injected = {
                name: ask(of)
                for name, (of, ask) in wanted.items()
                if name not in given and name not in kwargs
            }
            if variadic or len(args) > len(names) or given.keys() & kwargs.keys():
                return args, {**injected, **kwargs}  # what is wrong with it, Python's own TypeError says best
            by_name = dict(list(given.items())[only:])
            return args[:only], {**by_name, **injected, **kwargs}

        wrapper = _wrap(function, bind)
        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[p for p in signature.parameters.values() if p.name not in wanted]
        )
        return cast("F", wrapper)

    return decorate


def wants(names: Wanted, ask: Callable[[str], Any], what: str, into: dict[str, Asked]) -> None:
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
        into[alias] = (name, ask)


def _check(
    function: Callable[..., Any],
    signature: inspect.Signature,
    wanted: Mapping[str, Asked],
) -> None:
    parameters = signature.parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    takes = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for name in wanted:
        if name not in takes:
            raise RegistrationError(
                f"inject: {function.__qualname__}() takes no parameter {name!r}; it takes "
                f"{', '.join(takes) or 'none'}"
            )


def _wrap(
    function: Callable[..., Any],
    bind: Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]],
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = await _in_thread(bind, args, kwargs)
            return await function(*args, **kwargs)

        return coroutine
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            args, kwargs = await _in_thread(bind, args, kwargs)
            inner = function(*args, **kwargs)
            try:
                sent = None
                while True:
                    try:
                        item = await inner.asend(sent)
                    except StopAsyncIteration:
                        return
                    sent = yield item
            finally:
                await inner.aclose()

        return stream
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            args, kwargs = bind(args, kwargs)
            return (yield from function(*args, **kwargs))

        return generator

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = bind(args, kwargs)
        return function(*args, **kwargs)

    return plain


async def _in_thread(
    bind: Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Starts services beside the event loop, which a start would hold up."""
    import asyncio

    loop, done = asyncio.get_running_loop(), asyncio.Event()
    from jsorc.daemons import Call

    def work() -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            return bind(args, kwargs)
        finally:
            loop.call_soon_threadsafe(done.set)

    call = Call(work, name="jsorc-inject")
    await done.wait()
    call.wait(None)
    return call.result()
