"""`override`: another thing under a name for a while, and what was there comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from jsorc import (
    CommonService,
    MemoryHook,
    NotRegistered,
    Orchestrator,
    RegistrationError,
    ServiceUnavailable,
)
from tests.services import LONG


class Real:
    pass


class Fake:
    pass


class RealMail(CommonService[str]):
    def run(self) -> None:
        self.app = "real"


class FakeMail(CommonService[str]):
    def run(self) -> None:
        self.app = f"fake {self.config}"


@pytest.fixture
def app() -> Iterator[Orchestrator]:
    """An orchestrator with one of each."""
    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.repository(name="hook")(Real)
    orchestrator.context(name="master")(Real)
    orchestrator.service(name="mail", config="MAIL_CONFIG")(RealMail)
    yield orchestrator
    orchestrator.stop()


def test_a_class_is_instantiated_at_every_call(app: Orchestrator) -> None:
    with app.override("hook", Fake) as given:
        assert given is Fake
        assert type(app.src("hook")) is Fake
        assert app.src("hook") is not app.src("hook")
    assert type(app.src("hook")) is Real


def test_an_instance_is_given_to_everyone(app: Orchestrator) -> None:
    fake = Fake()
    with app.override("hook", fake) as given:
        assert given is fake
        assert app.src("hook") is app.src("hook") is fake
    assert type(app.src("hook")) is Real


def test_an_override_with_a_hook_class_shares_one_store(app: Orchestrator) -> None:
    with app.override("hook", MemoryHook):
        with app.src("hook") as hook:
            hook.save_obj("a", 1)
        assert app.src("hook").get_obj("a") == 1


def test_overrides_nest_and_come_back_in_turn(app: Orchestrator) -> None:
    with app.override("hook", Fake):
        inner = Fake()
        with app.override("hook", inner):
            assert app.src("hook") is inner
        assert type(app.src("hook")) is Fake
        assert app.src("hook") is not inner
    assert type(app.src("hook")) is Real


def test_an_override_that_ends_out_of_turn_leaves_the_later_one(app: Orchestrator) -> None:
    first, second = Fake(), Fake()
    outer, inner = ExitStack(), ExitStack()
    outer.enter_context(app.override("hook", first))
    inner.enter_context(app.override("hook", second))
    outer.close()
    assert app.src("hook") is second
    inner.close()
    assert type(app.src("hook")) is Real


def test_an_exception_restores_what_was_there(app: Orchestrator) -> None:
    with pytest.raises(LookupError), app.override("hook", Fake):
        raise LookupError
    assert type(app.src("hook")) is Real


def test_one_override_may_be_entered_again_and_within_itself(app: Orchestrator) -> None:
    override = app.override("hook", Fake)
    for _ in range(2):
        with override, override:
            assert type(app.src("hook")) is Fake
        assert type(app.src("hook")) is Real


def test_a_later_registration_does_not_end_an_override(app: Orchestrator) -> None:
    with app.override("hook", Fake):
        app.repository(name="hook", priority=9)(type("Higher", (), {}))
        app.configure()
        assert type(app.src("hook")) is Fake
    assert type(app.src("hook")).__name__ == "Higher"


def test_every_thread_sees_an_override(app: Orchestrator) -> None:
    seen: list[type] = []
    with app.override("hook", Fake):
        thread = threading.Thread(target=lambda: seen.append(type(app.src("hook"))))
        thread.start()
        thread.join(LONG)
    assert seen == [Fake]


# -- contexts


def test_a_context_is_overridden_by_a_class_with_arguments_or_an_instance(app: Orchestrator) -> None:
    with app.override("master", dict):
        assert app.ctx("master", None, size=1) == {"size": 1}
    fake = Fake()
    with app.override("master", fake):
        assert app.ctx("master") is app.get("master") is fake
    assert type(app.ctx("master")) is Real


def test_a_persistent_instance_comes_back_and_that_of_the_override_is_gone(app: Orchestrator) -> None:
    kept = app.get("master")
    with app.override("master", Fake):
        fake = app.get("master")
        assert type(fake) is Fake
        assert app.get("master") is fake
        assert app.renew("master") is not fake
        assert app.destroy("master") is True
        app.get("master")
    assert app.get("master") is kept


def test_a_context_first_asked_for_under_an_override_is_not_kept(app: Orchestrator) -> None:
    with app.override("master", Fake):
        app.get("master")
    assert type(app.get("master")) is Real


# -- services


def test_a_service_instance_takes_the_place_of_the_service(app: Orchestrator) -> None:
    real, fake = app.svc("mail"), Fake()
    with app.override("mail", fake):
        assert app.svc("mail") is fake
    assert app.svc("mail") is real
    assert real.poke() == "real"


def test_a_service_class_is_started_with_the_settings_of_the_name(app: Orchestrator) -> None:
    app.configure(MAIL_CONFIG={"host": "here"})
    with app.override("mail", FakeMail) as fake:
        assert app.svc("mail") is fake
        assert app.svc("mail").poke() == "fake {'host': 'here'}"
    assert app.svc("mail").poke() == "real"
    with pytest.raises(ServiceUnavailable, match="override, which has ended"):
        fake.poke()


def test_a_service_is_not_started_only_to_be_overridden(app: Orchestrator) -> None:
    with app.override("mail", Fake()):
        app.svc("mail")
    assert app.info()["services"]["mail"]["state"] == "NOT_STARTED"


def test_a_class_that_is_no_service_is_refused(app: Orchestrator) -> None:
    with pytest.raises(RegistrationError, match="does not extend CommonService"):
        app.override("mail", Fake)


def test_inject_gives_what_is_overridden(app: Orchestrator) -> None:
    @app.inject(services=["mail"], repositories=["hook"], context=["master"])
    def work(mail: Any, hook: Any, master: Any) -> tuple[Any, ...]:
        return mail, hook, master

    mail, hook, master = Fake(), Fake(), Fake()
    with app.override("mail", mail), app.override("hook", hook), app.override("master", master):
        assert work() == (mail, hook, master)  # type: ignore[call-arg]


# -- as a decorator


def test_a_decorated_function_runs_within_the_override(app: Orchestrator) -> None:
    @app.override("hook", Fake)
    def work(more: int) -> tuple[type, int]:
        """What it says."""
        return type(app.src("hook")), more

    assert work(3) == (Fake, 3)
    assert work.__doc__ == "What it says."
    assert type(app.src("hook")) is Real


def test_a_decorated_coroutine_function_runs_within_the_override(app: Orchestrator) -> None:
    @app.override("hook", Fake)
    async def work() -> type:
        await asyncio.sleep(0)
        return type(app.src("hook"))

    assert asyncio.run(work()) is Fake
    assert type(app.src("hook")) is Real


def test_a_decorated_generator_is_within_the_override_until_its_end(app: Orchestrator) -> None:
    @app.override("hook", Fake)
    def steps() -> Iterator[type]:
        yield type(app.src("hook"))
        yield type(app.src("hook"))

    running = steps()
    assert type(app.src("hook")) is Real, "it has not begun"
    assert next(running) is Fake
    assert list(running) == [Fake]
    assert type(app.src("hook")) is Real


def test_a_decorated_asynchronous_generator_is_within_the_override_until_its_end(app: Orchestrator) -> None:
    @app.override("hook", Fake)
    async def steps() -> AsyncIterator[type]:
        yield type(app.src("hook"))
        yield type(app.src("hook"))

    async def main() -> list[type]:
        return [step async for step in steps()]

    assert asyncio.run(main()) == [Fake, Fake]
    assert type(app.src("hook")) is Real


def test_calls_of_a_decorated_function_that_overlap_do_not_end_each_other(app: Orchestrator) -> None:
    inside, leave = threading.Event(), threading.Event()

    @app.override("mail", FakeMail)
    def work(wait: bool) -> str:
        mail = app.svc("mail")
        if wait:
            inside.set()
            assert leave.wait(LONG)
        return str(mail.poke())

    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(work(True)))
    thread.start()
    assert inside.wait(LONG)
    answers.append(work(False))
    leave.set()
    thread.join(LONG)
    assert answers == ["fake {}", "fake {}"]


# -- what is refused


def test_a_name_that_nobody_has_cannot_be_overridden(app: Orchestrator) -> None:
    with pytest.raises(NotRegistered, match="Did you mean 'hook'"):
        app.override("hok", Fake)


def test_a_name_in_two_pillars_needs_a_kind(app: Orchestrator) -> None:
    app.context(name="hook")(Real)
    with pytest.raises(NotRegistered, match="kind="):
        app.override("hook", Fake)
    with app.override("hook", Fake, kind="context"):
        assert type(app.ctx("hook")) is Fake
        assert type(app.src("hook")) is Real


def test_none_is_no_override(app: Orchestrator) -> None:
    with pytest.raises(RegistrationError, match="not None"):
        app.override("hook", None)


def test_a_kind_that_does_not_hold_the_name_is_refused(app: Orchestrator) -> None:
    with pytest.raises(NotRegistered):
        app.override("hook", Fake, kind="service")
