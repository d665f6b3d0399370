"""Fixtures for the tests of the command: a working folder with an application, and the command in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Command
from tests.installed import Site

SHOP = """
    import sys
    from pathlib import Path

    from jsorc import CommonService, JsOrc

    @JsOrc.service("lamp", config="LAMP_CONFIG")
    class Lamp(CommonService):
        secret_keys = ("pin",)
        def run(self):
            self.app = self.config
        def post_run(self):
            self.spawn_process(child=[sys.executable, "-c", "import time; time.sleep(600)"])

    @JsOrc.service("door", config="DOOR_CONFIG")
    class Door(CommonService):
        def run(self):
            if not Path("key").exists():
                raise ConnectionError("[red]no key[/red]")
            self.app = self

    JsOrc.configure(
        LAMP_CONFIG={"automated": True, "watts": 5, "colour": {"name": "white"}},
        DOOR_CONFIG={"automated": True},
    )
"""


@pytest.fixture
def jsorc_command() -> Iterator[Command]:
    """The command in a folder with `shop.py`: its `lamp` runs, its `door` once there is a file `key`."""
    folder = Path(tempfile.mkdtemp(prefix="jsorc-"))
    made = Command(folder)
    made.write("shop.py", SHOP)
    yield made
    shutil.rmtree(folder)


@pytest.fixture
def site(tmp_path: Path, jsorc_command: Command) -> Site:
    """Distributions that are installed for the command."""
    folder = tmp_path / "site"
    folder.mkdir()
    jsorc_command.path.append(folder)
    return Site(folder)
