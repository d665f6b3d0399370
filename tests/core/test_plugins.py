"""How plugins are found, loaded in isolation, blocked, fenced and owned."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jsorc import MemoryHook, NotRegistered, Orchestrator, PluginLoadError, PluginRecord, hookimpl
from tests.installed import Site
from tests.services import LONG

Make = Callable[..., Orchestrator]

WORKING = """
from jsorc import hookimpl

@hookimpl
def jsorc_register(register):
    register.settings(ACME_CONFIG={"size": 1})
    register.env(ACME_SIZE="ACME_CONFIG.size")
    register.repository("thing", __package__ + ".things:Thing", priority=1)
"""
THINGS = {"things": "class Thing:\n    pass\n"}


def record_of(orchestrator: Orchestrator, distribution: str) -> PluginRecord:
    return next(record for record in orchestrator.plugins() if record.distribution == distribution)


# -- what is found


def test_an_installed_plugin_is_found_and_its_target_is_imported_at_first_use(
    site: Site, discovering: Make
) -> None:
    site.install("acme-store", WORKING, version="2.5", modules=THINGS)
    orchestrator = discovering()
    assert record_of(orchestrator, "acme-store") == PluginRecord(
        "acme_store", "acme-store", "2.5", "acme_store.plugin", "loaded"
    )
    assert "acme_store.things" not in site.imported("acme-store")
    assert type(orchestrator.src("thing")).__name__ == "Thing"
    assert "acme_store.things" in site.imported("acme-store")


def test_nothing_is_imported_before_the_first_question(site: Site, discovering: Make) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    orchestrator = discovering()
    orchestrator.configure(ACME_CONFIG={"size": 2})
    assert site.imported("acme-store") == []
    orchestrator.explain("hook")
    assert site.imported("acme-store") != []


def test_what_a_plugin_declares_is_known_to_the_settings(site: Site, discovering: Make) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    orchestrator = discovering(ACME_SIZE="7")
    orchestrator.plugins()
    assert orchestrator.settings["ACME_CONFIG"] == {"size": 7}
    assert "ACME_SIZE" in str(orchestrator.settings.explain("ACME_CONFIG")["size"])


def test_threads_that_ask_first_wait_for_one_scan(site: Site, discovering: Make) -> None:
    site.install(
        "acme-store",
        "import builtins\nbuiltins.acme_imports.append(1)\n" + WORKING,
        modules=THINGS,
    )
    import builtins

    imports: list[int] = []
    builtins.acme_imports = imports  # type: ignore[attr-defined]
    orchestrator = discovering()
    barrier, found = threading.Barrier(20), []

    def ask() -> None:
        barrier.wait(LONG)
        found.append(type(orchestrator.src("thing")).__name__)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    del builtins.acme_imports  # type: ignore[attr-defined]
    assert found == ["Thing"] * 20
    assert imports == [1]


def test_a_forced_scan_finds_what_was_installed_since_and_loses_what_is_gone(
    site: Site, discovering: Make
) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    orchestrator = discovering()
    orchestrator.src("thing")
    site.uninstall("acme-store")
    site.install("other-store", WORKING.replace('"thing"', '"other"'), modules=THINGS)
    assert type(orchestrator.src("thing")).__name__ == "Thing", "nothing changes until it is asked for"
    names = {record.distribution for record in orchestrator.discover(force=True) if record.state == "loaded"}
    assert names == {"other-store"}
    with pytest.raises(NotRegistered):
        orchestrator.src("thing")
    assert "ACME_CONFIG" in orchestrator.settings


def test_a_forced_scan_keeps_what_the_application_registered(site: Site, discovering: Make) -> None:
    orchestrator = discovering()

    @orchestrator.repository(name="mine")
    class Mine:
        pass

    from jsorc import CommonService

    @orchestrator.service(name="serving", config="SERVING_CONFIG")
    class Serving(CommonService[str]):
        def run(self) -> None:
            self.app = "app"

    orchestrator.discover(force=True)
    assert type(orchestrator.src("mine")) is Mine
    assert orchestrator.svc("serving").poke() == "app"


def test_a_name_is_there_for_others_while_a_forced_scan_runs(site: Site, discovering: Make) -> None:
    gate = """
