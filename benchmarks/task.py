"""What a task costs above bare Celery configured the same, and how soon a worker is ready.

Both workers read one real server; bare Celery is started by its own command, with settings written by hand.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import Measure, Row, python, ratio
from benchmarks.server import redis

__all__ = ["rows"]

COUNT = 1_000
AT_A_TIME = 100
CONCURRENCY = 2
PAIRS = 5

_ECHOING = """
from celery import shared_task

@shared_task(name="benchmark.echo")
def echo(number):
    return number
"""

_BARE = """
import os
from celery import Celery
import echoing

app = Celery("bare", set_as_current=False)
app.conf.update(
    broker_url=os.environ["BARE_URL"], result_backend=os.environ["BARE_URL"], task_default_queue="bare",
    task_acks_late=True, task_reject_on_worker_lost=True, worker_redirect_stdouts=False,
    broker_connection_timeout=1, broker_connection_retry_on_startup=True, task_publish_retry=False,
    broker_transport_options={"socket_timeout": 1, "socket_connect_timeout": 1, "visibility_timeout": 3600},
    redis_socket_timeout=1, redis_socket_connect_timeout=1,
    result_backend_transport_options={"retry_policy": {"max_retries": 0, "timeout": 1.0}},
)
"""

# The time is taken after the imports, as it is for bare Celery, whose command is started by this process.
_START = """
import time
import jsorc_task.app, jsorc_task.service
from jsorc import JsOrc
began = time.perf_counter()
JsOrc.start()
JsOrc.svc("task").poke().send_task("benchmark.echo", (1,)).get(timeout=60)
print(time.perf_counter() - began)
JsOrc.stop()
"""


def rows() -> Iterator[Row]:
    """A thousand tasks through both, then the time until a worker has answered for the first time."""
    with tempfile.TemporaryDirectory(prefix="jsorc-bench-") as folder, redis() as server:
        (Path(folder) / "echoing.py").write_text(_ECHOING)
        (Path(folder) / "bare.py").write_text(_BARE)
        os.environ["XDG_STATE_HOME"] = os.environ["XDG_DATA_HOME"] = folder
        os.environ["BARE_URL"] = server.url
        os.environ["JSORC_PLUGINS_ALLOW"] = "jsorc-redis,jsorc-task"  # what else is installed is not measured
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        os.environ["JSORC_TASK_CONFIG"] = json.dumps(
            {"modules": ["echoing"], "concurrency": CONCURRENCY, "quiet": True}
        )
        sys.path.insert(0, folder)
        bare = import_module("bare").app
        yield from _throughput(bare)
        yield _with_figures(
            "JsOrc.start() to the first result",
            lambda: float(python(_START)),
            "`celery worker` by hand to the first result",
            lambda: _first_result_by_hand(bare),
            target=1.5,
        )


def _throughput(bare: Any) -> Iterator[Row]:
    from jsorc import JsOrc

    JsOrc.start()
    try:
        with _worker_by_hand():
            ours = JsOrc.svc("task").poke().tasks["benchmark.echo"]
            theirs = bare.tasks["benchmark.echo"]
            yield _with_figures(
                f"{COUNT:,} tasks, {AT_A_TIME} at a time",
                lambda: _all(ours, AT_A_TIME),
                "bare Celery, configured the same",
                lambda: _all(theirs, AT_A_TIME),
                target=1.15,
            )
            yield _with_figures(
                f"{COUNT:,} tasks, one at a time",
                lambda: _all(ours, 1),
                "bare Celery, configured the same",
                lambda: _all(theirs, 1),
                target=1.15,
            )
    finally:
        JsOrc.stop()


def _with_figures(what: str, measured: Measure, floor_name: str, floor: Measure, target: float) -> Row:
    """A ratio that also tells the median of both, in seconds."""
    taken: dict[str, list[float]] = {"measured": [], "floor": []}

    def noted(name: str, measure: Measure) -> Measure:
        def noting() -> float:
            taken[name].append(measure())
            return taken[name][-1]

        return noting

    row = ratio(what, noted("measured", measured), floor_name, noted("floor", floor), target, PAIRS)
    seconds = {name: f"{statistics.median(times[1:]):.2f} s" for name, times in taken.items()}
    return dataclasses.replace(
        row, what=f"{what}, {seconds['measured']}", floor=f"{floor_name}, {seconds['floor']}"
    )


def _all(task: Any, at_a_time: int) -> float:
    began = time.perf_counter()
    for begin in range(0, COUNT, at_a_time):
        results = [task.delay(number) for number in range(begin, begin + at_a_time)]
        assert [result.get(timeout=60) for result in results] == list(range(begin, begin + at_a_time))
    return time.perf_counter() - began


@contextmanager
def _worker_by_hand() -> Iterator[None]:
    options = ["-Q", "bare", "-c", str(CONCURRENCY), "-l", "WARNING"]
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    worker = subprocess.Popen([sys.executable, "-m", "celery", "-q", "-A", "bare", "worker", *options])
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def _first_result_by_hand(bare: Any) -> float:
    began = time.perf_counter()
    with _worker_by_hand():
        bare.tasks["benchmark.echo"].delay(1).get(timeout=60)
        return time.perf_counter() - began
