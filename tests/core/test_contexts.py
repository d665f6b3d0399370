"""Contexts: new instances, and persistent ones that are kept, renewed and destroyed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from jsorc import CastError, NotRegistered, Orchestrator
from tests.services import LONG, ask_from_threads


class Master:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def app() -> Orchestrator:
    """An orchestrator with one context."""
    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.context(name="master")(Master)
    return orchestrator


def test_ctx_gives_a_new_instance_every_time(app: Orchestrator) -> None:
    assert app.ctx("master") is not app.ctx("master")


def test_ctx_hands_arguments_on(app: Orchestrator) -> None:
    made = app.ctx("master", None, 1, 2, size=3)
    assert (made.args, made.kwargs) == ((1, 2), {"size": 3})


def test_ctx_casts(app: Orchestrator) -> None:
    assert app.ctx("master", Master, 1).args == (1,)
    with pytest.raises(CastError, match="'master' is Master, not dict"):
        app.ctx("master", dict)


def test_get_gives_the_same_instance_made_with_the_first_arguments(app: Orchestrator) -> None:
    first = app.get("master", None, 1)
    assert app.get("master", None, 2) is first
    assert first.args == (1,)
    assert app.ctx("master") is not first


def test_get_casts_what_is_there_already(app: Orchestrator) -> None:
    app.get("master")
    assert type(app.get("master", Master)) is Master
    with pytest.raises(CastError):
        app.get("master", dict)


def test_renew_gives_the_new_instance_and_keeps_it(app: Orchestrator) -> None:
    first = app.get("master")
    second = app.renew("master", None, 2)
    assert second is not first
    assert second.args == (2,)
    assert app.get("master") is second


def test_renew_needs_nothing_that_was_there(app: Orchestrator) -> None:
    assert app.renew("master") is app.get("master")


def test_a_renewal_that_fails_leaves_what_was_there(app: Orchestrator) -> None:
    fails: list[int] = []

    @app.context(name="fragile")
    class Fragile:
        def __init__(self) -> None:
            if fails:
                raise LookupError("not now")

    first = app.get("fragile")
    fails.append(1)
    with pytest.raises(LookupError, match="not now"):
        app.renew("fragile")
    assert app.get("fragile") is first


def test_destroy_says_whether_there_was_one(app: Orchestrator) -> None:
    first = app.get("master")
    assert app.destroy("master") is True
    assert app.destroy("master") is False
    assert app.get("master") is not first


def test_an_unknown_context_is_not_registered(app: Orchestrator) -> None:
    for ask in (app.ctx, app.get, app.renew):
        with pytest.raises(NotRegistered, match="Did you mean 'master'"):
            ask("mastr")
    assert app.destroy("mastr") is False


def test_persistent_instances_of_two_orchestrators_are_their_own(app: Orchestrator) -> None:
    other = Orchestrator(discover=False, environ={})
    other.context(name="master")(Master)
    assert app.get("master") is not other.get("master")


def test_threads_that_ask_first_get_one_instance() -> None:
    app = Orchestrator(discover=False, environ={})
    made: list[object] = []

    @app.context(name="counting")
    class Counting:
        def __init__(self) -> None:
            made.append(self)

    answers = ask_from_threads(30, lambda: app.get("counting"))
    assert len(made) == 1
    assert set(answers) == set(made)


def test_a_constructor_may_ask_for_another_context(app: Orchestrator) -> None:
    @app.context(name="outer")
    class Outer:
        def __init__(self) -> None:
            self.master = app.get("master")

    assert app.get("outer").master is app.get("master")


def test_a_constructor_that_takes_long_holds_up_no_other_context(app: Orchestrator) -> None:
    entered, leave = threading.Event(), threading.Event()

    @app.context(name="slow")
    class Slow:
        def __init__(self) -> None:
            entered.set()
            assert leave.wait(LONG)

    thread = threading.Thread(target=lambda: app.get("slow"), daemon=True)
    thread.start()
    assert entered.wait(LONG)
    assert ask_from_threads(1, lambda: app.get("master"))[0] is app.get("master")
    leave.set()
    thread.join(LONG)
