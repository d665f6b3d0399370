"""Beat on the schedules of the database, as processes: sent by one of several, through deaths and outages.

What beat does with one schedule is in test_schedules.py, how the lease is held in test_lease.py.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serv.postgres import PostgresServer
from tests.serv.processes import Script
from tests.serv.test_project import MIGRATE, SETTINGS, project
from tests.servers import RedisServer
from tests.task.orchestrators import eventually

APPLICATION = """
import json, sys
from jsorc import JsOrc

JsOrc.start()
task = lambda: JsOrc.svc("task")
for line in sys.stdin:
    print(json.dumps(eval(line), default=str), flush=True)
JsOrc.stop()
"""
IN_CODE = """
import django, os, project
from django.conf import settings

del os.environ["DJANGO_SETTINGS_MODULE"]
settings.configure(**{name: value for name, value in vars(project).items() if name.isupper()})
django.setup()
"""
NOTE = "tests.task.jobs.note"


class Replica:
    """A started application on a machine of its own: it has its own state folder, and so its own locks."""

    def __init__(self, home: Path, redis_port: int, code: str = APPLICATION, **variables: str) -> None:
        self.script = Script(
            code,
            home,
            **{
                "PYTHONWARNINGS": "default",
                "REDIS_PORT": str(redis_port),
                "JSORC_TASK_CONFIG__POOL": "threads",
                "JSORC_TASK_CONFIG__PING_INTERVAL": "1",
                "JSORC_TASK_CONFIG__MODULES": json.dumps(["tests.task.jobs"]),
                **variables,
            },
        )

    def ask(self, expression: str) -> Any:
        """What an expression is worth there."""
        self.script.tell(expression + "\n")
        return self.script.hear()

    def beat(self) -> int:
        """The process id of its beat; 0 when there is none."""
        pid: int = self.ask("task().details().get('beat', {}).get('pid', 0)")
        return pid

    def tick(self, path: Path) -> None:
        """Adds a schedule that writes a line a second."""
        self.ask(f"task().schedules.add('often', {NOTE!r}, every=1, args=[{str(path)!r}, 'tick']) and None")


@pytest.fixture
def replica(tmp_path: Path, redis_server: RedisServer) -> Iterator[Callable[..., Replica]]:
    """Starts applications: `replica("one", DATABASE_URL=…)`; all are over after the test."""
    made: list[Replica] = []

    def make(name: str, **variables: str) -> Replica:
        made.append(Replica(tmp_path / name, redis_server.port, **variables))
        return made[-1]

    yield make
    for one in made:
        with one.script:
            one.script.finish()


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def ticks(path: Path, more: int = 2) -> None:
    """Waits for more lines."""
    before = lines(path)
    eventually(lambda: lines(path) >= before + more)


def test_a_beat_that_was_killed_is_replaced_and_goes_on(
    replica: Callable[..., Replica], tmp_path: Path
) -> None:
    one = replica("one")
    assert one.ask("[type(task()).__name__, str(task().state), JsOrc.explain('task')[0].distribution]") == [
        "DatabaseTaskService",
        "RUNNING",
        "jsorc-serv",
    ]
    often, once = tmp_path / "often", tmp_path / "once"
    one.tick(often)
    one.ask(
        "task().schedules.add('once', at=__import__('datetime').datetime.now().astimezone() + "
        f"__import__('datetime').timedelta(seconds=1.5), task={NOTE!r}, args=[{str(once)!r}, 'now']) and None"
    )
    ticks(often)
    eventually(once.exists)
    killed = one.beat()
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: one.beat() not in (0, killed))
    ticks(often)
    assert one.ask("task().schedules.get('once').done") is True
    assert once.read_text() == "now\n"


def test_of_two_machines_one_sends_and_the_other_takes_over(
    replica: Callable[..., Replica], make_postgres: Callable[..., PostgresServer], tmp_path: Path
) -> None:
    server = make_postgres()
    url = server.url
    first, second = replica("one", DATABASE_URL=url), replica("two", DATABASE_URL=url)
    often = tmp_path / "often"
    first.tick(often)
    ticks(often)
    assert second.ask("[schedule.name for schedule in task().schedules.list()]") == ["often"]
    beats = [first.beat(), second.beat()]

    holder = int(first.ask("JsOrc.src('hook').get_glob('jsorc.beat')['holder']").split(":")[1])
    assert holder in beats
    os.kill(holder, signal.SIGSTOP)
    try:
        before = lines(often)
        eventually(lambda: lines(often) > before + 2)
    finally:
        os.kill(holder, signal.SIGCONT)
    ticks(often)  # the one that was stopped has had the time to send, if it were to
    began = time.monotonic()
    ticks(often, 4)
    assert time.monotonic() - began > 2.5, "two beats send"

    server.kill()
    server.start()
    ticks(often)
    assert [first.beat(), second.beat()] == beats
    assert first.ask("str(task().state)") == "RUNNING"


def in_project(*apps: str) -> str:
    return SETTINGS.replace('["jsorc_serv"]', json.dumps(list(apps)))


def test_beat_finds_the_project_that_the_application_is_part_of(
    replica: Callable[..., Replica], tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    variables = project(tmp_path / "one", project=in_project("jsorc_serv", "django_celery_beat"))
    code = f"import django\ndjango.setup()\n{MIGRATE}\n{APPLICATION}"
    one = replica("one", code=code, **variables)
    often = tmp_path / "often"
    one.tick(often)
    ticks(often)
    assert not list((tmp_path / "one" / "data").rglob("*.sqlite3"))  # of the embedded project


@pytest.mark.parametrize(
    ("code", "apps", "said"),
    [
        ("import django; django.setup()", ["jsorc_serv"], '"django_celery_beat" to INSTALLED_APPS'),
        (IN_CODE, ["jsorc_serv", "django_celery_beat"], "set DJANGO_SETTINGS_MODULE"),
    ],
)
def test_a_project_in_which_beat_cannot_run_is_told_what_mends_it(
    code: str, apps: list[str], said: str, replica: Callable[..., Replica], tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    variables = project(tmp_path / "one", project=in_project(*apps))
    one = replica("one", code=f"{code}\n{MIGRATE}\n{APPLICATION}", **variables)
    state, error = one.ask("[str(task().state), str(task().error)]")
    assert state == "FAILED"
    assert said in error
