"""Row 26, for the database of the OrmHook: the password is seeded, and sought in everything that is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serv.postgres import PostgresServer
from tests.serv.processes import Script

SECRET = "sEEded+pass/word"
QUOTED = "sEEded%2Bpass%2Fword"
SHOW = """
import json, logging, sys, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from jsorc import JsOrc
JsOrc.configure(DB_REGEN_CONFIG={"enabled": True})

def attempt(work):
    try:
        work()
        return True
    except BaseException as error:
        traceback.print_exc()
        logging.getLogger("jsorc.serv").exception("it failed: %s", error)
        logging.getLogger("application").exception("it failed: %r", error)
        print(repr(error), error, error.args, [repr(vars(e)) for e in chain(error)])
        return False

def chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

def write():
    with JsOrc.src("hook") as hook:
        hook.save_obj("a", 1)
        hook.save_glob("a", 1)

def read():
    JsOrc.src("hook").get_obj("a")

def list_all():
    JsOrc.src("hook").list_objs()

worked = [attempt(write), attempt(read), attempt(list_all)]
from jsorc_serv.plugin import jsorc_database_ready
attempt(lambda: jsorc_database_ready(JsOrc.orchestrator))
print(JsOrc.info(), JsOrc.explain("hook"), JsOrc.plugins())
print({name: str(origin) for name, origin in JsOrc.settings.explain("SERV_CONFIG").items()})
print(JsOrc.settings.explain("SERV_CONFIG"), JsOrc.src("hook"), repr(JsOrc.src("hook")._store))
from jsorc_serv.config import read_config
print(read_config(JsOrc.settings).database.password is None, "host" in repr(read_config(JsOrc.settings)))
print(json.dumps(worked))
"""
COPY = """
import typer
from jsorc_serv.commands import add_commands
app = typer.Typer()
app.callback()(lambda: None)
add_commands(app)
app(["copy", "--from", "jsorc-serv", "--to", "jsorc-core"])
"""


def _variables(server: PostgresServer, how: str, password: str) -> dict[str, str]:
    if how == "url":
        return {"DATABASE_URL": f"postgresql://jsorc:{password}@{server.host}:{server.port}/jsorc"}
    return {
        "POSTGRES_HOST": server.host,
        "POSTGRES_PORT": str(server.port),
        "POSTGRES_USER": "jsorc",
        "POSTGRES_PASSWORD": SECRET,
        "DBNAME": "jsorc",
    }


@pytest.mark.parametrize("how", ["url", "pieces"])
@pytest.mark.parametrize("fault", ["none", "refused", "down"])
def test_the_password_is_nowhere(
    how: str,
    fault: str,
    tmp_path: Path,
    make_postgres: Callable[..., PostgresServer],
) -> None:
    server = make_postgres(password="another" if fault == "refused" else SECRET, started=fault != "down")
    variables = _variables(server, how, QUOTED)
    shown = Script(SHOW, tmp_path, **variables).finish()
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout.splitlines()[-1]) == [fault == "none"] * 3
    copied = Script(COPY, tmp_path, **variables).finish()
    assert copied.returncode == (0 if fault == "none" else 1)
    for text in (shown.stdout, shown.stderr, copied.stdout, copied.stderr):
        assert SECRET not in text
        assert QUOTED not in text


@pytest.mark.parametrize("url", [f"postgresql://jsorc:{SECRET}@h:port/d", f"mysql://u:{QUOTED}@h/d"])
def test_a_url_that_cannot_be_read_is_not_shown(url: str, tmp_path: Path) -> None:
    shown = Script(SHOW, tmp_path, DATABASE_URL=url).finish()
    for text in (shown.stdout, shown.stderr):
        assert SECRET not in text
        assert QUOTED not in text
