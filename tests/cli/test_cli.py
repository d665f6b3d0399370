"""The `jsorc` command as a person and a script meet it: what it says, where, and with which exit status."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import Any

import pytest
from typer.testing import CliRunner

from jsorc.cli.app import app
from tests.applications import Application
from tests.command import Command
from tests.installed import Site
from tests.servers import RedisServer

posix_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no Unix sockets")

COMMANDS = [
    ["plugins"],
    ["why"],
    ["services"],
    ["info"],
    ["run"],
    ["regenerate"],
    ["wait"],
    ["config", "get"],
    ["config", "set"],
    ["config", "unset"],
    ["config", "explain"],
]

NO_PROCESS = "no started process of this user listens at"


def started(command: Command, **environ: str) -> tuple[Application, dict[str, Any]]:
    """The shop as it runs, once it is started, and what it said then."""
    application = command.begin("run", "shop", "--json", **environ)
    return application, json.loads('{"schema"' + application.await_line('{"schema"'))


def read_to_the_end(terminal: int) -> bytes:
    """What is written to a terminal until nobody has its other end any more, which Linux calls an error."""
    shown = b""
    with suppress(OSError):
        while part := os.read(terminal, 65536):
            shown += part
    return shown


# -- every command


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example_the_exit_status_and_json(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"]).output
    assert f"$ jsorc {' '.join(command)}" in shown
    assert "Exit status: " in shown
    assert "--json" in shown


def test_help_of_the_whole_lists_the_commands_and_exit_statuses() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert {name for name, *_ in COMMANDS} <= set(shown.split())
    assert "0 done, 1 found or failed, 2 usage, 75 the database became ready" in " ".join(shown.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["why"],
        ["run"],
        ["wait"],
        ["wait", "lamp", "--timeout", "soon"],
        ["wait", "lamp", "--timeout", "-1"],
        ["why", "hook", "--kind", "plugin"],
        ["config", "set", "lamp"],
        ["config", "set", "lamp", "watts"],
        ["config", "set", "lamp", ".watts=1"],
        ["config", "nonsense"],
        ["services", "--namespace", "../other"],
        ["--log-level", "loud", "plugins"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_status_2_and_says_how_it_is_used(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "Usage: jsorc" in done.stderr
    assert "Error: " in done.stderr


def test_without_its_extra_it_prints_the_pip_line(jsorc_command: Command) -> None:
    code = "import sys; sys.modules['typer'] = None; from jsorc.cli import main; sys.exit(main())"
    done = jsorc_command("plugins", code=code)
    assert done.status == 2
    assert done.stdout == ""
    assert done.stderr == 'the jsorc command needs typer: pip install "jsorc-core[cli]"\n'


def test_the_shell_completes_commands_and_names(jsorc_command: Command) -> None:
    def completed(words: str) -> list[str]:
        asked = {"_JSORC_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "1"}
        return jsorc_command(**{**asked, "COMP_CWORD": str(words.count(" "))}).stdout.split()

    assert completed("jsorc wh") == ["why"]
    assert completed("jsorc why h") == ["hook"]
    assert "_jsorc_completion" in jsorc_command("--show-completion", "bash").stdout


def test_the_version_is_that_of_the_distribution(jsorc_command: Command) -> None:
    assert jsorc_command("--version").stdout.startswith("jsorc-core ")


# -- what is installed


def test_plugins_lists_what_is_installed_and_finds_what_failed(jsorc_command: Command, site: Site) -> None:
    site.install("good-one", ADDS)
    site.install("bad-one", "1 / 0\n")
    done = jsorc_command("plugins", "--json", JSORC_PLUGINS_ALLOW="good-one,bad-one")
    assert done.status == 1
    assert done.json["schema"] == 1
    states = {plugin["distribution"]: plugin["state"] for plugin in done.json["plugins"]}
    assert states["good-one"] == "loaded"
    assert states["bad-one"] == "failed"
    table = jsorc_command("plugins", JSORC_PLUGINS_ALLOW="good-one")
    assert table.status == 0
    assert "bad-one" in table.stdout


def test_strict_mode_is_one_line_too(jsorc_command: Command, site: Site) -> None:
    site.install("bad-one", "1 / 0\n")
    done = jsorc_command("plugins", JSORC_PLUGINS_ALLOW="bad-one", JSORC_STRICT="1")
    assert done.status == 1
    assert done.stderr.startswith("jsorc: plugin 'bad_one' of bad-one did not load")
    assert done.stderr.count("\n") == 1


def test_why_lists_the_candidates_in_order(jsorc_command: Command) -> None:
    done = jsorc_command("why", "hook", "--json")
    assert done.status == 0
    first = done.json["candidates"][0]
    assert (first["distribution"], first["status"]) == ("jsorc-core", "selected")
    assert "jsorc.unit_of_work:MemoryHook" in jsorc_command("why", "hook").stdout


def test_why_knows_what_an_application_registers(jsorc_command: Command) -> None:
    done = jsorc_command("why", "lamp", "--app", "shop", "--kind", "service")
    assert done.status == 0
    assert "shop:Lamp" in done.stdout


def test_an_unknown_name_is_one_line_and_an_object(jsorc_command: Command) -> None:
    done = jsorc_command("why", "hok", "--json")
    assert done.status == 1
    assert done.stderr.startswith("jsorc: no name 'hok' is registered")
    assert done.stderr.count("\n") == 1
    assert done.json["schema"] == 1
    assert done.json["error"]["type"] == "NotRegistered"


# -- what plugins add

ADDS = """
    from jsorc import JsOrcError, hookimpl

    @hookimpl
    def jsorc_cli(app):
        @app.command()
        def greet(fail: bool = False):
            if fail:
                raise JsOrcError("nobody to greet")
            print("hello")

        @app.command()
        def plugins():
            print("not the real one")
