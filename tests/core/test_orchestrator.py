"""What an orchestrator answers: typed and unknown names, independence, settings, `info`, and many threads."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import jsorc
from jsorc import (
    CastError,
    CommonService,
    ConfigError,
    JsOrc,
    MemoryHook,
    NotRegistered,
    Orchestrator,
    PluginLoadError,
)
from tests.services import ask_from_threads

Make = Callable[..., Orchestrator]
SECRET = "c0rrect-horse-battery"


class Mail(CommonService[str]):
    def run(self) -> None:
        self.app = "app"


@pytest.fixture
def app() -> Iterator[Orchestrator]:
    """An empty orchestrator with one service."""
    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.service(name="mail", config="MAIL_CONFIG")(Mail)
    yield orchestrator
    orchestrator.stop()


# -- the pillars


def test_src_gives_a_new_instance_every_time(discovering: Make) -> None:
    app = discovering()
    first, second = app.src("hook"), app.src("hook")
    assert type(first) is type(second) is MemoryHook
    assert first is not second


def test_hook_is_src_of_hook(discovering: Make) -> None:
    assert type(discovering().hook()) is MemoryHook


def test_src_casts(discovering: Make) -> None:
    app = discovering()
    assert type(app.src("hook", MemoryHook)) is MemoryHook
    with pytest.raises(CastError, match=r"'hook' is MemoryHook, not dict; see JsOrc.explain\('hook'\)"):
        app.src("hook", dict)


def test_svc_gives_the_one_service_started_at_first_use(app: Orchestrator) -> None:
    assert app.info()["services"]["mail"]["state"] == "NOT_STARTED"
    mail = app.svc("mail")
    assert mail.is_running()
    assert app.svc("mail") is mail


def test_svc_casts(app: Orchestrator) -> None:
    assert app.svc("mail", Mail).poke() == "app"
    with pytest.raises(CastError, match="'mail' is Mail, not dict"):
        app.svc("mail", dict)


@pytest.mark.parametrize("name", ["elastic", "kube", "mail", "prome", "redis", "task"])
def test_a_service_of_ours_that_is_not_installed_names_the_line_that_installs_it(name: str) -> None:
    with pytest.raises(NotRegistered, match=f"pip install jsorc-{name}"):
        Orchestrator(discover=False, environ={}).svc(name)


@pytest.mark.parametrize("ask", ["src", "svc", "ctx", "get", "renew", "explain", "svc_reset", "svc_config"])
def test_an_unknown_name_is_answered_with_the_nearest(ask: str, app: Orchestrator) -> None:
    app.repository(name="mail")(dict)
    app.context(name="mail")(dict)
    with pytest.raises(NotRegistered, match="Did you mean 'mail'"):
        getattr(app, ask)("mial")


# -- binding


def test_a_hook_class_is_bound_once_to_its_orchestrator(app: Orchestrator) -> None:
    bound: list[Orchestrator] = []

    @app.repository(name="bound")
    class Bound:
        def __init__(self, who: Orchestrator) -> None:
            self.who = who

        @classmethod
        def bind(cls, orchestrator: Orchestrator) -> Callable[[], Bound]:
            bound.append(orchestrator)
            return lambda: cls(orchestrator)

    answers = ask_from_threads(50, lambda: app.src("bound"))
    assert bound == [app]
    assert {answer.who for answer in answers} == {app}
    assert len({id(answer) for answer in answers}) == 50


def test_a_bind_that_is_no_class_method_is_nobodys_business(app: Orchestrator) -> None:
    @app.repository(name="thing")
    class Thing:
        def bind(self) -> None:
            raise AssertionError

    assert type(app.src("thing")) is Thing


def test_configure_binds_anew(app: Orchestrator) -> None:
    spaces: list[str] = []

    @app.repository(name="bound")
    class Bound:
        @classmethod
        def bind(cls, orchestrator: Orchestrator) -> Callable[[], Bound]:
            spaces.append(orchestrator.settings.core().namespace)
            return cls

    app.src("bound")
    app.configure(JSORC_CONFIG={"namespace": "other"})
    app.src("bound")
    app.src("bound")
    assert spaces == ["default", "other"]


# -- one apart from another


def test_an_orchestrator_that_does_not_discover_is_empty() -> None:
    empty = Orchestrator(discover=False, environ={})
    info = empty.info()
    assert (info["services"], info["repository"], info["context"], info["plugins"]) == ({}, {}, {}, [])
    with pytest.raises(NotRegistered, match="none yet"):
        empty.src("hook")


def test_a_class_of_the_application_belongs_to_the_orchestrator_that_decorated_it() -> None:
    one, other = (Orchestrator(discover=False, environ={}) for _ in range(2))

    @one.repository(name="thing")
    class Thing:
        pass

    assert type(one.src("thing")) is Thing
    with pytest.raises(NotRegistered):
        other.src("thing")
    with pytest.raises(NotRegistered):
        JsOrc.src("thing")


def test_services_of_two_orchestrators_are_their_own() -> None:
    one, other = (Orchestrator(discover=False, environ={}) for _ in range(2))
    for orchestrator in (one, other):
        orchestrator.service(name="mail", config="MAIL_CONFIG")(Mail)
    one.configure(MAIL_CONFIG={"host": "one"})
    assert one.svc("mail") is not other.svc("mail")
    assert (one.svc("mail").config, other.svc("mail").config) == ({"host": "one"}, {})
    one.stop()
    assert other.svc("mail").is_running()
    other.stop()


def test_memory_hooks_of_two_orchestrators_share_nothing(discovering: Make) -> None:
    one, other = discovering(), discovering()
    with one.src("hook") as hook:
        hook.save_obj("a", 1)
    assert one.src("hook").get_obj("a") == 1
    assert other.src("hook").has_obj("a") is False


def test_the_decorators_return_the_class(app: Orchestrator) -> None:
    class Thing:
        pass

    assert app.repository(name="thing")(Thing) is Thing
    assert app.context(name="thing")(Thing) is Thing
    assert app.service(name="other")(Mail) is Mail


# -- shared


def test_shared_makes_one_object_an_orchestrator_and_factory() -> None:
    one, other = (Orchestrator(discover=False, environ={}) for _ in range(2))
    made: list[object] = []

    def factory() -> object:
        made.append(object())
        return made[-1]

    assert len(set(map(id, ask_from_threads(30, lambda: one.shared(factory))))) == 1
    assert other.shared(factory) is not one.shared(factory)
    assert len(made) == 2


def test_a_factory_that_fails_is_tried_again(app: Orchestrator) -> None:
    answers: list[Any] = [LookupError("not yet"), "made"]

    def factory() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(LookupError):
        app.shared(factory)
    assert app.shared(factory) == app.shared(factory) == "made"


# -- settings


def test_configure_reaches_a_service_that_starts_later_and_not_one_that_runs(app: Orchestrator) -> None:
    app.configure(MAIL_CONFIG={"host": "here"})
    assert app.svc("mail").config == {"host": "here"}
    app.configure(MAIL_CONFIG={"port": 25})
    assert app.svc("mail").config == {"host": "here"}
    assert app.svc_config("mail").items() >= {"host": "here", "port": 25}.items()
    assert app.svc_reset("mail").config == {"host": "here", "port": 25}


def test_a_setting_that_is_refused_changes_nothing(app: Orchestrator) -> None:
    with pytest.raises(ConfigError, match="MAIL_CONFIG"):
        app.configure(MAIL_CONFIG={"host": object()}, JSORC_CONFIG={"namespace": "other"})
    assert "host" not in app.svc_config("mail")
    assert app.settings.core().namespace == "default"


def test_a_pin_that_is_configured_counts_from_the_next_call_on(app: Orchestrator) -> None:
    @app.repository(name="thing")
    class Thing:
        pass

    app.src("thing")
    app.configure(JSORC_CONFIG={"use": {"thing": "acme"}})
    with pytest.raises(NotRegistered, match="pinned to acme"):
        app.src("thing")


def test_the_settings_of_a_registration_are_known(
    app: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    app.configure(MAIL_CONFIG={"host": "here"}, MIAL_CONFIG={"host": "there"})
    app.settings.warn_unknown()
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "MIAL_CONFIG" in warnings[0]
    assert "MAIL_CONFIG" in warnings[0]


# -- info


def test_info_is_json_and_changes_nothing(discovering: Make) -> None:
    app = discovering()

    class Unstarted(CommonService[str]):
        pass

    app.service(name="unstarted")(Unstarted)
    app.repository(name="thing")(dict)
    info = app.info()
    assert json.loads(json.dumps(info)) == info
    assert info["schema"] == 1
    assert info["started"] is False
    assert info["namespace"] == "default"
    assert info["repository"]["hook"]["winner"] == "jsorc.unit_of_work:MemoryHook"
    assert info["repository"]["thing"]["distribution"] == "application"
    assert info["services"]["unstarted"]["state"] == "NOT_STARTED"


def test_info_tells_of_a_service_what_it_is_and_why_it_failed(app: Orchestrator) -> None:
    class Broken(CommonService[str]):
        def run(self) -> None:
            raise LookupError("no luck today")

        def details(self) -> dict[str, Any]:
            raise RuntimeError("cannot tell")

    app.service(name="broken")(Broken)
    app.svc("broken")
    told = app.info()["services"]["broken"]
    assert told["state"] == "FAILED"
    assert told["error"] == "LookupError: no luck today"
    assert told["details"] == {"error": "details() raised RuntimeError: cannot tell"}
    assert told["failures"] == 1


def test_a_secret_is_in_no_answer_of_an_orchestrator(
    app: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    class Leaking(CommonService[str]):
        secret_keys = ("salt",)

        def run(self) -> None:
            self.log.warning("connecting with %s", self.config["password"])
            raise ConnectionError(f"cannot reach smtp://me:{self.config['password']}@there")

        def details(self) -> dict[str, Any]:
            return {"url": f"smtp://{self.config['password']}@there", "salt": SECRET}

    app.configure(LEAKING_CONFIG={"password": SECRET, "salt": SECRET, "nested": [{"api_token": SECRET}]})
    app.service(name="leaking", config="LEAKING_CONFIG")(Leaking)
    service = app.svc("leaking")
    with pytest.raises(jsorc.ServiceUnavailable) as raised:
        service.poke()
    told = [
        json.dumps(app.info()),
        str(app.settings.explain("LEAKING_CONFIG")),
        str(raised.value),
        repr(service),
        str(service.error),
        caplog.text,
    ]
    for text in told:
        assert SECRET not in text
    assert service.config["password"] == SECRET, "the service itself has it"


def test_a_pin_that_does_not_hold_is_a_problem_in_info_and_not_an_exception(app: Orchestrator) -> None:
    app.repository(name="thing")(dict)
    app.configure(JSORC_CONFIG={"use": {"thing": "acme"}})
    assert "pinned to acme" in app.info()["repository"]["thing"]["problem"]


# -- threads


def test_fifty_threads_that_ask_first_all_get_the_winner(discovering: Make) -> None:
    app = discovering()
    answers = ask_from_threads(50, lambda: app.src("hook"))
    assert {type(answer) for answer in answers} == {MemoryHook}
    answers[0].save_obj("a", 1)
    answers[0].commit()
    assert all(answer.get_obj("a") == 1 for answer in answers[1:]), "they share one store"


def test_fifty_threads_start_one_service_once(app: Orchestrator) -> None:
    runs: list[int] = []

    class Counting(CommonService[str]):
        def run(self) -> None:
            runs.append(1)
            self.app = "app"

    app.service(name="counting")(Counting)
    answers = ask_from_threads(50, lambda: app.svc("counting"))
    assert len(set(map(id, answers))) == 1
    assert answers[0].is_running()
    assert runs == [1]


def test_src_answers_from_threads_while_registrations_and_overrides_change(app: Orchestrator) -> None:
    classes = [type(f"Thing{number}", (), {}) for number in range(20)]
    app.repository(name="thing")(classes[0])
    done, wrong = threading.Event(), []

    def ask() -> None:
        while not done.is_set():
            if type(app.src("thing")) not in classes:
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number, cls in enumerate(classes):
        app.repository(name="thing", priority=number)(cls)
        with app.override("thing", classes[0]):
            assert type(app.src("thing")) is classes[0]
        assert type(app.src("thing")) is cls, "what was registered counts from the next call on"
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


# -- the default orchestrator


def test_every_public_method_of_an_orchestrator_is_one_of_jsorc() -> None:
    methods = {
        name for name, value in vars(Orchestrator).items() if not name.startswith("_") and callable(value)
    }
    assert methods <= set(vars(JsOrc))
    for name in methods:
        assert getattr(JsOrc, name) == getattr(JsOrc.orchestrator, name)
    assert JsOrc.CommonService is CommonService
    assert JsOrc.settings is JsOrc.orchestrator.settings


def test_every_public_name_is_there() -> None:
    for name in jsorc.__all__:
        assert getattr(jsorc, name) is not None
    assert jsorc.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = jsorc.absent


def test_a_failed_import_of_a_service_is_raised_by_svc(app: Orchestrator) -> None:
    app.listen(object(), "nothing")  # an object without implementations is harmless
    app._registry.add(jsorc.registration.Registration("service", "gone", "absent_package.module:Gone"))
    for _ in range(2):
        with pytest.raises(PluginLoadError, match="absent_package"):
            app.svc("gone")


def test_a_library_sets_no_handlers(app: Orchestrator) -> None:
    app.svc("mail").log.info("hello")
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "jsorc"]
    assert "jsorc.service.mail" in names
    assert not any(logging.getLogger(name).handlers for name in names)