import builtins
builtins.acme_gate()
"""
    import builtins

    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert leave.wait(LONG)

    site.install("acme-store", WORKING, modules=THINGS)
    orchestrator = discovering()
    orchestrator.plugins()
    site.rewrite("acme-store", "plugin", gate + WORKING)
    builtins.acme_gate = wait  # type: ignore[attr-defined]
    found: list[Any] = []
    scan = threading.Thread(target=lambda: orchestrator.discover(force=True))
    scan.start()
    assert entered.wait(LONG)
    asking = threading.Thread(target=lambda: found.append(type(orchestrator.src("thing")).__name__))
    asking.start()
    leave.set()
    for thread in (scan, asking):
        thread.join(LONG)
    del builtins.acme_gate  # type: ignore[attr-defined]
    assert found == ["Thing"]


def test_an_orchestrator_that_does_not_discover_has_not_even_a_hook(site: Site) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    orchestrator = Orchestrator(discover=False, environ={})
    assert orchestrator.plugins() == []
    assert orchestrator.discover(force=True) == []
    with pytest.raises(NotRegistered):
        orchestrator.src("hook")


# -- what is broken

BROKEN = {
    "raises": ("raise RuntimeError('no luck today')", {}, "RuntimeError: no luck today"),
    "exits": ("raise SystemExit(3)", {}, "SystemExit: 3"),
    "raises what has no text": (
        "class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad",
        {},
        "Bad",
    ),
    "has a syntax error": ("def (", {}, "SyntaxError"),
    "has a module that is not there": (WORKING, {"entry": "acme_broken.absent"}, "acme_broken.absent"),
    "has an attribute that is not there": (WORKING, {"entry": "acme_broken.plugin:absent"}, "absent"),
    "has an entry point that is no name": (WORKING, {"entry": "not a module at all!"}, ""),
    "names something that registers nothing": ("x = 1", {}, "registers nothing"),
    "names a class without a decorator": (
        "class Plain:\n    pass",
        {"entry": "acme_broken.plugin:Plain"},
        "a class without a JsOrc decorator",
    ),
    "raises half-way": (WORKING + "    raise LookupError('half-way')", {}, "LookupError: half-way"),
    "has a bad priority": (WORKING.replace("priority=1", "priority='high'"), {}, "priority is 'high'"),
    "has a bad target": (WORKING.replace(":Thing", ""), {}, "'package.module:Class'"),
    "declares a bad setting": (WORKING.replace('"size": 1', '"size": object()'), {}, "ACME_CONFIG.size"),
    "refers to a bad setting": (
        WORKING + "    register.service('s', 'a.b:C', config='not a name')",
        {},
        "not a name",
    ),
    "registers a service that is none": (
        WORKING + "    register.service('s', dict)",
        {},
        "does not extend CommonService",
    ),
    "implements a hook that does not exist": (
        WORKING + "\n@hookimpl\ndef jsorc_provison(service, manifest):\n    return None",
        {},
        "jsorc_provison",
    ),
    "implements a hook with another argument": (
        WORKING + "\n@hookimpl\ndef jsorc_is_leader(who):\n    return None",
        {},
        "who",
    ),
    "wraps a hook": (
        WORKING + "\n@hookimpl(wrapper=True)\ndef jsorc_is_leader():\n    return (yield)",
        {},
        "wrappers are not supported",
    ),
    "was built for the next major": (WORKING, {"requires": ["jsorc-core>=99,<100"]}, "jsorc-core<100,>=99"),
    "has a requirement that is none": (WORKING, {"requires": ["jsorc-core (((1"]}, "InvalidRequirement"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_plugin_that_is_broken_hurts_nobody_but_itself(
    how: str, site: Site, discovering: Make, caplog: pytest.LogCaptureFixture
) -> None:
    source, options, says = BROKEN[how]
    site.install("acme-broken", source, modules=THINGS, **options)  # type: ignore[arg-type]
    site.install("zeta-works", WORKING.replace("ACME", "ZETA").replace('"thing"', '"zeta"'), modules=THINGS)
    orchestrator = discovering()

    broken = record_of(orchestrator, "acme-broken")
    assert broken.state == "failed"
    assert broken.error
    assert says in broken.error
    assert "acme-broken" in caplog.text
    assert record_of(orchestrator, "zeta-works").state == "loaded"

    with pytest.raises(NotRegistered, match="acme-broken is failed"):
        orchestrator.src("thing")
    assert "ACME_CONFIG" not in orchestrator.settings, "half of a registration was left behind"
    assert orchestrator.call_plugins("jsorc_is_leader") == []


@pytest.mark.parametrize("how", BROKEN)
def test_under_jsorc_strict_a_broken_plugin_raises_each_time(how: str, site: Site, discovering: Make) -> None:
    source, options, says = BROKEN[how]
    site.install("acme-broken", source, modules=THINGS, **options)  # type: ignore[arg-type]
    orchestrator = discovering(JSORC_STRICT="1")
    for _ in range(2):
        with pytest.raises(PluginLoadError, match="acme-broken") as raised:
            orchestrator.src("hook")
        assert says in str(raised.value)


def test_a_plugin_that_prints_works(
    site: Site, discovering: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("acme-loud", "print('hello')\n" + WORKING, modules=THINGS)
    orchestrator = discovering()
    assert type(orchestrator.src("thing")).__name__ == "Thing"
    assert "hello" in capsys.readouterr().out


def test_a_plugin_that_is_interrupted_from_the_keyboard_interrupts(site: Site, discovering: Make) -> None:
    site.install("acme-store", "raise KeyboardInterrupt", modules=THINGS)
    orchestrator = discovering()
    with pytest.raises(KeyboardInterrupt):
        orchestrator.plugins()
    site.rewrite("acme-store", "plugin", WORKING)
    assert type(orchestrator.src("thing")).__name__ == "Thing"


def test_metadata_that_cannot_be_read_hurts_nobody(site: Site, discovering: Make) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    site.install("zeta-works", WORKING.replace('"thing"', '"zeta"'), modules=THINGS)
    (site.info("acme-store") / "METADATA").unlink()
    orchestrator = discovering()
    assert type(orchestrator.src("zeta")).__name__ == "Thing"
    broken = next(record for record in orchestrator.plugins() if record.state == "failed")
    assert broken.name == "acme_store"
    assert broken.error
    assert "install it again" in broken.error or "no Name" in broken.error


def test_a_malformed_file_of_entry_points_hurts_nobody(site: Site, discovering: Make) -> None:
    site.install("acme-store", WORKING, modules=THINGS, entry_points="[jsorc.services]\nnonsense\n")
    site.install("bystander", modules={}, entry_points="[console_scripts]\nnonsense\n")
    site.install("zeta-works", WORKING.replace('"thing"', '"zeta"'), modules=THINGS)
    orchestrator = discovering()
    assert type(orchestrator.src("zeta")).__name__ == "Thing"
    assert record_of(orchestrator, "acme-store").state == "failed"
    assert "bystander" not in {record.distribution for record in orchestrator.plugins()}


def test_a_secret_in_the_error_of_a_plugin_is_masked(site: Site, discovering: Make) -> None:
    site.install("acme-store", "raise RuntimeError('cannot reach redis://me:hunter22@there/0')")
    orchestrator = discovering()
    error = record_of(orchestrator, "acme-store").error
    assert error
    assert "hunter22" not in error
    assert "hunter22" not in str(orchestrator.info())


# -- fences and lists


def test_a_plugin_for_another_core_is_refused_before_import_with_the_line_that_mends_it(
    site: Site, discovering: Make
) -> None:
    site.install("acme-next", WORKING, requires=["JsOrc_Core[cli]>=99,<100"], modules=THINGS)
    orchestrator = discovering()
    error = record_of(orchestrator, "acme-next").error
    assert site.imported("acme-next") == []
    assert error
    assert 'pip install "jsorc-core<100,>=99"' in error
    assert "pip install --upgrade acme-next" in error


@pytest.mark.parametrize(
    "line",
    [
        "jsorc-core>=0.0.1",
        "jsorc-core>=99; python_version < '3'",
        "jsorc-core-extras>=99",
        "requests>=99",
        "jsorc-core",
    ],
)
def test_a_requirement_that_holds_or_is_about_something_else_is_no_fence(
    line: str, site: Site, discovering: Make
) -> None:
    site.install("acme-store", WORKING, requires=[line], modules=THINGS)
    assert record_of(discovering(), "acme-store").state == "loaded"


def test_a_blocked_plugin_is_not_imported_and_says_so(site: Site, discovering: Make) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    orchestrator = discovering(JSORC_PLUGINS_BLOCK="other, Acme_Store")
    assert record_of(orchestrator, "acme-store").state == "blocked"
    assert site.imported("acme-store") == []
    with pytest.raises(NotRegistered, match="acme-store is blocked"):
        orchestrator.src("thing")
    assert "blocked" in {row.status for row in orchestrator.explain("hook")}


def test_only_what_is_allowed_is_imported(site: Site, discovering: Make) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    site.install("zeta-works", WORKING.replace('"thing"', '"zeta"'), modules=THINGS)
    orchestrator = discovering(JSORC_PLUGINS_ALLOW="zeta.works")
    assert record_of(orchestrator, "acme-store").state == "blocked"
    assert record_of(orchestrator, "zeta-works").state == "loaded"
    assert site.imported("acme-store") == []


ON_TOP = """
from jsorc import hookimpl

