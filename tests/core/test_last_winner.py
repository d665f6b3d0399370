"""The warning that another store wins `hook` than at the last start."""

from __future__ import annotations

from pathlib import Path

import pytest

from jsorc.last_winner import warn_of_another_store
from jsorc.registration import Registration

OLD = Registration("repository", "hook", "old_store.hook:OldHook", distribution="old-store")
NEW = Registration("repository", "hook", "new_store.hook:NewHook", distribution="new-store")


def test_the_first_start_and_the_same_store_again_say_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_another_store(tmp_path, "default", OLD)
    warn_of_another_store(tmp_path, "default", OLD)
    assert not caplog.records


def test_another_store_is_named_once_with_the_line_that_copies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_another_store(tmp_path, "default", OLD)
    warn_of_another_store(tmp_path, "default", NEW)
    warn_of_another_store(tmp_path, "default", NEW)
    (record,) = caplog.records
    assert "NewHook of new-store" in record.getMessage()
    assert "jsorc copy --from old-store --to new-store" in record.getMessage()
    assert "JSORC_CONFIG__USE__HOOK=old-store" in record.getMessage()


def test_each_namespace_has_a_last_winner_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_another_store(tmp_path, "one", OLD)
    warn_of_another_store(tmp_path, "two", NEW)
    assert not caplog.records


def test_a_note_that_cannot_be_read_or_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "winners").mkdir()
    (tmp_path / "winners" / "default.json").write_text("{broken")
    warn_of_another_store(tmp_path, "default", OLD)
    (tmp_path / "file").write_text("")
    warn_of_another_store(tmp_path / "file", "default", OLD)
