"""A distribution that is broken in whatever way hurts nobody but itself (row 25 of the faults)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.ecosystem.distributions import find_wheel, write_wheel
from tests.ecosystem.environments import Environment

WORKING = """
from jsorc import hookimpl

@hookimpl
def jsorc_register(register):
    register.context("broken", "jsorc:MemoryHook")
"""


@dataclass(frozen=True)
class Broken:
    """One way to be broken: what the plugin module does at import, and what its record must say."""

    plugin: str
    says: str
    entry_point: str = "broken.plugin"
    requires: list[str] = field(default_factory=list)


FAILING = {
    "raises": Broken("raise RuntimeError('no luck today')", says="no luck today"),
    "exits": Broken("raise SystemExit(3)", says="SystemExit"),
    "has a module that is not there": Broken(WORKING, says="absent", entry_point="broken.absent"),
    "has an attribute that is not there": Broken(WORKING, says="absent", entry_point="broken.plugin:absent"),
    "raises while registering": Broken(
        WORKING + "    raise RuntimeError('half-way')\n",
        says="half-way",
    ),
    "was built for the next major": Broken(
        "print('imported')\n" + WORKING, says="jsorc-core", requires=["jsorc-core>=1,<2"]
    ),
}
TOLERATED = {
    "prints": Broken("print('hello from a plugin')\n" + WORKING, says=""),
    "takes five seconds": Broken("import time\ntime.sleep(5)\n" + WORKING, says=""),
}


def install(broken: Broken, wheels: Path, environment: Environment, folder: Path) -> None:
    """Install core, a healthy plugin and the broken one."""
    wheel = write_wheel(
        folder,
        "broken",
        modules={"broken/__init__.py": "", "broken/plugin.py": broken.plugin},
        entry_point=broken.entry_point,
        requires=broken.requires,
    )
    environment.install(find_wheel(wheels, "jsorc-core"), find_wheel(wheels, "jsorc-redis"))
    environment.install(wheel, dependencies=False)


@pytest.mark.parametrize("broken", FAILING.values(), ids=FAILING.keys())
def test_a_plugin_that_fails_hurts_nobody_and_strict_mode_raises(
    broken: Broken, wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    install(broken, wheels, environment, tmp_path)
    assert environment.winner() == "RedisHook"

    plugins = environment.plugins()
    assert plugins["jsorc-redis"][0] == "loaded"
    state, error = plugins["broken"]
    assert state == "failed"
    assert broken.says in error

    quiet = environment.run('from jsorc import JsOrc\nJsOrc.src("hook")\nJsOrc.src("hook")')
    assert [line for line in quiet.stderr.splitlines() if "broken" in line], quiet.stderr
    assert "imported" not in quiet.stdout

    strict = environment.run('from jsorc import JsOrc\nJsOrc.src("hook")', JSORC_STRICT="1")
    assert strict.returncode == 1
    assert "PluginLoadError" in strict.stderr
    assert "broken" in strict.stderr


@pytest.mark.parametrize("broken", TOLERATED.values(), ids=TOLERATED.keys())
def test_a_plugin_with_bad_manners_is_loaded_and_hurts_nobody(
    broken: Broken, wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    install(broken, wheels, environment, tmp_path)
    assert environment.winner(JSORC_STRICT="1") == "RedisHook"
    assert environment.plugins()["broken"][0] == "loaded"


def test_a_slow_plugin_that_is_blocked_costs_no_time(
    wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    install(TOLERATED["takes five seconds"], wheels, environment, tmp_path)
    began = time.monotonic()
    assert environment.winner(JSORC_PLUGINS_BLOCK="broken") == "RedisHook"
    assert time.monotonic() - began < 5


def test_a_plugin_for_the_next_major_is_told_the_pip_line(
    wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    install(FAILING["was built for the next major"], wheels, environment, tmp_path)
    error = environment.plugins()["broken"][1]
    assert "pip install" in error
