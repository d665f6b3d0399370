"""What schedules do wherever they are kept; each place has a subclass with a fixture `schedules`."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from jsorc.errors import NotRegistered
from jsorc_task.errors import ScheduleError, TaskArgumentError
from jsorc_task.schedules import Schedules

NOTE = "tests.task.jobs.note"
"""A task that takes a path and a text."""
IDLE = "tests.task.jobs.whereabouts"
"""One that takes nothing."""


class SchedulesContract:
    def test_schedules_are_read_back_as_they_were_added(self, schedules: Schedules) -> None:
        at = dt.datetime(2090, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        keywords = {"path": "a", "text": "b"}
        added = [
            schedules.add("interval", NOTE, every=90, args=["a", "b"]),
            schedules.add("nightly", NOTE, crontab="30 2 * * 1-5", kwargs=keywords, queue="slow"),
            schedules.add("once", IDLE, at=at, enabled=False),
        ]
        assert schedules.list() == added
        assert [schedules.get(schedule.name) for schedule in added] == added
        assert added[2].at == at

    def test_a_crontab_may_be_given_by_its_fields(self, schedules: Schedules) -> None:
        assert schedules.add("hourly", IDLE, crontab={"minute": 0, "hour": "*/2"}).crontab == "0 */2 * * *"

    def test_a_time_of_another_zone_is_the_same_time(self, schedules: Schedules) -> None:
        assert schedules.add("once", IDLE, at="2090-01-01T12:00:00+02:00").at == dt.datetime(
            2090, 1, 1, 10, tzinfo=dt.UTC
        )

    def test_a_schedule_is_disabled_enabled_and_deleted(self, schedules: Schedules) -> None:
        schedules.add("nightly", IDLE, crontab="0 2 * * *")
        assert schedules.disable("nightly").enabled is False
        assert schedules.enable("nightly").enabled is True
        assert schedules.delete("nightly") is True
        assert schedules.delete("nightly") is False
        assert schedules.list() == []

    def test_of_many_who_add_one_name_exactly_one_does(self, schedules: Schedules) -> None:
        def add(number: int) -> bool:
            try:
                schedules.add("nightly", IDLE, every=60 + number)
            except ScheduleError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(add, range(8))) == 1

    @pytest.mark.parametrize("every", [1, 1.5, 59.25, 90, 3600, 86400 * 40, 1e9])
    def test_an_interval_comes_back_as_it_was(self, schedules: Schedules, every: float) -> None:
        assert schedules.add("interval", IDLE, every=every).every == every
        assert schedules.get("interval").every == every

    def test_two_schedules_of_one_time_are_deleted_each_by_itself(self, schedules: Schedules) -> None:
        for name in ("one", "two"):
            schedules.add(name, IDLE, at="2090-01-01T00:00:00+00:00")
            schedules.add(f"{name} too", IDLE, crontab="0 2 * * *")
        schedules.delete("one")
        schedules.delete("one too")
        assert [schedule.name for schedule in schedules.list()] == ["two", "two too"]

    @pytest.mark.parametrize("arguments", [["a"], ["a", "b", "c"]])
    def test_arguments_that_the_task_does_not_take_are_refused(
        self, schedules: Schedules, arguments: list[str]
    ) -> None:
        with pytest.raises(TaskArgumentError, match="do not fit the task"):
            schedules.add("nightly", NOTE, every=60, args=arguments)
        assert schedules.list() == []

    def test_a_name_that_is_unknown_or_taken_is_refused(self, schedules: Schedules) -> None:
        first = schedules.add("nightly", IDLE, crontab="0 2 * * *")
        with pytest.raises(ScheduleError, match="nightly"):
            schedules.add("nightly", IDLE, every=60)
        with pytest.raises(NotRegistered, match="Did you mean 'nightly'"):
            schedules.disable("nighty")
        assert schedules.list() == [first]
