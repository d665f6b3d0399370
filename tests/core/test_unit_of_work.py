"""MemoryHook keeps the contract of every hook; its own are the shared store, threads and forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from jsorc.errors import JsOrcError, ServiceUnavailable
from jsorc.testing import HookContract
from jsorc.unit_of_work import Changes, Hook, MemoryHook, MemoryStore

T = TypeVar("T")


class TestMemoryHook(HookContract):
    @pytest.fixture(autouse=True)
    def store(self) -> None:
        self.memory = MemoryStore()

    def make_hook(self) -> Hook:
        return MemoryHook(self.memory)


class Owner:
    """What `bind` asks of an orchestrator."""

    def __init__(self) -> None:
        self.made: dict[Any, Any] = {}

    def shared(self, factory: Callable[[], T]) -> T:
        if factory not in self.made:
            self.made[factory] = factory()
        made: T = self.made[factory]
        return made


class FailingHook(MemoryHook):
    """A hook whose store fails before or after it has applied a commit."""

    error: Exception | None = None
    applies_first = False
    asked = 0

    def _apply(self, changes: Changes) -> None:
        self.asked += 1
        if self.applies_first or self.error is None:
            super()._apply(changes)
        if self.error is not None:
            raise self.error

    def _load_objects(self, ids: Any) -> dict[str, str]:
        self.asked += 1
        return super()._load_objects(ids)


def test_bind_gives_one_store_to_all_units_of_an_orchestrator() -> None:
    owner = Owner()
    make, make_again = MemoryHook.bind(owner), MemoryHook.bind(owner)
    first = make()
    first.save_obj("a", 1)
    first.commit()
    assert make() is not first
    assert make_again().get_obj("a") == 1
    assert MemoryHook.bind(Owner())().has_obj("a") is False


def test_bind_of_a_subclass_makes_the_subclass() -> None:
    owner = Owner()
    assert type(FailingHook.bind(owner)()) is FailingHook
    FailingHook.bind(owner)().get_or_create_glob("a", 1)
    assert MemoryHook.bind(owner)().get_glob("a") == 1


def test_a_memory_hook_without_a_store_has_one_of_its_own() -> None:
    hook = MemoryHook()
    hook.save_obj("a", 1)
    hook.commit()
    assert hook.get_obj("a") == 1
    assert MemoryHook().has_obj("a") is False


@pytest.mark.parametrize("applies_first", [False, True])
@pytest.mark.parametrize("error", [ServiceUnavailable("gone"), RuntimeError("broken")])
def test_a_failed_commit_keeps_the_staged_work_and_can_be_repeated(
    error: Exception, applies_first: bool
) -> None:
    store = MemoryStore()
    with MemoryHook(store) as before:
        before.save_obj("old", 0)
    hook = FailingHook(store)
    hook.error, hook.applies_first = error, applies_first
    hook.save_obj("a", 1)
    hook.save_glob("g", 1)
    hook.destroy_obj("old")
    with pytest.raises(type(error)):
        hook.commit()
    assert (hook.get_obj("a"), hook.get_glob("g"), hook.has_obj("old")) == (1, 1, False)
    hook.error = None
    hook.commit()
    after = MemoryHook(store)
    assert (after.list_objs(), after.list_glob()) == (["a"], ["g"])


def test_a_with_statement_whose_commit_fails_raises_and_keeps_the_staged_work() -> None:
    hook = FailingHook()
    hook.error = ServiceUnavailable("gone")
    with pytest.raises(ServiceUnavailable), hook:
        hook.save_obj("a", 1)
    assert hook.get_obj("a") == 1


def test_a_unit_with_nothing_staged_does_not_ask_the_store() -> None:
    hook = FailingHook()
    hook.commit()
    hook.save_obj("a", 1)
    hook.rollback()
    hook.commit()
    with hook:
        hook.clear_cache()
    assert hook.get_objs([]) == {}
    assert hook.asked == 0


def test_what_is_staged_is_answered_without_asking_the_store() -> None:
    hook = FailingHook()
    hook.save_obj("a", 1)
    assert (hook.get_obj("a"), hook.has_obj("a"), hook.get_objs(["a"])) == (1, True, {"a": 1})
    assert hook.destroy_obj("a") is True
    assert hook.asked == 0


def test_changes_hold_each_name_once() -> None:
    seen: list[Changes] = []

    class Recording(MemoryHook):
        def _apply(self, changes: Changes) -> None:
            seen.append(changes)

    hook = Recording()
    hook.save_obj("a", 1)
    hook.destroy_obj("a")
    hook.save_obj("b", "é")
    hook.save_glob("g", [1])
    hook.save_glob("h", 1)
    hook.destroy_glob("h")
    hook.commit()
    assert seen == [Changes({"b": '"é"'}, {"a"}, {"g": "[1]"}, {"h"})]


def test_text_of_the_store_may_be_bytes() -> None:
    class Bytes(MemoryHook):
        def _load_objects(self, ids: Any) -> dict[str, Any]:
            return {id: text.encode() for id, text in super()._load_objects(ids).items()}

    hook = Bytes()
    hook.save_obj("a", {"name": "é"})
    hook.commit()
    assert hook.get_obj("a") == {"name": "é"}
    assert hook.get_objs(["a"]) == {"a": {"name": "é"}}


def test_what_is_not_json_in_the_store_is_an_error_that_names_the_object() -> None:
    store = MemoryStore()
    store.objects.update(good="1", bad="{not json")
    store.globs["bad"] = ""
    hook = MemoryHook(store)
    with pytest.raises(JsOrcError, match="object 'bad'"):
        hook.get_obj("bad")
    with pytest.raises(JsOrcError, match="object 'bad'"):
        hook.get_objs(["good", "bad"])
    with pytest.raises(JsOrcError, match="global 'bad'"):
        hook.get_or_create_glob("bad", 1)
    assert hook.destroy_obj("bad") is True


def test_a_hook_without_a_backend_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Hook()  # type: ignore[abstract]


def test_listing_follows_every_change_of_the_ids() -> None:
    store = MemoryStore()

    def commit(save: str | None = None, destroy: str | None = None) -> list[str]:
        with MemoryHook(store) as hook:
            if save:
                hook.save_obj(save, 1)
            if destroy:
                hook.destroy_obj(destroy)
        return MemoryHook(store).list_objs()

    assert commit(save="b") == ["b"]
    assert commit(save="a") == ["a", "b"]
    assert commit(save="a") == ["a", "b"]
    assert commit(save="c", destroy="a") == ["b", "c"]
    assert commit(destroy="b") == ["c"]


def test_readers_never_see_half_of_a_commit() -> None:
    store = MemoryStore()
    ids = [f"{number:03}" for number in range(200)]
    done = threading.Event()
    torn: list[object] = []

    def read() -> None:
        while not done.is_set():
            hook = MemoryHook(store)
            seen = set(hook.get_objs(ids).values())
            if len(seen) > 1:
                torn.append(seen)
            if len(hook.list_objs()) not in (0, len(ids)):
                torn.append(hook.list_objs())

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for round_ in range(100):
            with MemoryHook(store) as hook:
                for id in ids:
                    hook.destroy_obj(id) if round_ % 3 == 2 else hook.save_obj(id, round_)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert torn == []


def test_commits_of_many_threads_are_all_kept() -> None:
    store = MemoryStore()
    start = threading.Barrier(8)

    def write(writer: int) -> None:
        start.wait(30)
        for number in range(100):
            with MemoryHook(store) as hook:
                hook.save_obj(f"{writer}-{number:02}", number)
                hook.save_glob("last", writer)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert MemoryHook(store).list_objs() == sorted(f"{w}-{n:02}" for w in range(8) for n in range(100))
    assert MemoryHook(store).get_glob("last") in range(8)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_in_the_middle_of_commits_leaves_a_whole_store_that_works() -> None:
    program = """
