"""Schedules in the admin of `jsorc serve`: what a person adds there is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serv_http.site import SUPERUSER, Site
from tests.servers import RedisServer
from tests.task.orchestrators import eventually

BEAT = "/admin/django_celery_beat"


@pytest.fixture
def site(tmp_path: Path, redis_server: RedisServer) -> Iterator[Site]:
    site = Site(
        tmp_path / "site",
        app="tests.task.jobs",
        JSORC_PLUGINS_BLOCK="",
        REDIS_PORT=str(redis_server.port),
        JSORC_TASK_CONFIG__POOL="threads",
        JSORC_TASK_CONFIG__MODULES=json.dumps(["tests.task.jobs"]),
    )
    yield site
    site.stop()


def fill(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Posts a form of the admin with its hidden fields, and these."""
    form = client.get(path)
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.text))
    answer = client.post(path, data={**hidden, **fields}, headers={"Referer": str(form.url)})
    errors = re.findall(r'<ul class="errorlist".*?</ul>', answer.text, re.DOTALL)
    assert "was added successfully" in answer.text, errors or answer.text
    return answer


def test_a_schedule_that_is_added_in_the_admin_is_sent(site: Site, tmp_path: Path) -> None:
    site.superuser()
    ticks = tmp_path / "ticks"
    with site.log_in(SUPERUSER) as client:
        eventually(lambda: client.get("/api/services/task").json()["state"] == "RUNNING")
        fill(client, f"{BEAT}/intervalschedule/add/", every="1", period="seconds")
        form = client.get(f"{BEAT}/periodictask/add/").text
        interval = re.search(r'<option value="(\d+)">every second<', form)
        assert interval is not None, re.findall("<option.*", form)
        assert 'value="tests.task.jobs.note"' in form  # the tasks that this process knows are offered
        fill(
            client,
            f"{BEAT}/periodictask/add/",
            name="often",
            regtask="tests.task.jobs.note",
            enabled="on",
            interval=interval.group(1),
            args=json.dumps([str(ticks), "tick"]),
            kwargs="{}",
            headers="{}",
        )
        listed = client.get(f"{BEAT}/periodictask/").text
        assert "often" in listed
        assert "CELERY_BEAT_SCHEDULER" not in listed  # it would warn that nobody reads it
        eventually(lambda: ticks.exists() and len(ticks.read_text().splitlines()) >= 2)