@hookimpl
def jsorc_register(register):
    if register.has_plugin("Zeta.Works"):
        register.repository("thing", __package__ + ".things:Thing")
    register.context("always", __package__ + ".things:Thing")
"""


@pytest.mark.parametrize(
    ("variables", "has"),
    [
        ({}, True),
        ({"JSORC_PLUGINS_BLOCK": "zeta-works"}, False),
        ({"JSORC_PLUGINS_ALLOW": "acme-store"}, False),
        ({"JSORC_PLUGINS_ALLOW": "acme-store,zeta_works"}, True),
    ],
)
def test_a_plugin_asks_for_the_one_that_it_stands_on(
    variables: dict[str, str], has: bool, site: Site, discovering: Make
) -> None:
    site.install("acme-store", ON_TOP, modules=THINGS)  # which is loaded before the other
    site.install("zeta-works", WORKING.replace('"thing"', '"zeta"'), modules=THINGS)
    orchestrator = discovering(**variables)
    assert record_of(orchestrator, "acme-store").state == "loaded"
    if has:
        assert type(orchestrator.src("thing")).__name__ == "Thing"
    else:
        with pytest.raises(NotRegistered):
            orchestrator.src("thing")


def test_the_hook_of_core_cannot_be_blocked(discovering: Make) -> None:
    orchestrator = discovering(JSORC_PLUGINS_BLOCK="jsorc-core", JSORC_PLUGINS_ALLOW="nothing")
    assert type(orchestrator.src("hook")) is MemoryHook


def test_the_first_repository_after_a_failure_logs_one_error(
    site: Site, discovering: Make, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-broken", "raise RuntimeError('no luck today')")
    orchestrator = discovering()
    orchestrator.plugins()
    assert not [record for record in caplog.records if record.levelno == logging.ERROR]
    for _ in range(3):
        orchestrator.src("hook")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "acme-broken" in errors[0]
    assert "no luck today" in errors[0]


# -- decorated classes

DECORATED = """
from jsorc import JsOrc

