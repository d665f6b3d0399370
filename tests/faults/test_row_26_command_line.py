"""Row 26, the command line: a secret in every setting appears in nothing that `jsorc` writes.

The secrets stand in the file, in `configure`, in the environment and in what a service says and raises; the
commands are real processes, and what they log at `debug` counts too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Command

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no Unix sockets")

SECRET = "s3cr3t-Zebra"
"""Each secret is this and a number; what appears of any of them is found by it."""

FILE = f"""
[VAULT_CONFIG]
api_key = "{SECRET}-1"
url = "https://user:{SECRET}-2@vault.example/path"
[VAULT_CONFIG.client]
token = "{SECRET}-3"
headers = {{ Authorization = "Bearer {SECRET}-4" }}
[REDIS_CONFIG]
password = "{SECRET}-5"
[DB_REGEN_MANIFEST]
password = "{SECRET}-6"
"""

APPLICATION = f"""
    import logging, os
    from jsorc import CommonService, JsOrc

    @JsOrc.service("vault", config="VAULT_CONFIG", manifest="VAULT_MANIFEST")
    class Vault(CommonService):
        secret_keys = ("door",)
        def run(self):
            everything = repr(self.config) + repr(self.manifest)
            self.log.warning("connecting with %s", everything)
            raise ConnectionError(f"refused: {{everything}}")
        def details(self):
            return {{"seen": repr(self.config)}}

    @JsOrc.service("safe", config="SAFE_CONFIG")
    class Safe(CommonService):
        def run(self):
            self.app = self
        def details(self):
            return {{"password": self.config["password"], "seen": repr(self.config)}}

    JsOrc.configure(
        VAULT_CONFIG={{"automated": True, "door": "{SECRET}-7", "pass": "{SECRET}-8"}},
        VAULT_MANIFEST={{"env": [{{"secret": "{SECRET}-9"}}]}},
        SAFE_CONFIG={{"automated": True, "password": "{SECRET}-10"}},
    )
"""

ENVIRONMENT = {
    "JSORC_VAULT_CONFIG__CLIENT__PASSWORD": f"{SECRET}-11",
    "JSORC_SAFE_CONFIG": json.dumps({"credentials": {"user": f"{SECRET}-12"}}),
    "REDIS_PASSWORD": f"{SECRET}-13",
    "JSORC_PLUGINS_ALLOW": "jsorc-redis",
    # A hook in memory, so that no Redis is needed.
    "JSORC_CONFIG__USE__HOOK": "jsorc-core",
}

COMMANDS = [
    "plugins",
    "why hook",
    "why vault --app shop",
    "config get vault --app shop",
    "config get vault client.password --app shop",
    "config get vault client.headers.Authorization --app shop",
    "config get safe --app shop",
    "config get redis",
    "config get vault nothing --app shop",
    "config explain vault --app shop",
    "config explain VAULT_CONFIG",
    "config explain VAULT_MANIFEST --app shop",
    "config explain safe --app shop",
    "config explain REDIS_CONFIG",
    "config explain DB_REGEN_MANIFEST",
    "config explain JSORC_CONFIG",
    "config set vault retries=3 --app shop",
    f"config set safe token={SECRET}-14 --app shop",
    f"config set safe address=https://user:{SECRET}-15@safe.example --app shop",
    "config unset vault --app shop",
    "services",
    "info",
    "regenerate",
    "wait safe",
    "wait vault --timeout 0",
]
TABLES = {
    "config get vault --app shop",
    "config explain vault --app shop",
    "config set vault retries=3 --app shop",
    "services",
    "info",
    "regenerate",
}
"""Those of them that are asked for people's form too."""


@pytest.fixture
def jsorc_command() -> Iterator[Command]:
    folder = Path(tempfile.mkdtemp(prefix="jsorc-"))
    made = Command(folder, **ENVIRONMENT)
    made.write("jsorc.toml", FILE)
    made.write("shop.py", APPLICATION)
    yield made
    shutil.rmtree(folder)


def shown_secrets(text: str) -> list[str]:
    return [line for line in text.splitlines() if SECRET in line]


@pytest.mark.timeout(240)
def test_no_secret_appears_in_what_the_command_writes(jsorc_command: Command) -> None:
    with jsorc_command.begin("--log-level", "debug", "run", "shop", "--json") as application:
        application.await_line('{"schema"')
        for command in COMMANDS:
            for end in ([], ["--json"]) if command in TABLES else (["--json"],):
                done = jsorc_command("--log-level", "debug", *command.split(), *end)
                assert done.status in (0, 1), f"{command}: {done}"
                assert shown_secrets(done.stdout + done.stderr) == [], command
                assert "Traceback" not in done.stdout
                if end:
                    assert done.json["schema"] == 1
        services = jsorc_command("services", "--json").json["services"]
        assert services["safe"]["details"]["password"] == "********"
        assert "********" in services["vault"]["error"]
        application.signal(signal.SIGTERM)
        assert application.await_end(25) == 143
        assert "connecting with" in application.text
        assert shown_secrets(application.text) == []


def test_no_secret_appears_in_the_error_of_a_module_that_cannot_be_imported(jsorc_command: Command) -> None:
    source = (jsorc_command.folder / "shop.py").read_text()
    jsorc_command.write("shop.py", source + "\nraise ValueError(repr(JsOrc.svc_config('vault')))\n")
    for arguments in (["run", "shop"], ["--log-level", "debug", "run", "shop", "--json"]):
        done = jsorc_command(*arguments)
        assert done.status == 1
        assert "ValueError" in done.stderr
        assert shown_secrets(done.stdout + done.stderr) == []


def test_no_secret_appears_where_the_class_that_names_it_cannot_be_imported(jsorc_command: Command) -> None:
    jsorc_command.write(
        "late.py",
        "from jsorc import JsOrc, hookimpl\n"
        "class Brings:\n"
        "    @hookimpl\n"
        "    def jsorc_register(self, register):\n"
        "        register.service('vault', 'nowhere.at_all:Vault', config='VAULT_CONFIG')\n"
        f"JsOrc.configure(VAULT_CONFIG={{'door': '{SECRET}-16'}})\n"
        "JsOrc.listen(Brings())\n",
    )
    for arguments in ("config get vault", "config explain VAULT_CONFIG", "config explain vault"):
        done = jsorc_command(*arguments.split(), "--app", "late")
        assert shown_secrets(done.stdout + done.stderr) == [], arguments
