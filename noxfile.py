"""What one can do with this repository, one nox session each; `nox -l` lists them.

Only the commands live here; what they check is in the tests and in pyproject.toml. The distributions are the
folders `jsorc-*` that have a pyproject.toml, so that a new one joins by itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
WORKSPACE = nox.project.load_toml(ROOT / "pyproject.toml")
UNIT_AND_CONTRACT = [
    "tests/core",
    "tests/redis",
    "tests/seed",
    "tests/serv",
    "tests/task/test_bad_input.py",
    "tests/task/test_running_tasks.py",
    "tests/task/test_schedules.py",
    "tests/task/test_sequences.py",
    "tests/task/test_service_contract.py",
]
LONGEST = ["tests/serv_http", "tests/task", "tests/docs", "tests/serv", "tests/cli"]
"""The folders that come first, so that no worker begins a long file when the other one has nothing left."""
APART = ["tests/ecosystem", "tests/faults"]
"""The folders of other sessions."""
DISTRIBUTIONS = sorted(path.parent for path in ROOT.glob("jsorc-*/pyproject.toml"))

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", f"tests-{PYTHONS[0]}"]

# The tests start hundreds of processes that import the same packages. Where the environment forbids to keep
# what was compiled, each of them compiles it all again, which is half of what the tests cost.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _show_every_python() -> None:
    """Let the shims of pyenv answer for each Python it has, not only for the one chosen in this folder."""
    pyenv = shutil.which("pyenv")
    if pyenv is None or "PYENV_VERSION" in os.environ:
        return
    listed = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False)
    wanted = [
        version
        for python in PYTHONS
        for version in listed.stdout.split()
        if version.startswith(f"{python}.") and version.replace(".", "").isdigit()
    ]
    if wanted:
        os.environ["PYENV_VERSION"] = ":".join(wanted)


_show_every_python()


def _install(session: nox.Session, *groups: str) -> None:
    """Install every distribution, editable and with its extras, and the tools of the named groups."""
    arguments = ["--constraint", str(ROOT / "constraints.txt")]
    for folder in DISTRIBUTIONS:
        extras = nox.project.load_toml(folder / "pyproject.toml")["project"].get("optional-dependencies", {})
        arguments += ["--editable", f"{folder}[{','.join(extras)}]" if extras else str(folder)]
    for group in groups:
        arguments += nox.project.dependency_groups(WORKSPACE, group)
    session.install(*arguments)


def _install_tools(session: nox.Session, *groups: str) -> None:
    """Install the tools of the named groups alone."""
    wanted = [name for group in groups for name in nox.project.dependency_groups(WORKSPACE, group)]
    session.install("--constraint", str(ROOT / "constraints.txt"), *wanted)


@nox.session(python=PYTHONS[0])
def demo(session: nox.Session) -> None:
    """Show the whole idea in fresh environments: install, win, store, stop and find it again."""
    _install_tools(session, "tools")
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; on the later Pythons unit and contract tests alone (arguments after -- go to pytest)."""
    _install(session, "test")
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/*/test_*.py")}
    everything = [*LONGEST, *sorted(folders.difference(LONGEST, APART))]
    chosen = session.posargs or (everything if session.python == PYTHONS[0] else UNIT_AND_CONTRACT)
    session.run("pytest", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", *chosen)


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style, format and the direction of imports (ruff, import-linter)."""
    _install_tools(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = os.pathsep.join(str(folder / "src") for folder in DISTRIBUTIONS)
    session.run("lint-imports", env={"PYTHONPATH": sources})


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Check the types of every distribution and of the typing tests (mypy, strict)."""
    _install(session, "types")
    sources = [str(folder / "src") for folder in DISTRIBUTIONS]
    session.run("mypy", *sources, *(str(path) for path in [ROOT / "tests" / "typing"] if path.is_dir()))


@nox.session(python=PYTHONS[0])
def ecosystem(session: nox.Session) -> None:
    """Build the wheels, install them into fresh environments and check who wins."""
    _install_tools(session, "test", "tools")
    session.run("pytest", "-n", "2", *(session.posargs or ["tests/ecosystem"]))


@nox.session(python=PYTHONS[0])
def faults(session: nox.Session) -> None:
    """Make real faults happen and check what survives (`-- --count 10` repeats each test ten times)."""
    _install(session, "test")
    chosen = ["tests/faults", *session.posargs]
    fine = [0, 5] if session.posargs else [0]  # what is chosen may all be of the other kind
    session.run("pytest", "-n", "2", "--dist", "worksteal", "-m", "not alone", *chosen, success_codes=fine)
    # Those that allow a second or less for what must happen have the machine to themselves.
    session.run("pytest", "-m", "alone", *chosen, success_codes=fine)


@nox.session(python=PYTHONS[0])
def bench(session: nox.Session) -> None:
    """Print what is promised about speed and what was measured, as one table of ratios."""
    _install(session, "test", "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)
