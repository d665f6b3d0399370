"""`HookContract`: what every hook does, as tests that its own test class inherits.

The values it tries are in `hook_values`, the dictionaries it compares with in `hook_model`; what only one
backend does is tested beside that backend.
"""

# ruff: noqa: D102 - the name of a test is the sentence that says what it holds

from __future__ import annotations

import itertools
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings

from jsorc.testing.hook_model import STEPS, Model
from jsorc.testing.hook_values import REFUSED, STORABLE, WRAPPINGS, same
from jsorc.unit_of_work import Hook

__all__ = ["HookContract"]

T = TypeVar("T")

_UNSTORABLE = (TypeError, ValueError)
_LONGEST = 255
_MANY = 10_000
# By code point: in UTF-16 the astral ones would come before U+FF5E, and a locale mixes upper and lower case.
_IN_ORDER = ["A", "B", "Z", "_", "a", "a b", "ab", "z", "~", "é", "文", "\uff5e", "\U0001f600", "\U0010ffff"]


class HookContract:
    """The conformance suite of hooks.

    Inherit it in a class that pytest collects, and give `make_hook`. Each test must find an empty store; a
    fixture with `autouse=True` is the place to make it:

        class TestThingHook(HookContract):
            @pytest.fixture(autouse=True)
            def store(self, tmp_path):
                self.path = tmp_path / "things"

            def make_hook(self):
                return ThingHook(self.path)

    Needs the extra `testing` (pytest and hypothesis).
    """

    @abstractmethod
    def make_hook(self) -> Hook:
        """Make a new unit of work; the units of one test share one store, empty when the test begins.

        Returns:
            A unit with nothing staged.
        """

    def make_hook_elsewhere(self) -> Hook:
        """Make a unit as another process would: over the same store, by a connection of its own.

        It is called on the thread that uses it. Override it where `make_hook` shares a connection or a cache.

        Returns:
            A unit with nothing staged.
        """
        return self.make_hook()

    def leave_elsewhere(self) -> None:
        """Close what `make_hook_elsewhere` opened; called last on the thread that called it."""

    # Reading and writing objects

    def test_what_answers_nothing_returns_none(self) -> None:
        hook = self.make_hook()
        calls: list[Callable[[], object]] = [
            lambda: hook.save_obj("a", 1),
            lambda: hook.save_glob("a", 1),
            hook.clear_cache,
            hook.commit,
            hook.rollback,
        ]
        assert [call() for call in calls] == [None] * len(calls)

    def test_an_object_that_was_saved_is_read_back(self) -> None:
        hook = self.make_hook()
        hook.save_obj("a", {"n": 1})
        hook.commit()
        assert self.make_hook().get_obj("a") == {"n": 1}

    def test_a_missing_object_is_the_default_itself(self) -> None:
        default = object()
        assert self.make_hook().get_obj("a") is None
        assert self.make_hook().get_obj("a", default) is default

    def test_a_stored_none_is_not_missing(self) -> None:
        self.commit(objects={"a": None})
        hook = self.make_hook()
        assert hook.get_obj("a", "default") is None
        assert hook.has_obj("a") is True
        assert hook.get_objs(["a"]) == {"a": None}

    def test_has_obj_is_a_bool(self) -> None:
        self.commit(objects={"a": 0})
        assert self.make_hook().has_obj("a") is True
        assert self.make_hook().has_obj("b") is False

    def test_get_objs_answers_in_the_order_asked_and_leaves_missing_ones_out(self) -> None:
        self.commit(objects={id: id.upper() for id in ("a", "b", "c", "d")})
        hook = self.make_hook()
        hook.save_obj("b", "staged")
        hook.save_obj("new", "staged")
        hook.destroy_obj("d")
        found = hook.get_objs(["new", "c", "missing", "d", "b", "a", "c"])
        assert type(found) is dict
        assert list(found.items()) == [("new", "staged"), ("c", "C"), ("b", "staged"), ("a", "A")]

    def test_get_objs_takes_any_iterable_and_nothing_too(self) -> None:
        self.commit(objects={"a": 1})
        assert self.make_hook().get_objs(iter(["a", "b"])) == {"a": 1}
        assert self.make_hook().get_objs([]) == {}

    def test_get_objs_refuses_a_single_string(self) -> None:
        with pytest.raises(_UNSTORABLE):
            self.make_hook().get_objs("abc")

    def test_saving_again_replaces_the_whole_object(self) -> None:
        self.commit(objects={"a": {"old": 1}})
        self.commit(objects={"a": {"new": 2}})
        assert self.make_hook().get_obj("a") == {"new": 2}

    def test_objects_and_globals_of_one_name_are_apart(self) -> None:
        self.commit(objects={"a": "object"}, globs={"a": "global"})
        with self.make_hook() as destroyer:
            destroyer.destroy_obj("a")
        hook = self.make_hook()
        assert (hook.has_obj("a"), hook.get_glob("a")) == (False, "global")
        assert (hook.list_objs(), hook.list_glob()) == ([], ["a"])

    def test_destroy_obj_tells_whether_there_was_one(self) -> None:
        self.commit(objects={"stored": 1})
        hook = self.make_hook()
        hook.save_obj("staged", 1)
        assert hook.destroy_obj("stored") is True
        assert hook.destroy_obj("stored") is False
        assert hook.destroy_obj("staged") is True
        assert hook.destroy_obj("staged") is False
        assert hook.destroy_obj("missing") is False
        hook.commit()
        assert self.make_hook().list_objs() == []

    def test_save_after_destroy_saves(self) -> None:
        self.commit(objects={"a": 1})
        hook = self.make_hook()
        hook.destroy_obj("a")
        hook.save_obj("a", 2)
        assert hook.get_obj("a") == 2
        hook.commit()
        assert self.make_hook().get_obj("a") == 2

    def test_destroy_after_save_destroys(self) -> None:
        self.commit(objects={"a": 1})
        hook = self.make_hook()
        hook.save_obj("a", 2)
        hook.destroy_obj("a")
        assert hook.get_obj("a", "gone") == "gone"
        hook.commit()
        assert self.make_hook().has_obj("a") is False

    # Globals

    def test_a_global_that_was_saved_is_read_back(self) -> None:
        hook = self.make_hook()
        hook.save_glob("a", {"n": 1})
        hook.commit()
        other = self.make_hook()
        assert other.get_glob("a") == {"n": 1}
        assert other.has_glob("a") is True
        assert other.has_glob("b") is False
        assert other.get_glob("b") is None
        assert other.get_glob("b", "default") == "default"

    def test_destroy_glob_tells_whether_there_was_one(self) -> None:
        self.commit(globs={"stored": 1})
        hook = self.make_hook()
        hook.save_glob("staged", 1)
        assert hook.destroy_glob("stored") is True
        assert hook.destroy_glob("stored") is False
        assert hook.destroy_glob("staged") is True
        assert hook.destroy_glob("missing") is False
        hook.commit()
        assert self.make_hook().list_glob() == []

    def test_list_glob_is_in_code_point_order_with_staged_changes(self) -> None:
        self.commit(globs=dict.fromkeys(reversed(_IN_ORDER), 0))
        hook = self.make_hook()
        hook.save_glob("ac", 1)
        hook.save_glob("a", 1)
        hook.destroy_glob("ab")
        assert self.make_hook().list_glob() == _IN_ORDER
        assert hook.list_glob(prefix="a") == ["a", "a b", "ac"]
        assert hook.list_glob() == sorted({*_IN_ORDER, "ac"} - {"ab"})

    def test_get_or_create_glob_is_written_through_at_once(self) -> None:
        hook = self.make_hook()
        assert hook.get_or_create_glob("a", {"n": (1,)}) == {"n": [1]}
        assert self.make_hook().get_glob("a") == {"n": [1]}
        assert self.make_hook().list_glob() == ["a"]
        hook.rollback()
        assert hook.get_glob("a") == {"n": [1]}

    def test_get_or_create_glob_keeps_what_stands(self) -> None:
        self.commit(globs={"a": None})
        assert self.make_hook().get_or_create_glob("a", 2) is None
        assert self.make_hook().get_glob("a", "missing") is None

    def test_get_or_create_glob_neither_commits_nor_drops_other_staged_work(self) -> None:
        hook = self.make_hook()
        hook.save_obj("o", 1)
        hook.save_glob("g", 1)
        hook.get_or_create_glob("a", 1)
        assert self.make_hook().list_objs() == []
        assert self.make_hook().list_glob() == ["a"]
        hook.commit()
        assert self.make_hook().list_glob() == ["a", "g"]
        assert self.make_hook().list_objs() == ["o"]

    def test_a_staged_value_wins_over_get_or_create_glob(self) -> None:
        self.commit(globs={"stored": 1})
        hook = self.make_hook()
        hook.save_glob("stored", 2)
        hook.save_glob("new", 2)
        assert hook.get_or_create_glob("stored", 3) == 2
        assert hook.get_or_create_glob("new", 3) == 2
        assert self.make_hook().get_glob("stored") == 1
        assert self.make_hook().has_glob("new") is False

    def test_get_or_create_glob_after_a_staged_destroy_is_staged(self) -> None:
        self.commit(globs={"a": "old"})
        hook = self.make_hook()
        hook.destroy_glob("a")
        assert hook.get_or_create_glob("a", "new") == "new"
        assert self.make_hook().get_glob("a") == "old"
        hook.commit()
        assert self.make_hook().get_glob("a") == "new"

    def test_one_value_wins_when_many_create_a_global_at_once(self) -> None:
        count = 8
        line = threading.Barrier(count)

        def create(number: int) -> Any:
            hook = self.make_hook_elsewhere()
            line.wait(30)
            return hook.get_or_create_glob("a", {"number": number})

        answers = self.elsewhere(*[(lambda number=number: create(number)) for number in range(count)])
        assert answers == [self.make_hook().get_glob("a")] * count

    # The unit

    def test_a_unit_reads_its_own_writes_before_it_commits(self) -> None:
        hook = self.make_hook()
        hook.save_obj("a", 1)
        hook.save_glob("g", 2)
        assert (hook.get_obj("a"), hook.has_obj("a"), hook.get_objs(["a"])) == (1, True, {"a": 1})
        assert (hook.get_glob("g"), hook.has_glob("g")) == (2, True)
        assert (hook.list_objs(), hook.list_glob()) == (["a"], ["g"])

    def test_others_see_nothing_before_the_commit(self) -> None:
        self.commit(objects={"old": 1}, globs={"old": 1})
        hook = self.make_hook()
        hook.save_obj("new", 2)
        hook.save_obj("old", 2)
        hook.save_glob("new", 2)
        hook.destroy_glob("old")
        assert self.elsewhere(self.everything) == [({"old": 1}, {"old": 1})]
        assert self.everything() == ({"old": 1}, {"old": 1})

    def test_others_see_all_of_it_after_the_commit(self) -> None:
        self.commit(objects={"old": 1}, globs={"old": 1})
        waiting = self.make_hook()
        waiting.get_obj("old")
        hook = self.make_hook()
        hook.save_obj("new", 2)
        hook.destroy_obj("old")
        hook.save_glob("old", 2)
        hook.commit()
        assert self.elsewhere(self.everything) == [({"new": 2}, {"old": 2})]
        assert self.everything() == ({"new": 2}, {"old": 2})
        waiting.clear_cache()
        assert waiting.get_objs(["old", "new"]) == {"new": 2}

    def test_the_unit_goes_on_after_a_commit(self) -> None:
        hook = self.make_hook()
        hook.save_obj("a", 1)
        hook.commit()
        hook.save_obj("b", hook.get_obj("a") + 1)
        assert self.make_hook().has_obj("b") is False
        hook.commit()
        hook.commit()
        assert self.everything() == ({"a": 1, "b": 2}, {})

    def test_a_commit_does_not_write_the_last_one_again(self) -> None:
        hook = self.make_hook()
        hook.save_obj("a", "first")
        hook.commit()
        self.commit(objects={"a": "second"})
        hook.save_obj("b", 1)
        hook.commit()
        assert self.make_hook().get_obj("a") == "second"

    def test_the_last_writer_wins(self) -> None:
        first, second = self.make_hook(), self.make_hook()
        first.save_obj("a", "first")
        second.save_obj("a", "second")
        second.commit()
        first.commit()
        assert self.make_hook().get_obj("a") == "first"

    def test_a_rollback_forgets_what_was_staged(self) -> None:
        self.commit(objects={"old": 1}, globs={"old": 1})
        hook = self.make_hook()
        hook.save_obj("old", 2)
        hook.save_obj("new", 2)
        hook.destroy_glob("old")
        hook.rollback()
        assert hook.get_objs(["old", "new"]) == {"old": 1}
        assert hook.list_glob() == ["old"]
        hook.commit()
        assert self.everything() == ({"old": 1}, {"old": 1})

    def test_a_rollback_does_not_undo_a_commit(self) -> None:
        hook = self.make_hook()
        hook.save_obj("a", 1)
        hook.commit()
        hook.rollback()
        assert hook.get_obj("a") == 1

    def test_clear_cache_keeps_staged_work_and_shows_what_others_committed(self) -> None:
        self.commit(objects={"a": 1}, globs={"a": 1})
        hook = self.make_hook()
        assert (hook.get_obj("a"), hook.get_glob("a"), hook.get_obj("b")) == (1, 1, None)
        hook.save_obj("mine", 1)
        self.commit(objects={"a": 2, "b": 2}, globs={"a": 2})
        hook.clear_cache()
        assert (hook.get_obj("a"), hook.get_glob("a"), hook.get_obj("b")) == (2, 2, 2)
        assert hook.get_obj("mine") == 1
        hook.commit()
        assert self.make_hook().get_obj("mine") == 1

    def test_a_with_statement_commits(self) -> None:
        with self.make_hook() as hook:
            assert isinstance(hook, Hook)
            hook.save_obj("a", 1)
            assert self.make_hook().has_obj("a") is False
        assert self.make_hook().get_obj("a") == 1

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_with_statement_rolls_back_on_an_exception_and_lets_it_through(
        self, error: type[BaseException]
    ) -> None:
        hook = self.make_hook()

        def fail() -> None:
            with hook:
                hook.save_obj("a", 1)
                raise error

        with pytest.raises(error):
            fail()
        hook.commit()
        assert self.make_hook().has_obj("a") is False

    def test_every_read_is_a_fresh_copy(self) -> None:
        self.commit(objects={"a": {"n": []}}, globs={"a": {"n": []}})
        hook = self.make_hook()
        hook.save_obj("staged", {"n": []})
        reads: list[Callable[[], Any]] = [
            lambda: hook.get_obj("a"),
            lambda: hook.get_obj("staged"),
            lambda: hook.get_objs(["a"])["a"],
            lambda: hook.get_objs(["staged"])["staged"],
            lambda: hook.get_glob("a"),
            lambda: hook.get_or_create_glob("a", None),
        ]
        for read in reads:
            read()["n"].append("changed by its reader")
            assert read() == {"n": []}
        hook.commit()
        assert self.make_hook().get_objs(["a", "staged"]) == {"a": {"n": []}, "staged": {"n": []}}

    def test_a_value_is_stored_as_it_was_when_it_was_saved(self) -> None:
        value = {"n": [1]}
        hook = self.make_hook()
        hook.save_obj("a", value)
        hook.save_glob("a", value)
        value["n"].append(2)
        hook.commit()
        assert self.everything() == ({"a": {"n": [1]}}, {"a": {"n": [1]}})
        assert value == {"n": [1, 2]}

    # Listing

    def test_list_objs_is_in_code_point_order(self) -> None:
        self.commit(objects=dict.fromkeys(reversed(_IN_ORDER), 0))
        found = self.make_hook().list_objs()
        assert type(found) is list
        assert found == _IN_ORDER

    def test_pages_follow_each_other_by_after_and_limit(self) -> None:
        self.commit(objects=dict.fromkeys(_IN_ORDER, 0))
        for size in (1, 3, len(_IN_ORDER), len(_IN_ORDER) + 1):
            assert list(itertools.chain(*self.pages(self.make_hook(), size))) == _IN_ORDER

    def test_after_excludes_itself_and_need_not_exist(self) -> None:
        self.commit(objects=dict.fromkeys(("a", "b", "c"), 0))
        hook = self.make_hook()
        assert hook.list_objs(after="a") == ["b", "c"]
        assert hook.list_objs(after="aa") == ["b", "c"]
        assert hook.list_objs(after="c") == []
        assert hook.list_objs(after="") == ["a", "b", "c"]

    def test_prefix_after_and_limit_hold_together(self) -> None:
        ids = ["0", "a", "b", "b\x01", "b1", "b2", "b文", "b\U0010ffff", "c"]
        self.commit(objects=dict.fromkeys(ids, 0))
        hook = self.make_hook()
        assert hook.list_objs(prefix="b") == ids[2:-1]
        assert hook.list_objs(prefix="b", after="b1") == ["b2", "b文", "b\U0010ffff"]
        assert hook.list_objs(prefix="b", after="0") == ids[2:-1]
        assert hook.list_objs(prefix="b", after="c") == []
        assert hook.list_objs(prefix="b", after="b1", limit=1) == ["b2"]
        assert hook.list_objs(prefix="b\U0010ffff") == ["b\U0010ffff"]
        assert hook.list_objs(prefix="x") == []
        assert hook.list_objs(prefix="b" * (_LONGEST + 1)) == []

    def test_what_a_pattern_language_would_read_is_only_text(self) -> None:
        ids = ["%a", "*a", "?a", "[a", "\\a", "_a", "aa", "{a", "}a"]
        self.commit(objects={id: id for id in ids})
        hook = self.make_hook()
        for id in ids:
            assert hook.list_objs(prefix=id[0]) == [id]
            assert hook.get_obj(id) == id

    def test_upper_and_lower_case_are_different(self) -> None:
        self.commit(objects={"Ab": 1, "ab": 2})
        hook = self.make_hook()
        assert hook.get_objs(["ab", "Ab", "AB"]) == {"ab": 2, "Ab": 1}
        assert hook.list_objs(prefix="a") == ["ab"]

    def test_spaces_and_composed_characters_are_kept_as_they_are(self) -> None:
        ids = sorted([" a", "a", "a ", "e\u0301", "\u00e9", "\t", "a\n"])
        self.commit(objects={id: id for id in ids})
        assert self.make_hook().list_objs() == ids
        assert self.make_hook().get_objs(ids) == {id: id for id in ids}

    def test_a_list_is_merged_with_staged_changes(self) -> None:
        self.commit(objects=dict.fromkeys(("a1", "a3", "a5", "b1"), 0))
        hook = self.make_hook()
        hook.save_obj("a2", 1)
        hook.save_obj("a5", 1)
        hook.save_obj("b2", 1)
        hook.destroy_obj("a3")
        assert hook.list_objs() == ["a1", "a2", "a5", "b1", "b2"]
        assert hook.list_objs(prefix="a") == ["a1", "a2", "a5"]
        assert hook.list_objs(prefix="a", after="a1", limit=1) == ["a2"]
        assert hook.list_objs(prefix="a", after="a2") == ["a5"]
        assert hook.list_objs(prefix="a", after="a3") == ["a5"]
        assert self.make_hook().list_objs() == ["a1", "a3", "a5", "b1"]

    def test_a_page_is_full_although_staged_destroys_hide_stored_ids(self) -> None:
        ids = [f"{number:02}" for number in range(20)]
        self.commit(objects=dict.fromkeys(ids, 0))
        hook = self.make_hook()
        for id in ids[:12]:
            hook.destroy_obj(id)
        hook.save_obj("05x", 0)
        assert hook.list_objs(limit=3) == ["05x", "12", "13"]
        assert list(itertools.chain(*self.pages(hook, 3))) == ["05x", *ids[12:]]

    def test_a_limit_of_zero_is_an_empty_page_and_a_bad_one_is_refused(self) -> None:
        self.commit(objects={"a": 0})
        hook = self.make_hook()
        assert hook.list_objs(limit=0) == []
        for limit in (-1, "1", 1.0, True):
            with pytest.raises(_UNSTORABLE):
                hook.list_objs(limit=limit)  # type: ignore[arg-type]

    # Ids and names

    @pytest.mark.parametrize("id", ["", "x" * 256, "\U0001f600" * 256, "a\0", "\0", "a\ud800", None, 1, b"a"])
    def test_an_id_that_is_not_one_is_refused_everywhere(self, id: Any) -> None:
        hook = self.make_hook()
        refusing: list[Callable[[], object]] = [
            lambda: hook.get_obj(id),
            lambda: hook.get_objs(["a", id]),
            lambda: hook.has_obj(id),
            lambda: hook.save_obj(id, 1),
            lambda: hook.destroy_obj(id),
            lambda: hook.get_glob(id),
            lambda: hook.has_glob(id),
            lambda: hook.save_glob(id, 1),
            lambda: hook.destroy_glob(id),
            lambda: hook.get_or_create_glob(id, 1),
        ]
        for refuse in refusing:
            with pytest.raises(_UNSTORABLE):
                refuse()
        hook.commit()
        assert self.everything() == ({}, {})

    @pytest.mark.parametrize("text", ["a\0", "a\ud800", 1, b"a"])
    def test_a_prefix_that_no_id_can_have_is_refused(self, text: Any) -> None:
        hook = self.make_hook()
        for refuse in (hook.list_objs, hook.list_glob):
            with pytest.raises(_UNSTORABLE):
                refuse(prefix=text)
        with pytest.raises(_UNSTORABLE):
            hook.list_objs(after=text)

    @pytest.mark.parametrize("character", ["x", "文", "\U0001f600"])
    def test_an_id_may_have_255_characters(self, character: str) -> None:
        longest = character * _LONGEST

        self.commit(objects={longest: 1}, globs={longest: 2})
        assert self.everything() == ({longest: 1}, {longest: 2})

    # Values

    @pytest.mark.parametrize("label", STORABLE)
    def test_a_value_comes_back(self, label: str) -> None:
        value, expected = STORABLE[label]
        hook = self.make_hook()
        hook.save_obj("a", {"value": value})
        hook.save_glob("a", value)
        assert same(hook.get_obj("a"), {"value": expected})
        hook.commit()
        created = self.make_hook().get_or_create_glob("created", value)
        objects, globs = self.everything()
        assert same(objects["a"], {"value": expected})
        assert same(globs, {"a": expected, "created": expected})
        assert same(created, expected)

    @pytest.mark.parametrize("label", REFUSED)
    def test_a_value_that_would_not_come_back_is_refused_when_it_is_saved(self, label: str) -> None:
        hook = self.make_hook()
        hook.save_obj("a", "before")
        values = [REFUSED[label](), *[wrap(REFUSED[label]()) for wrap in WRAPPINGS.values()]]
        for value in values:
            with pytest.raises(_UNSTORABLE):
                hook.save_obj("a", value)
            with pytest.raises(_UNSTORABLE):
                hook.save_glob("a", value)
            with pytest.raises(_UNSTORABLE):
                hook.get_or_create_glob("a", value)
        hook.commit()
        assert self.everything() == ({"a": "before"}, {})

    def test_ten_thousand_objects_are_one_commit(self) -> None:
        value = {"text": "x" * 180}
        ids = [f"{number:06}" for number in range(_MANY)]
        hook = self.make_hook()
        for id in ids:
            hook.save_obj(id, value)
        assert self.make_hook().list_objs(limit=1) == []
        hook.commit()
        other = self.make_hook()
        assert other.list_objs() == ids
        found = other.get_objs(reversed(ids))
        assert list(found) == ids[::-1]
        assert all(item == value for item in found.values())
        for id in ids[1:]:
            other.destroy_obj(id) if id in ids[1:3] else other.save_obj(id, None)
        other.commit()
        assert self.make_hook().list_objs(limit=2) == [ids[0], ids[3]]
        assert self.make_hook().get_obj(ids[-1], "default") is None

    def test_units_in_any_order_agree_with_a_dictionary(self) -> None:
        # Called here rather than by pytest, since fixtures are made once a test and not once an example.
        @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(steps=STEPS)
        def agree(steps: list[tuple[Any, ...]]) -> None:
            self.destroy_everything()
            Model(self.make_hook).run(steps)

        agree()

    # What the tests above share

    def commit(self, objects: dict[str, Any] | None = None, globs: dict[str, Any] | None = None) -> None:
        """Commit these objects and globals by a unit of its own."""
        hook = self.make_hook()
        for id, value in (objects or {}).items():
            hook.save_obj(id, value)
        for name, value in (globs or {}).items():
            hook.save_glob(name, value)
        hook.commit()

    def destroy_everything(self) -> None:
        """Empty the store."""
        with self.make_hook() as hook:
            for id in hook.list_objs():
                hook.destroy_obj(id)
            for name in hook.list_glob():
                hook.destroy_glob(name)

    def everything(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read all objects and all globals by a new unit."""
        hook = self.make_hook_elsewhere()
        globs = {name: hook.get_glob(name, "missing") for name in hook.list_glob()}
        return hook.get_objs(hook.list_objs()), globs

    def pages(self, hook: Hook, size: int) -> list[list[str]]:
        """List all ids by pages."""
        pages: list[list[str]] = []
        while page := hook.list_objs(after=pages[-1][-1] if pages else None, limit=size):
            assert len(page) <= size
            # A hook that ignores `after` fails here instead of paging for ever.
            assert not pages or page[0] > pages[-1][-1]
            pages.append(page)
        return pages

    def elsewhere(self, *tasks: Callable[[], T]) -> list[T]:
        """Run each task on a thread of its own; their answers in order, or the first exception."""
        answers: dict[int, T] = {}
        errors: list[BaseException] = []

        def run(number: int, task: Callable[[], T]) -> None:
            try:
                answers[number] = task()
            except BaseException as error:
                errors.append(error)
            finally:
                self.leave_elsewhere()

        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(tasks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if errors:
            raise errors[0]
        return [answers[number] for number in range(len(tasks))]
