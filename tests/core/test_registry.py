"""Who wins a name, and why: ranking, ties, pins, lazy targets and `explain`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import Candidate, MemoryHook, NotRegistered, Orchestrator, PluginLoadError, RegistrationError
from jsorc.registration import Registration
from jsorc.registry import Registry
from tests.installed import Site

Make = Callable[..., Orchestrator]


def bringing(*calls: str) -> str:
    """The plugin module of a distribution that brings something."""
    lines = "".join(f"    {call}\n" for call in calls)
    return f"from jsorc import hookimpl\n@hookimpl\ndef jsorc_register(register):\n{lines}"


def store(site: Site, name: str, priority: int, repository: str = "hook") -> None:
    """Install a distribution with a repository; the class is named after the distribution."""
    package, cls = name.replace("-", "_"), name.replace("-", "").title()
    plugin = bringing(f"register.repository({repository!r}, '{package}.store:{cls}', priority={priority})")
    site.install(name, plugin, modules={"store": f"class {cls}:\n    pass\n"})


def statuses(rows: list[Candidate]) -> list[tuple[str, str]]:
    return [(row.distribution, row.status) for row in rows if row.priority is not None]


def empty() -> Orchestrator:
    return Orchestrator(discover=False, environ={})


# -- ranking


def test_the_highest_priority_wins_across_distributions(site: Site, discovering: Make) -> None:
    store(site, "zeta", 3)
    store(site, "acme", 2)
    orchestrator = discovering()
    assert type(orchestrator.src("hook")).__name__ == "Zeta"
    assert statuses(orchestrator.explain("hook")) == [
        ("zeta", "selected"),
        ("acme", "outranked"),
        ("jsorc-core", "outranked"),
    ]


def test_losers_are_not_imported(site: Site, discovering: Make) -> None:
    store(site, "zeta", 3)
    store(site, "acme", 2)
    discovering().src("hook")
    assert "acme.store" not in site.imported("acme")


def test_a_negative_priority_loses_to_core(site: Site, discovering: Make) -> None:
    store(site, "acme", -1)
    assert type(discovering().src("hook")) is MemoryHook


@pytest.mark.parametrize("order", [("acme", "zeta"), ("zeta", "acme")])
def test_a_tie_is_decided_by_name_and_not_by_the_order_of_installing(
    order: tuple[str, str], site: Site, discovering: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for name in order:
        store(site, name, 5)
    orchestrator = discovering()
    for _ in range(3):
        assert type(orchestrator.src("hook")).__name__ == "Acme"
        orchestrator.configure()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1, "one warning"
    assert "acme and zeta" in warnings[0]
    assert "JSORC_CONFIG__USE__HOOK" in warnings[0]
    assert statuses(orchestrator.explain("hook"))[:2] == [("acme", "selected"), ("zeta", "tied")]


def test_a_tie_below_the_top_is_nobodys_concern(
    site: Site, discovering: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store(site, "acme", 5)
    store(site, "beta", 4)
    store(site, "zeta", 4)
    orchestrator = discovering()
    orchestrator.src("hook")
    assert caplog.records == []
    assert statuses(orchestrator.explain("hook"))[1:3] == [("beta", "outranked"), ("zeta", "outranked")]


def test_the_application_wins_at_the_same_priority_without_a_warning(
    site: Site, discovering: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store(site, "acme", 5)
    orchestrator = discovering()
    orchestrator.plugins()

    @orchestrator.repository(name="hook", priority=5)
    class Mine:
        pass

    assert type(orchestrator.src("hook")) is Mine
    assert caplog.records == []
    assert statuses(orchestrator.explain("hook"))[:2] == [("application", "selected"), ("acme", "outranked")]


def test_of_the_applications_own_the_latest_wins() -> None:
    orchestrator = empty()

    @orchestrator.repository(name="thing")
    class First:
        pass

    @orchestrator.repository(name="thing")
    class Second:
        pass

    assert type(orchestrator.src("thing")) is Second
    orchestrator.repository(name="thing")(First)
    assert type(orchestrator.src("thing")) is First


def test_the_same_target_under_the_same_name_replaces_its_entry() -> None:
    orchestrator = empty()

    class Thing:
        pass

    orchestrator.repository(name="thing", priority=1)(Thing)
    orchestrator.repository(name="thing", priority=4)(Thing)
    orchestrator.repository(name="other")(Thing)
    assert [row.priority for row in orchestrator.explain("thing")] == [4]
    assert [row.priority for row in orchestrator.explain("other")] == [0]


def test_a_later_registration_wins_from_the_next_call_on() -> None:
    orchestrator = empty()

    @orchestrator.repository(name="thing")
    class Low:
        pass

    assert type(orchestrator.src("thing")) is Low

    @orchestrator.repository(name="thing", priority=1)
    class High:
        pass

    assert type(orchestrator.src("thing")) is High


# -- pins


def test_a_pin_wins_over_priority(site: Site, discovering: Make) -> None:
    store(site, "acme-low", 1)
    store(site, "zeta", 9)
    orchestrator = discovering(JSORC_CONFIG__USE__HOOK="Acme_Low")
    assert type(orchestrator.src("hook")).__name__ == "Acmelow"
    assert statuses(orchestrator.explain("hook")) == [
        ("zeta", "outranked"),
        ("acme-low", "pinned"),
        ("jsorc-core", "outranked"),
    ]


def test_a_pin_to_a_tied_distribution_silences_the_warning(
    site: Site, discovering: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store(site, "acme", 5)
    store(site, "zeta", 5)
    orchestrator = discovering()
    orchestrator.configure(JSORC_CONFIG={"use": {"hook": "zeta"}})
    assert type(orchestrator.src("hook")).__name__ == "Zeta"
    assert caplog.records == []


def test_a_pin_may_name_core_or_the_application(site: Site, discovering: Make) -> None:
    store(site, "acme", 5)
    orchestrator = discovering()
    orchestrator.configure(JSORC_CONFIG={"use": {"hook": "jsorc-core"}})
    assert type(orchestrator.src("hook")) is MemoryHook

    @orchestrator.repository(name="hook")
    class Mine:
        pass

    orchestrator.configure(JSORC_CONFIG={"use": {"hook": "application"}})
    assert type(orchestrator.src("hook")) is Mine


def test_a_pin_to_a_distribution_that_is_absent_raises_and_says_what_there_is(discovering: Make) -> None:
    orchestrator = discovering(JSORC_CONFIG__USE__HOOK="acme-store")
    with pytest.raises(NotRegistered, match="pip install acme-store") as raised:
        orchestrator.src("hook")
    assert "jsorc-core" in str(raised.value)
    assert statuses(orchestrator.explain("hook")) == [("jsorc-core", "outranked")]


@pytest.mark.parametrize(
    ("plugin", "block", "says"),
    [("raise RuntimeError('no luck')", "", "failed: RuntimeError: no luck"), ("", "acme", "blocked")],
)
def test_a_pin_to_a_plugin_that_is_not_used_raises_and_never_falls_through(
    plugin: str, block: str, says: str, site: Site, discovering: Make
) -> None:
    site.install("acme", plugin)
    store(site, "zeta", 5)
    orchestrator = discovering(JSORC_PLUGINS_BLOCK=block, JSORC_CONFIG__USE__HOOK="acme")
    for _ in range(2):
        with pytest.raises(PluginLoadError, match=says):
            orchestrator.src("hook")


# -- the winner's import


def test_a_winner_that_cannot_be_imported_raises_and_never_falls_through(
    site: Site, discovering: Make
) -> None:
    store(site, "acme", 5)
    store(site, "zeta", 4)
    site.rewrite("acme", "store", "import a_driver_that_is_absent")
    orchestrator = discovering()
    for _ in range(2):
        with pytest.raises(PluginLoadError) as raised:
            orchestrator.src("hook")
        for word in (
            "acme",
            "a_driver_that_is_absent",
            "JSORC_PLUGINS_BLOCK=acme",
            "JSORC_CONFIG__USE__HOOK",
        ):
            assert word in str(raised.value)
    first = orchestrator.explain("hook")[0]
    assert first.distribution == "acme"
    assert first.status.startswith("failed: ModuleNotFoundError")


def test_the_import_of_a_winner_is_tried_again_at_the_next_call(site: Site, discovering: Make) -> None:
    store(site, "acme", 5)
    site.rewrite("acme", "store", "raise RuntimeError('not yet')")
    orchestrator = discovering()
    with pytest.raises(PluginLoadError, match="not yet"):
        orchestrator.src("hook")
    site.rewrite("acme", "store", "class Acme:\n    pass\n")
    assert type(orchestrator.src("hook")).__name__ == "Acme"
    assert orchestrator.explain("hook")[0].status == "selected"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def Acme(): pass", "not a class"),
        ("Acme = 3", "not a class"),
        ("raise SystemExit", "SystemExit"),
        ("", "AttributeError"),
    ],
)
def test_a_target_that_is_no_class_is_refused_naming_distribution_and_target(
    source: str, says: str, site: Site, discovering: Make
) -> None:
    store(site, "acme", 5)
    site.rewrite("acme", "store", source)
    with pytest.raises(PluginLoadError, match=says) as raised:
        discovering().src("hook")
    assert "acme.store:Acme of acme" in str(raised.value)


def test_a_target_that_is_no_service_is_refused_when_it_is_used(site: Site, discovering: Make) -> None:
    site.install(
        "acme",
        bringing("register.service('thing', 'acme.store:Acme')"),
        modules={"store": "class Acme: pass"},
    )
    with pytest.raises(PluginLoadError, match="does not extend CommonService"):
        discovering().svc("thing")


def test_a_target_may_be_nested(site: Site, discovering: Make) -> None:
    site.install(
        "acme",
        bringing("register.context('thing', 'acme.store:Outer.Inner')"),
        modules={"store": "class Outer:\n    class Inner:\n        pass\n"},
    )
    assert type(discovering().ctx("thing")).__qualname__ == "Outer.Inner"


# -- names


def test_an_unknown_name_says_what_there_is_and_what_was_meant() -> None:
    orchestrator = empty()
    orchestrator.repository(name="documents")(dict)
    orchestrator.repository(name="people")(dict)
    with pytest.raises(NotRegistered) as raised:
        orchestrator.src("docments")
    assert "there is documents, people." in str(raised.value)
    assert "Did you mean 'documents'?" in str(raised.value)


def test_an_unknown_name_of_ours_says_what_to_install() -> None:
    with pytest.raises(NotRegistered, match="pip install jsorc-mail"):
        empty().svc("mail")


def test_a_name_of_another_pillar_says_whom_to_ask() -> None:
    orchestrator = empty()
    orchestrator.context(name="master")(dict)
    with pytest.raises(NotRegistered, match=r"It is a context: ask JsOrc\.ctx\('master'\)"):
        orchestrator.src("master")


@pytest.mark.parametrize("name", ["", None, 3, ("hook",)])
def test_a_name_that_cannot_be_one_is_not_registered(name: Any) -> None:
    with pytest.raises(NotRegistered):
        empty().src(name)


def test_explain_asks_for_the_pillar_where_a_name_stands_in_two() -> None:
    orchestrator = empty()
    orchestrator.context(name="both")(dict)
    orchestrator.repository(name="both")(list)
    with pytest.raises(NotRegistered, match="kind="):
        orchestrator.explain("both")
    assert [row.pillar for row in orchestrator.explain("both", kind="context")] == ["context"]
    with pytest.raises(NotRegistered, match="kind is one of"):
        orchestrator.explain("both", kind="contexts")  # type: ignore[arg-type]
    with pytest.raises(NotRegistered):
        orchestrator.explain("both", kind="service")


# -- what is refused at once


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"priority": "1"}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"name": ""}, "a name"),
        ({"name": 3}, "a name"),
        ({"needs": "redis"}, "needs is a list"),
        ({"needs": [3]}, "needs is a list"),
    ],
)
def test_a_wrong_argument_is_refused_at_decoration(wrong: dict[str, Any], says: str) -> None:
    orchestrator = empty()
    with pytest.raises(RegistrationError, match=says):
        orchestrator.repository(**{"name": "thing", **wrong})(dict)
    with pytest.raises(NotRegistered):
        orchestrator.src("thing")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"config": {"a": 1}}, "names of settings"), ({"manifest": 3}, "names"), ({"config": "a b"}, "a b")],
)
def test_a_wrong_setting_is_refused_at_decoration(wrong: dict[str, Any], says: str) -> None:
    from jsorc import CommonService

    class Thing(CommonService[str]):
        pass

    orchestrator = empty()
    with pytest.raises(RegistrationError, match=says):
        orchestrator.service(name="thing", **wrong)(Thing)
    with pytest.raises(NotRegistered):
        orchestrator.svc("thing")


def test_a_class_that_is_no_service_is_refused_at_decoration() -> None:
    with pytest.raises(RegistrationError, match=r"write: class dict\(CommonService\)"):
        empty().service(name="thing")(dict)


@pytest.mark.parametrize("thing", [lambda: None, 3, None])
def test_what_is_no_class_is_refused_at_decoration(thing: Any) -> None:
    with pytest.raises(RegistrationError, match="neither a class nor"):
        empty().context(name="thing")(thing)


# -- the registry by itself


def test_a_registration_refuses_a_target_that_is_no_target() -> None:
    for target in ("", "package", "package:", ":Class"):
        with pytest.raises(RegistrationError, match="a target is written"):
            Registration("repository", "thing", target)


def test_adding_several_adds_none_where_one_is_unfit() -> None:
    registry = Registry(lambda: None, dict, {"service": Exception})
    good = Registration("context", "good", "builtins:dict", cls=dict)
    with pytest.raises(RegistrationError, match="does not extend Exception"):
        registry.add(good, Registration("service", "bad", "builtins:dict", cls=dict))
    assert registry.names("context") == []


def test_a_class_that_is_known_is_kept_when_its_plugin_registers_the_target_again() -> None:
    registry = Registry(lambda: None, dict)
    registry.add(Registration("context", "thing", "absent.module:Thing", cls=dict))
    registry.add(Registration("context", "thing", "absent.module:Thing", 4, "acme"))
    winner = registry.winner("context", "thing")
    assert (winner.priority, registry.load(winner)) == (4, dict)