@JsOrc.repository(name="marked", priority=3)
class Marked:
    pass

@JsOrc.context(name="marked_context")
@JsOrc.context(name="marked_again")
class Context:
    pass

@JsOrc.service(name="marked_service", config="MARKED_CONFIG")
class Service(JsOrc.CommonService):
    def run(self):
        self.app = self.config
"""


def test_an_entry_point_may_name_a_module_with_decorated_classes(site: Site, discovering: Make) -> None:
    site.install("acme-marked", DECORATED)
    first, second = discovering(), discovering()
    for orchestrator in (first, second):
        assert type(orchestrator.src("marked")).__name__ == "Marked"
        assert type(orchestrator.ctx("marked_again")) is type(orchestrator.ctx("marked_context"))
        assert orchestrator.svc("marked_service").poke() == {}
        rows = orchestrator.explain("marked")
        assert [(row.distribution, row.version, row.priority) for row in rows[:1]] == [
            ("acme-marked", "1.0", 3)
        ]


def test_an_entry_point_may_name_one_decorated_class(site: Site, discovering: Make) -> None:
    site.install("acme-marked", DECORATED, entry="acme_marked.plugin:Marked")
    orchestrator = discovering()
    assert type(orchestrator.src("marked")).__name__ == "Marked"
    with pytest.raises(NotRegistered):
        orchestrator.ctx("marked_context")


def test_classes_that_a_module_only_imported_are_not_its_own(site: Site, discovering: Make) -> None:
    site.install("acme-marked", DECORATED)
    site.install("borrower", "from acme_marked.plugin import Marked\n" + WORKING, modules=THINGS)
    orchestrator = discovering()
    rows = [row for row in orchestrator.explain("marked") if row.priority is not None]
    assert [row.distribution for row in rows] == ["acme-marked"]


def test_a_mark_does_not_pass_to_subclasses(site: Site, discovering: Make) -> None:
    site.install("acme-marked", DECORATED + "\nclass Heir(Marked):\n    pass\n")
    rows = discovering().explain("marked")
    assert [row.target for row in rows if row.priority is not None] == ["acme_marked.plugin:Marked"]


def test_a_class_belongs_to_the_plugin_whose_package_it_lives_in_whoever_imported_it(
    site: Site, discovering: Make
) -> None:
    site.install("acme-store", WORKING, modules=THINGS)
    orchestrator = discovering()
    sys.modules.pop("acme_store.things", None)
    from importlib import import_module

    thing = import_module("acme_store.things").Thing
    orchestrator.repository(name="early", priority=9)(thing)
    assert orchestrator.explain("early")[0].distribution == "acme-store"
    assert orchestrator.explain("thing")[0].distribution == "acme-store"


def test_a_decorated_class_of_a_plugin_that_failed_does_not_win(site: Site, discovering: Make) -> None:
    site.install("acme-store", "raise RuntimeError('no')", modules=THINGS)
    orchestrator = discovering()
    from importlib import import_module

    orchestrator.repository(name="hook", priority=9)(import_module("acme_store.things").Thing)
    assert type(orchestrator.src("hook")) is MemoryHook
    failed = orchestrator.explain("hook")[0]
    assert (failed.distribution, failed.priority) == ("acme-store", 9)
    assert failed.status.startswith("failed: ")


# -- calling implementations


def test_one_implementation_that_raises_does_not_keep_others_from_being_called(
    site: Site, discovering: Make, caplog: pytest.LogCaptureFixture
) -> None:
    answer = "\n@hookimpl\ndef jsorc_is_leader():\n    {}\n"
    site.install("a-first", WORKING + answer.format("return True"), modules=THINGS)
    site.install("b-second", WORKING + answer.format("raise RuntimeError('broken answer')"), modules=THINGS)
    site.install("c-third", WORKING + answer.format("raise SystemExit"), modules=THINGS)
    assert discovering().call_plugins("jsorc_is_leader") == [True]
    assert "broken answer" in caplog.text


def test_a_listener_of_the_application_is_called_and_outlives_a_scan(discovering: Make) -> None:
    class Listener:
        @hookimpl
        def jsorc_is_leader(self) -> bool:
            return False

    orchestrator = discovering()
    orchestrator.listen(Listener())
    assert orchestrator.call_plugins("jsorc_is_leader") == [False]
    orchestrator.discover(force=True)
    assert orchestrator.call_plugins("jsorc_is_leader") == [False]