import os, threading
from jsorc.unit_of_work import MemoryHook, MemoryStore

store, started, done = MemoryStore(), threading.Event(), threading.Event()
ids = [str(number) for number in range(2000)]

def write():
    number = 0
    while not done.is_set():
        with MemoryHook(store) as hook:
            for id in ids:
                hook.save_obj(id, number)
        number += 1
        started.set()

writer = threading.Thread(target=write)
writer.start()
started.wait()
codes = []
for _ in range(30):
    child = os.fork()
    if child == 0:
        hook = MemoryHook(store)
        whole = len(set(hook.get_objs(ids).values())) == 1
        hook.save_obj("child", 1)
        hook.commit()
        os._exit(0 if whole and MemoryHook(store).get_obj("child") == 1 else 1)
    codes.append(os.waitpid(child, 0)[1])
done.set()
writer.join()
print(set(codes), MemoryHook(store).has_obj("child"))
"""
    # Python 3.12 warns of every fork beside threads; here that is the point.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (answer.stdout, answer.stderr) == ("{0} False\n", "")


def test_msgspec_is_imported_by_the_first_save_and_not_before() -> None:
    program = (
        "import sys; from jsorc.unit_of_work import MemoryHook; hook = MemoryHook(); hook.has_obj('a'); "
        "print('msgspec' in sys.modules); hook.save_obj('a', 1); print('msgspec' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "True"]
