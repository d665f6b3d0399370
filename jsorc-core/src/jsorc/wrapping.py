"""A decorator's part around a function of any shape: plain, coroutine, generator or asynchronous generator.

What is done around the call is the decorator's own; here it is only made to last as long as the call does.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any

__all__ = ["Arguments", "wrap"]

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def wrap(
    function: Callable[..., Any],
    around: Callable[..., AbstractContextManager[Arguments]],
    around_async: Callable[..., AbstractAsyncContextManager[Arguments]] | None = None,
) -> Callable[..., Any]:
    """Runs a function within a context manager that also says with which arguments.

    Args:
        function: What is wrapped; a generator is within it from its first step to its end.
        around: Takes the caller's arguments, and yields those for the function.
        around_async: The same for a coroutine function or asynchronous generator; `around` by default.

    Returns:
        A function of the same shape, with the same name and signature.
    """

    @asynccontextmanager
    async def awaited(*args: Any, **kwargs: Any) -> AsyncGenerator[Arguments]:
        with around(*args, **kwargs) as given:
            yield given

    around_async = around_async or awaited

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            async with around_async(*args, **kwargs) as (given, named):
                return await function(*given, **named)

        return coroutine
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            async with around_async(*args, **kwargs) as (given, named):
                inner = function(*given, **named)
                try:
                    step = inner.asend(None)
                    while True:
                        try:
                            item = await step
                        except StopAsyncIteration:
                            return
                        try:
                            step = inner.asend((yield item))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # thrown in by whoever iterates: it is the function's
                            step = inner.athrow(error)
                finally:
                    await inner.aclose()

        return stream
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with around(*args, **kwargs) as (given, named):
                return (yield from function(*given, **named))

        return generator

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with around(*args, **kwargs) as (given, named):
            return function(*given, **named)

    return plain
