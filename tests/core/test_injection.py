"""`inject`: what a function of any shape is given, by name, and what it is not."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from jsorc import CommonService, Orchestrator, RegistrationError, ServiceUnavailable


class Repository:
    pass


class Context:
    pass


class Mail(CommonService[str]):
    started_on: list[str]

    def run(self) -> None:
        self.app = "mail app"


@pytest.fixture
def app() -> Iterator[Orchestrator]:
    """An orchestrator with one of each."""
    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.repository(name="hook")(Repository)
    orchestrator.context(name="master")(Context)
    orchestrator.service(name="mail")(Mail)
    yield orchestrator
    orchestrator.stop()


def test_a_function_is_given_services_repositories_and_contexts(app: Orchestrator) -> None:
    @app.inject(services=["mail"], repositories=["hook", ("hook", "other")], context=["master"])
    def work(mail: Any, hook: Any, other: Any, master: Any) -> tuple[Any, ...]:
        return mail, hook, other, master

    mail, hook, other, master = work()  # type: ignore[call-arg]
    assert mail is app.svc("mail")
    assert mail.poke() == "mail app"
    assert type(hook) is type(other) is Repository
    assert hook is not other
    assert type(master) is Context


def test_repositories_and_contexts_are_new_at_every_call(app: Orchestrator) -> None:
    @app.inject(repositories=["hook"], context=["master"])
    def work(**injected: Any) -> dict[str, Any]:
        return injected

    first, second = work(), work()
    assert first["hook"] is not second["hook"]
    assert first["master"] is not second["master"]


def test_an_alias_is_the_name_of_the_parameter(app: Orchestrator) -> None:
    @app.inject(services=[("mail", "post")], repositories=[("hook", "store")], context=[("master", "who")])
    def work(post: Any, store: Any, who: Any) -> list[str]:
        return [type(given).__name__ for given in (post, store, who)]

    assert work() == ["Mail", "Repository", "Context"]  # type: ignore[call-arg]


def test_explicit_arguments_win_and_what_they_replace_is_not_asked_for(app: Orchestrator) -> None:
    @app.inject(repositories=["absent", "hook"])
    def work(absent: Any, hook: Any, more: str = "more") -> tuple[Any, ...]:
        return absent, hook, more

    assert work(absent=1, hook=2) == (1, 2, "more")
    assert work(1, 2, "three") == (1, 2, "three")
    assert work(absent=None, hook=None) == (None, None, "more")


def test_positional_arguments_fill_what_is_not_injected(app: Orchestrator) -> None:
    @app.inject(repositories=["hook"])
    def work(hook: Any, first: int, second: int = 2) -> tuple[Any, ...]:
        return type(hook).__name__, first, second

    assert work(1) == ("Repository", 1, 2)  # type: ignore[call-arg]
    assert work(1, second=3) == ("Repository", 1, 3)  # type: ignore[call-arg]
    assert work(1, 5) == ("Repository", 1, 5)


def test_a_call_with_too_much_or_too_little_is_pythons_own_error(app: Orchestrator) -> None:
    @app.inject(repositories=["hook"])
    def work(first: int, hook: Any) -> Any:
        return hook

    with pytest.raises(TypeError, match="first"):
        work()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional arguments"):
        work(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected"):
        work(1, other=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="multiple values"):
        work(1, first=2)  # type: ignore[call-arg,misc]


def test_positional_only_and_variadic_parameters_stay_what_they_are(app: Orchestrator) -> None:
    @app.inject(repositories=["hook"])
    def work(first: int, /, hook: Any, *, last: int = 0) -> tuple[Any, ...]:
        return first, type(hook).__name__, last

    @app.inject(repositories=["hook"])
    def variadic(*numbers: int, hook: Any) -> tuple[Any, ...]:
        return numbers, type(hook).__name__

    assert work(1, last=3) == (1, "Repository", 3)  # type: ignore[call-arg]
    assert variadic(1, 2, 3) == ((1, 2, 3), "Repository")  # type: ignore[call-arg]


def test_methods_class_methods_and_static_methods_are_given_too(app: Orchestrator) -> None:
    class Thing:
        @app.inject(repositories=["hook"])
        def method(self, hook: Any) -> tuple[Any, ...]:
            return type(self).__name__, type(hook).__name__

        @classmethod
        @app.inject(repositories=["hook"])
        def of_class(cls, hook: Any) -> tuple[Any, ...]:
            return cls.__name__, type(hook).__name__

        @staticmethod
        @app.inject(repositories=["hook"])
        def static(hook: Any) -> str:
            return type(hook).__name__

    assert Thing().method() == ("Thing", "Repository")  # type: ignore[call-arg]
    assert Thing.of_class() == ("Thing", "Repository")  # type: ignore[call-arg]
    assert Thing.static() == "Repository"  # type: ignore[call-arg]


def test_the_value_and_the_exception_are_the_functions_own(app: Orchestrator) -> None:
    @app.inject(repositories=["hook"])
    def work(hook: Any) -> str:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        work()  # type: ignore[call-arg]


def test_a_service_that_does_not_run_is_given_all_the_same(app: Orchestrator) -> None:
    app.configure(OFF_CONFIG={"enabled": False})
    app.service(name="off", config="OFF_CONFIG")(Mail)

    @app.inject(services=["off"])
    def work(off: Any) -> Any:
        return off

    with pytest.raises(ServiceUnavailable, match="not enabled"):
        work().poke()  # type: ignore[call-arg]


# -- generators


def test_a_generator_is_given_its_parts_at_its_first_step(app: Orchestrator) -> None:
    made: list[Any] = []

    class Counting:
        def __init__(self) -> None:
            made.append(self)

    app.repository(name="counting")(Counting)

    @app.inject(repositories=["counting"])
    def steps(counting: Any) -> Iterator[Any]:
        received = yield counting
        yield received
        return "done"

    running = steps()  # type: ignore[call-arg]
    assert made == []
    assert next(running) is made[0]
    assert running.send("sent") == "sent"  # type: ignore[attr-defined]
    with pytest.raises(StopIteration, match="done"):
        next(running)
    assert inspect.isgeneratorfunction(steps)


def test_a_context_manager_over_a_generator_sees_the_exception(app: Orchestrator) -> None:
    seen: list[str] = []

    @contextmanager
    @app.inject(repositories=["hook"])
    def unit(hook: Any) -> Iterator[Any]:
        try:
            yield hook
        except LookupError:
            seen.append("rolled back")

    with unit() as hook:  # type: ignore[call-arg]
        assert type(hook) is Repository
        raise LookupError
    assert seen == ["rolled back"]


# -- coroutines


def test_a_coroutine_function_is_given_its_parts(app: Orchestrator) -> None:
    threads: dict[str, int] = {}

    class Noting(CommonService[str]):
        def __init__(self, config: dict[str, Any], manifest: Any) -> None:
            super().__init__(config, manifest)
            threads["service"] = threading.get_ident()

        def run(self) -> None:
            self.app = "app"

    class Store:
        def __init__(self) -> None:
            threads["repository"] = threading.get_ident()

    app.service(name="noting")(Noting)
    app.repository(name="store")(Store)

    @app.inject(services=["noting"], repositories=["store"])
    async def work(noting: Any, store: Any, more: int) -> tuple[Any, ...]:
        await asyncio.sleep(0)
        return noting.poke(), type(store).__name__, more

    assert inspect.iscoroutinefunction(work)
    assert asyncio.run(work(7)) == ("app", "Store", 7)  # type: ignore[call-arg]
    assert threads["service"] != threading.get_ident(), "a start must not hold up the event loop"
    assert threads["repository"] == threading.get_ident(), "a unit of work stays on the thread that uses it"


def test_the_event_loop_runs_while_a_service_starts(app: Orchestrator) -> None:
    began, go_on = threading.Event(), threading.Event()

    class Slow(CommonService[str]):
        def run(self) -> None:
            began.set()
            assert go_on.wait(30)
            self.app = "app"

    app.service(name="slow")(Slow)

    @app.inject(services=["slow"])
    async def work(slow: Any) -> Any:
        return slow.poke()

    async def main() -> Any:
        task = asyncio.ensure_future(work())  # type: ignore[call-arg]
        while not began.is_set():
            await asyncio.sleep(0)
        go_on.set()
        return await task

    assert asyncio.run(main()) == "app"


def test_a_name_that_nobody_has_raises_in_the_coroutine(app: Orchestrator) -> None:
    @app.inject(services=["absent"])
    async def work(absent: Any) -> None: ...

    with pytest.raises(LookupError, match="absent"):
        asyncio.run(work())  # type: ignore[call-arg]


def test_an_asynchronous_generator_is_given_its_parts_and_what_is_sent(app: Orchestrator) -> None:
    @app.inject(repositories=["hook"], services=["mail"])
    async def stream(hook: Any, mail: Any) -> AsyncIterator[Any]:
        received = yield type(hook).__name__
        yield received
        yield mail.poke()

    async def main() -> list[Any]:
        running = stream()  # type: ignore[call-arg]
        return [await running.asend(None), await running.asend("sent"), await anext(running)]

    assert inspect.isasyncgenfunction(stream)
    assert asyncio.run(main()) == ["Repository", "sent", "mail app"]


def test_an_asynchronous_context_manager_sees_the_exception(app: Orchestrator) -> None:
    seen: list[str] = []

    @asynccontextmanager
    @app.inject(repositories=["hook"])
    async def unit(hook: Any) -> AsyncIterator[Any]:
        try:
            yield hook
        except LookupError:
            seen.append("rolled back")
        finally:
            seen.append("closed")

    async def main() -> None:
        async with unit():  # type: ignore[call-arg]
            raise LookupError

    asyncio.run(main())
    assert seen == ["rolled back", "closed"]


def test_an_asynchronous_generator_that_is_left_early_is_closed(app: Orchestrator) -> None:
    seen: list[str] = []

    @app.inject(repositories=["hook"])
    async def stream(hook: Any) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            seen.append("closed")

    async def main() -> None:
        running = stream()  # type: ignore[call-arg]
        await anext(running)
        await running.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert seen == ["closed"]


# -- how it looks from outside


def test_the_signature_is_without_the_injected_names(app: Orchestrator) -> None:
    @app.inject(services=["mail"], repositories=[("hook", "store")])
    def work(first: int, mail: Any, store: Any, last: str = "x") -> None:
        """What it says."""

    assert str(inspect.signature(work)) == "(first: 'int', last: 'str' = 'x') -> 'None'"
    assert (work.__name__, work.__doc__) == ("work", "What it says.")


def test_pytest_does_not_take_injected_names_for_fixtures(tmp_path: Path) -> None:
    tests = tmp_path / "test_injected.py"
    tests.write_text(
        dedent(
            """
            from jsorc import JsOrc

            @JsOrc.inject(repositories=["hook", ("hook", "other")])
            def test_it(tmp_path, hook, other):
                assert tmp_path.exists()
                assert hook is not other

            class TestClass:
                @JsOrc.inject(repositories=["hook"])
                def test_method(self, hook):
                    assert hook is not None
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:valkey", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


# -- what is refused at decoration


def test_a_name_that_is_no_parameter_is_refused(app: Orchestrator) -> None:
    with pytest.raises(RegistrationError, match="takes no parameter 'hook'; it takes other"):

        @app.inject(repositories=["hook"])
        def work(other: Any) -> None: ...


def test_a_positional_only_parameter_cannot_be_injected(app: Orchestrator) -> None:
    with pytest.raises(RegistrationError, match="takes no parameter 'hook'"):

        @app.inject(repositories=["hook"])
        def work(hook: Any, /) -> None: ...


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("hook", r"write \['hook'\]"),
        ([3], "a name or a pair"),
        ([("hook",)], "a name or a pair"),
        ([("hook", 3)], "a name or a pair"),
        (["hook", "hook"], "two entries"),
        (["hook", ("mail", "hook")], "two entries"),
    ],
)
def test_a_list_of_another_form_is_refused(wanted: Any, says: str, app: Orchestrator) -> None:
    with pytest.raises(RegistrationError, match=says):
        app.inject(repositories=wanted)


def test_one_parameter_for_two_pillars_is_refused(app: Orchestrator) -> None:
    with pytest.raises(RegistrationError, match="two entries are for the parameter 'both'"):
        app.inject(services=["both"], context=["both"])
