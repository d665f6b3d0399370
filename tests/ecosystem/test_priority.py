"""Who wins a name follows from what is installed, and from nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.ecosystem.distributions import find_wheel, write_wheel
from tests.ecosystem.environments import Environment

QUESTION = 'from jsorc import JsOrc; print(type(JsOrc.src("hook")).__name__)'


def third_party(folder: Path, distribution: str, hook: str, priority: int) -> Path:
    """The wheel of somebody else's distribution with one hook of a priority."""
    package = distribution.replace("-", "_")
    plugin = f"""
from jsorc import hookimpl

@hookimpl
def jsorc_register(register):
    register.repository("hook", "{package}.hook:{hook}", priority={priority})
"""
    modules = {
        f"{package}/__init__.py": "",
        f"{package}/plugin.py": plugin,
        f"{package}/hook.py": f"from jsorc import MemoryHook\n\nclass {hook}(MemoryHook):\n    pass\n",
    }
    return write_wheel(folder, distribution, modules=modules, entry_point=f"{package}.plugin")


def test_core_alone_gives_the_memory_hook(wheels: Path, environment: Environment) -> None:
    environment.install(find_wheel(wheels, "jsorc-core"))
    assert environment.winner() == "MemoryHook"
    assert [(name, status) for name, _, status in environment.candidates()] == [("jsorc-core", "selected")]
    assert environment.plugins().keys() <= {"jsorc-core"}


def test_installing_redis_changes_the_winner_and_pip_uninstall_brings_core_back(
    wheels: Path, tmp_path: Path
) -> None:
    environment = Environment.create(tmp_path / "environment", pip=True)
    environment.install(find_wheel(wheels, "jsorc-core"), find_wheel(wheels, "jsorc-redis"))
    assert environment.run(QUESTION).stdout == "RedisHook\n"
    assert environment.candidates() == [("jsorc-redis", 1, "selected"), ("jsorc-core", 0, "outranked")]

    subprocess.run(
        [environment.python, "-m", "pip", "uninstall", "-y", "jsorc-redis"], check=True, capture_output=True
    )
    assert environment.run(QUESTION).stdout == "MemoryHook\n"


def test_the_losers_are_not_imported(wheels: Path, environment: Environment, tmp_path: Path) -> None:
    environment.install(
        find_wheel(wheels, "jsorc-core"),
        find_wheel(wheels, "jsorc-redis"),
        third_party(tmp_path, "acme-store", "AcmeHook", 5),
    )
    loaded = environment.ask('[JsOrc.src("hook") and None, sorted(__import__("sys").modules)][1]')
    assert "acme_store.hook" in loaded
    assert not {"redis", "jsorc_redis.hook", "jsorc_redis.service"} & set(loaded)


def test_a_higher_priority_of_a_third_party_wins_and_uninstalling_brings_the_next_back(
    wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    # The winner is installed first: the order of installation must not matter.
    environment.install(find_wheel(wheels, "jsorc-core"), third_party(tmp_path, "acme-store", "AcmeHook", 5))
    environment.install(find_wheel(wheels, "jsorc-redis"))
    assert environment.winner() == "AcmeHook"
    assert environment.candidates() == [
        ("acme-store", 5, "selected"),
        ("jsorc-redis", 1, "outranked"),
        ("jsorc-core", 0, "outranked"),
    ]

    environment.uninstall("acme-store")
    assert environment.winner() == "RedisHook"
    environment.uninstall("jsorc-redis")
    assert environment.winner() == "MemoryHook"


def test_a_tie_goes_to_the_first_name_and_is_said_aloud(
    wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    environment.install(
        find_wheel(wheels, "jsorc-core"),
        third_party(tmp_path, "zebra-store", "ZebraHook", 7),
        third_party(tmp_path, "acme-store", "AcmeHook", 7),
    )
    asked = environment.run(QUESTION)
    assert asked.stdout == "AcmeHook\n"
    (warning,) = [line for line in asked.stderr.splitlines() if "acme-store" in line]
    assert "zebra-store" in warning
    assert environment.candidates() == [
        ("acme-store", 7, "selected"),
        ("zebra-store", 7, "tied"),
        ("jsorc-core", 0, "outranked"),
    ]

    environment.uninstall("acme-store")
    assert environment.winner() == "ZebraHook"


def test_a_pin_wins_over_priority(wheels: Path, environment: Environment) -> None:
    environment.install(find_wheel(wheels, "jsorc-core"), find_wheel(wheels, "jsorc-redis"))
    assert environment.winner(JSORC_CONFIG__USE__HOOK="jsorc-core") == "MemoryHook"


def test_a_pin_to_what_is_not_installed_raises_and_names_it(wheels: Path, environment: Environment) -> None:
    environment.install(find_wheel(wheels, "jsorc-core"))
    asked = environment.run(QUESTION, JSORC_CONFIG__USE__HOOK="jsorc-redis")
    assert asked.returncode == 1
    assert "jsorc-redis" in asked.stderr.splitlines()[-1]


def test_a_blocked_distribution_is_not_imported(
    wheels: Path, environment: Environment, tmp_path: Path
) -> None:
    environment.install(find_wheel(wheels, "jsorc-core"), third_party(tmp_path, "acme-store", "AcmeHook", 5))
    blocked = {"JSORC_PLUGINS_BLOCK": "acme-store"}
    assert environment.winner(**blocked) == "MemoryHook"
    assert environment.plugins(**blocked)["acme-store"][0] == "blocked"
    loaded = environment.ask('[JsOrc.src("hook") and None, sorted(__import__("sys").modules)][1]', **blocked)
    assert "acme_store" not in loaded