"""


def test_a_plugin_adds_a_command_and_takes_none_away(jsorc_command: Command, site: Site) -> None:
    site.install("greeter", ADDS)
    jsorc_command.environ["JSORC_PLUGINS_ALLOW"] = "greeter"
    assert jsorc_command("greet").stdout == "hello\n"
    assert "greeter" in jsorc_command("plugins").stdout
    shown = jsorc_command("--help")
    assert "greet" in shown.stdout
    assert "a plugin adds the command plugins, which is JsOrc's own" in shown.stderr


def test_an_error_of_a_plugins_command_is_one_line_too(jsorc_command: Command, site: Site) -> None:
    site.install("greeter", ADDS)
    done = jsorc_command("greet", "--fail", JSORC_PLUGINS_ALLOW="greeter")
    assert (done.status, done.stdout, done.stderr) == (1, "", "jsorc: nobody to greet\n")


def test_a_plugin_whose_commands_fail_hurts_no_other(jsorc_command: Command, site: Site) -> None:
    site.install("greeter", ADDS)
    site.install("worse", "from jsorc import hookimpl\n@hookimpl\ndef jsorc_cli(app): 1 / 0\n")
    jsorc_command.environ["JSORC_PLUGINS_ALLOW"] = "greeter,worse"
    assert jsorc_command("greet").stdout == "hello\n"
    done = jsorc_command("why", "hook")
    assert (done.status, done.stderr) == (0, "")


# -- running an application


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_in_good_order_on_a_signal(jsorc_command: Command, number: signal.Signals) -> None:
    application, said = started(jsorc_command)
    with application:
        assert said["ready"] is False
        assert said["waiting"] == ["door"]
        assert said["services"]["lamp"]["state"] == "RUNNING"
        assert said["pid"] == application.process.pid
        assert application.survivors(), "the lamp has a child process"
        application.signal(number)
        assert application.await_end(25) == 128 + number
        assert application.survivors() == []
        assert "Traceback" not in application.text


@posix_only
def test_run_logs_each_change_where_there_is_no_terminal(jsorc_command: Command) -> None:
    with jsorc_command.begin("run", "shop") as application:
        while "door: STARTED -> FAILED" not in application.text:
            application.await_line("")
        while "lamp: STARTED -> RUNNING" not in application.text:
            application.await_line("")
        application.signal(signal.SIGTERM)
        application.await_end(25)
        assert "\x1b" not in application.text


@posix_only
def test_run_shows_a_live_table_on_a_terminal(jsorc_command: Command) -> None:
    import pty
    import subprocess
    import sys

    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JSORC_")}
    environ |= {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; from jsorc.cli import main; sys.exit(main(['run', 'shop']))"],
        cwd=jsorc_command.folder,
        env={**environ, **jsorc_command.environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while not (b"RUNNING" in shown and b"[red]no key[/red]" in shown):
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        shown += read_to_the_end(ours)
        assert process.wait(25) == 130
    os.close(ours)
    assert all(heading in shown for heading in (b"STATE", b"SINCE", b"NEXT ATTEMPT", b"LAST ERROR"))
    assert b"Traceback" not in shown


@posix_only
def test_run_ends_with_75_when_the_database_became_ready(jsorc_command: Command) -> None:
    jsorc_command.write(
        "late.py",
        """
        from jsorc import JsOrc, hookimpl

        class Database:
            asked = 0
            @hookimpl
            def jsorc_database_ready(self):
                self.asked += 1
                return self.asked > 2

        JsOrc.listen(Database())
        JsOrc.configure(DB_REGEN_CONFIG={"enabled": True})
        """,
    )
    done = jsorc_command("run", "late")
    assert done.status == 75
    assert "Traceback" not in done.stderr


@posix_only
def test_run_heeds_signals_where_the_module_has_started_itself(jsorc_command: Command) -> None:
    source = (jsorc_command.folder / "shop.py").read_text() + "\nJsOrc.start()\n"
    jsorc_command.write("shop.py", source)
    application, said = started(jsorc_command)
    with application:
        assert said["services"]["lamp"]["state"] == "RUNNING"
        application.signal(signal.SIGTERM)
        assert application.await_end(25) == 143
        assert application.survivors() == []


@posix_only
def test_an_application_that_sets_up_logging_keeps_its_own(jsorc_command: Command) -> None:
    source = "import logging\nlogging.basicConfig(level='INFO', format='MINE %(message)s')\n"
    jsorc_command.write("shop.py", source + (jsorc_command.folder / "shop.py").read_text())
    with jsorc_command.begin("run", "shop") as application:
        application.await_line("MINE lamp: STARTED -> RUNNING")
        application.signal(signal.SIGTERM)
        application.await_end(25)
        assert all(line.startswith("MINE ") for line in application.output)


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("nothing", "", "there is no module 'nothing', neither in "),
        ("package.nothing", "", "there is no module 'package', neither in "),
        ("mine.py", "", "'mine.py' is a file; name the module, as `import` does: mine"),
        (
            "mine",
            "import nothing",
            "mine could not be imported: ModuleNotFoundError: No module named 'no",
        ),
        ("mine", "x = 1\n1 / 0", "mine.py, line 2)"),
        ("mine", "def (", "mine could not be imported: SyntaxError: invalid syntax (mine.py, line 1)"),
        ("mine", "from jsorc import JsOrc\n@JsOrc.service('x')\nclass X: pass", "CommonService"),
        ("mine", "from jsorc import JsOrc\nJsOrc.configure(JSORC_CONFIG={'contrl': 1})", "contrl"),
    ],
)
def test_a_mistake_in_the_module_is_one_line(
    jsorc_command: Command, module: str, source: str, said: str
) -> None:
    jsorc_command.write("mine.py", source)
    done = jsorc_command("run", module)
    assert done.status == 1
    assert done.stdout == ""
    assert done.stderr.startswith("jsorc: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


# -- speaking to the started process


@posix_only
@pytest.mark.parametrize(
    "arguments", [["services"], ["info"], ["regenerate"], ["wait", "lamp", "--timeout", "0"]], ids=" ".join
)
def test_where_nothing_is_started_it_says_so(jsorc_command: Command, arguments: list[str]) -> None:
    done = jsorc_command(*arguments, "--json")
    assert done.status == 1
    assert done.stderr.startswith(f"jsorc: {NO_PROCESS}")
    assert "jsorc run MODULE" in done.stderr
    assert done.json["schema"] == 1
    assert done.json["error"]["message"].startswith(NO_PROCESS)


@posix_only
def test_services_and_info_show_what_the_started_process_says(jsorc_command: Command) -> None:
    application, said = started(jsorc_command)
    with application:
        services = jsorc_command("services", "--json").json
        assert services["pid"] == said["pid"]
        assert services["services"]["door"]["error"] == "ConnectionError: [red]no key[/red]"
        table = jsorc_command("services")
        assert table.status == 0
        assert "[red]no key[/red]" in table.stdout
        info = jsorc_command("info", "--json").json
        assert (info["schema"], info["pid"], info["started"]) == (1, said["pid"], True)
        assert f"process {said['pid']}, namespace default" in jsorc_command("info").stdout


@posix_only
def test_regenerate_brings_up_what_does_not_run(jsorc_command: Command) -> None:
    application, _ = started(jsorc_command)
    with application:
        failed = jsorc_command("regenerate", "--json")
        assert failed.status == 1
        (jsorc_command.folder / "key").touch()
        while True:  # its own retry may be under way
            done = jsorc_command("regenerate", "--json")
            if done.json["done"]:
                break
        assert done.status == 0
        assert done.json == {"schema": 1, "done": True, "failed": {}}
        assert jsorc_command("services", "--json").json["services"]["door"]["state"] == "RUNNING"


@posix_only
def test_wait_returns_when_all_run_and_fails_when_they_do_not_in_time(jsorc_command: Command) -> None:
    application, _ = started(jsorc_command)
    with application:
        done = jsorc_command("wait", "lamp", "--json")
        assert (done.status, done.json["ok"], list(done.json["services"])) == (0, True, ["lamp"])
        late = jsorc_command("wait", "lamp", "door", "--timeout", "0.3", "--json")
        assert (late.status, late.json["ok"]) == (1, False)
        assert late.json["services"]["door"]["state"] != "RUNNING"


@posix_only
def test_wait_waits_for_the_process_too(jsorc_command: Command) -> None:
    with jsorc_command.begin("wait", "lamp", "--json") as waiting:
        waiting.await_line(f"WARNING jsorc.cli: {NO_PROCESS}")
        application, _ = started(jsorc_command)
        with application:
            assert waiting.await_end(25) == 0


@posix_only
def test_wait_does_not_wait_for_a_service_that_there_is_not(jsorc_command: Command) -> None:
    application, said = started(jsorc_command)
    with application:
        done = jsorc_command("wait", "lmp", "--timeout", "30")
        assert done.status == 1
        assert done.stderr == f"jsorc: process {said['pid']} has no service named 'lmp'; it has door, lamp\n"


@posix_only
def test_a_namespace_is_its_own(jsorc_command: Command) -> None:
    application, _ = started(jsorc_command, JSORC_CONFIG__NAMESPACE="west")
    with application:
        assert jsorc_command("services").status == 1
        assert jsorc_command("services", "--namespace", "west").status == 0
        assert jsorc_command("services", JSORC_CONFIG__NAMESPACE="west").status == 0


# -- settings


def test_config_get_shows_a_config_or_a_key_of_it(jsorc_command: Command) -> None:
    whole = jsorc_command("config", "get", "lamp", "--app", "shop", "--json", JSORC_LAMP_CONFIG__WATTS="8")
    assert whole.status == 0
    assert whole.json["value"]["watts"] == 8
    assert jsorc_command("config", "get", "lamp", "colour.name", "--app", "shop").stdout == "white\n"
    missing = jsorc_command("config", "get", "lamp", "colour.hue", "--app", "shop")
    assert missing.status == 1
    assert "has no 'hue' where colour.hue asks for it; there are name" in missing.stderr


@pytest.mark.parametrize("name", ["lamp", "LAMP_CONFIG"])
def test_config_explain_shows_where_each_value_comes_from(jsorc_command: Command, name: str) -> None:
    done = jsorc_command("config", "explain", name, "--app", "shop", "--json", JSORC_LAMP_CONFIG__WATTS="8")
    assert done.status == 0
    assert done.json["setting"] == "LAMP_CONFIG"
    rows = {row["path"]: row for row in done.json["origins"]}
    assert rows["watts"] == {
        "path": "watts",
        "value": 8,
        "layer": "environment",
        "source": "JSORC_LAMP_CONFIG__WATTS",
    }
    assert rows["colour.name"]["layer"] == "application"


def test_what_a_service_calls_secret_is_masked_however_short(jsorc_command: Command) -> None:
    for arguments in ("get lamp", "get lamp pin", "explain lamp", "explain LAMP_CONFIG"):
        done = jsorc_command("config", *arguments.split(), "--app", "shop", JSORC_LAMP_CONFIG__PIN="97")
        assert done.status == 0
        assert "********" in done.stdout
        assert "97" not in done.stdout


def test_a_setting_nobody_knows_is_one_line(jsorc_command: Command) -> None:
    done = jsorc_command("config", "explain", "LAMP_CONFG", "--app", "shop")
    assert done.status == 1
    assert "LAMP_CONFIG" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_change_that_would_end_with_the_command_is_a_failure(jsorc_command: Command) -> None:
    done = jsorc_command("config", "set", "lamp", "watts=9", "--app", "shop", "--json")
    assert done.status == 1
    assert done.json == {"schema": 1, "service": "lamp", "revision": 1, "persisted": False}
    assert "the hook keeps objects in memory" in done.stderr


def test_a_secret_is_not_stored(jsorc_command: Command) -> None:
    done = jsorc_command("config", "set", "lamp", "password=hunter2-given", "--app", "shop")
    assert done.status == 1
    assert "LAMP_CONFIG.password is a secret" in done.stderr
    assert "hunter2-given" not in done.stderr


def test_a_change_is_stored_shown_and_taken_back(jsorc_command: Command, redis_server: RedisServer) -> None:
    jsorc_command.environ |= {
        "JSORC_PLUGINS_ALLOW": "jsorc-redis",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_server.port),
    }
    assignments = ["watts=9", "colour.name=red", 'colour.code="12"']
    done = jsorc_command("config", "set", "lamp", *assignments, "--app", "shop", "--json")
    assert done.status == 0, done
    assert done.json == {"schema": 1, "service": "lamp", "revision": 1, "persisted": True}
    shown = jsorc_command("config", "get", "lamp", "--app", "shop", "--json").json["value"]
    assert (shown["watts"], shown["colour"]) == (9, {"name": "red", "code": "12"})
    taken_back = jsorc_command("config", "unset", "lamp", "--app", "shop")
    assert taken_back.status == 0
    assert "stored as revision 2" in taken_back.stdout
    assert jsorc_command("config", "get", "lamp", "watts", "--app", "shop").stdout == "5\n"


def test_a_file_that_cannot_be_read_is_one_line(jsorc_command: Command) -> None:
    (jsorc_command.folder / "jsorc.toml").write_text("[LAMP_CONFIG\n")
    done = jsorc_command("config", "get", "lamp", "--app", "shop")
    assert done.status == 1
    assert "jsorc.toml" in done.stderr
    assert done.stderr.count("\n") == 1
