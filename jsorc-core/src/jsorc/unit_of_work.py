"""The unit of work: `Hook`, the base of every repository named "hook", and `MemoryHook`, core's own.

What every hook has in common is written here once: staging, reading one's own writes, merging lists. How a
backend keeps what is committed is not here, and neither is the JSON text itself (`encoding`).
"""

from __future__ import annotations

import functools
import os
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jsorc.encoding import check_name, check_text, decoder, encode
from jsorc.errors import JsOrcError, UnstorableValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Protocol, Self, TypeVar

    T = TypeVar("T")

    # Name -> JSON text, or None where it is to be destroyed.
    _Staged = dict[str, str | None]
    _Load = Callable[[Sequence[str]], Mapping[str, bytes | str]]

    class _Sharing(Protocol):
        """What `MemoryHook.bind` needs of an orchestrator."""

        def shared(self, factory: Callable[[], T]) -> T: ...


__all__ = ["Changes", "Hook", "MemoryHook", "MemoryStore"]

# One lock for all stores: it is held for microseconds, and a fork can then wait for the only one there is, so
# that the child finds neither a lock that nobody will release nor half a commit.
_MEMORY = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_MEMORY.acquire, after_in_parent=_MEMORY.release, after_in_child=_MEMORY.release
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What one commit changes; a name is never both saved and destroyed.

    Attributes:
        objects: JSON text by object id.
        destroyed_objects: Ids of objects that are to be gone.
        globs: JSON text by the name of a global.
        destroyed_globs: Names of globals that are to be gone.
    """

    objects: dict[str, str]
    destroyed_objects: set[str]
    globs: dict[str, str]
    destroyed_globs: set[str]


class Hook(ABC):
    """A unit of work over a shared store of JSON objects and named globals.

    A new instance is made for each unit, and it is not for sharing between threads. What is saved or
    destroyed is staged in the unit, which reads its own writes; others see it after `commit`. The unit goes
    on after `commit` and `rollback`. As a context manager it commits, or rolls back when the block raises:

        with JsOrc.src("hook") as hook:
            hook.save_obj("user:1", {"name": "Ada"})

    Values are JSON, and dataclasses, msgspec Structs, tuples, Enum members, datetime, date, time and UUID,
    which come back as the JSON that msgspec makes of them. They are encoded when they are saved, so later
    changes to the value are not stored, and every read returns a fresh copy. Ids and names are strings of 1
    to 255 characters without NUL. What cannot be stored is an `UnstorableValue`, which is both a TypeError
    and a ValueError. Every method that asks the store raises `ServiceUnavailable` when it does not answer.

    Nothing that was read is kept: each read that the staged work does not answer asks the store and sees the
    last commit. A backend that does keep what it read overrides `clear_cache`.

    A backend implements the methods with a leading underscore. They see valid names and JSON text only, never
    an empty collection or an empty change, and may give text back as str or as UTF-8 bytes.
    """

    persistent: ClassVar[bool] = True
    """Whether what is committed outlives this process."""

    __slots__ = ("_globs", "_objects")

    def __init__(self) -> None:
        self._objects: _Staged = {}
        self._globs: _Staged = {}

    def get_obj(self, id: str, default: Any = None) -> Any:
        """Read one object.

        Args:
            id: The object's id.
            default: What to return when there is no such object; returned as it is.

        Returns:
            A fresh copy of the object, or `default`.

        Raises:
            UnstorableValue: The id is not one.
            ServiceUnavailable: The store does not answer.
        """
        return _read(self._objects, self._load_objects, "object", check_name("object id", id), default)

    def get_objs(self, ids: Iterable[str]) -> dict[str, Any]:
        """Read many objects in one request.

        Args:
            ids: The ids; one that is asked twice is answered once.

        Returns:
            Fresh copies by id, in the order asked; what does not exist is left out.

        Raises:
            UnstorableValue: An id is not one, or `ids` is a single string.
            ServiceUnavailable: The store does not answer.
        """
        if isinstance(ids, str):
            # It would be read as one id a character.
            raise UnstorableValue(
                f"ids: wanted a collection of object ids, found one string; get_obj({ids!r})?"
            )
        wanted = dict.fromkeys([check_name("object id", id) for id in ids])
        staged = self._objects
        unstaged = [id for id in wanted if id not in staged] if staged else list(wanted)
        texts: Mapping[str, bytes | str | None] = self._load_objects(unstaged) if unstaged else {}
        if staged:
            texts = {**texts, **{id: staged[id] for id in wanted if id in staged}}
        decode, found = decoder(), {}
        id = ""
        try:
            for id in wanted:
                text = texts.get(id)
                if text is not None:
                    found[id] = decode(text)
        except ValueError as error:
            raise _not_json("object", id, error) from error
        return found

    def has_obj(self, id: str) -> bool:
        """Tell whether an object exists, in this unit's view.

        Args:
            id: The object's id.

        Returns:
            True if `get_obj` would find it.

        Raises:
            UnstorableValue: The id is not one.
            ServiceUnavailable: The store does not answer.
        """
        return _exists(self._objects, self._load_objects, check_name("object id", id))

    def save_obj(self, id: str, value: Any) -> None:
        """Stage an object: created, or replaced, at the next commit.

        Args:
            id: The object's id.
            value: What to store, as it is now.

        Raises:
            UnstorableValue: The id is not one, or the value would not come back as it was given; nothing is
                staged then, and what was staged before stays.
        """
        id = check_name("object id", id)
        self._objects[id] = encode(value, "object", id)

    def destroy_obj(self, id: str) -> bool:
        """Stage the end of an object.

        Args:
            id: The object's id.

        Returns:
            True if there was one in this unit's view; False, with nothing staged, if not.

        Raises:
            UnstorableValue: The id is not one.
            ServiceUnavailable: The store does not answer.
        """
        return _destroy(self._objects, self._load_objects, check_name("object id", id))

    def list_objs(self, prefix: str = "", after: str | None = None, limit: int | None = None) -> list[str]:
        """List ids in code-point order, staged changes merged in.

        Pages are read by giving the last id of one page as `after` of the next.

        Args:
            prefix: Only ids that begin with it.
            after: Only ids greater than this one, which need not exist.
            limit: At most so many ids; None for all.

        Returns:
            The ids.

        Raises:
            UnstorableValue: `prefix` or `after` is not a string that an id can be compared with.
            TypeError: `limit` is not an integer.
            ValueError: `limit` is negative.
            ServiceUnavailable: The store does not answer.
        """
        prefix = check_text("prefix", prefix)
        after = None if after is None else check_text("after", after)
        if limit is not None:
            if type(limit) is not int:
                raise TypeError(f"limit: wanted an integer or None, found {type(limit).__qualname__}")
            if limit < 0:
                raise ValueError(f"limit: wanted 0 or more, found {limit}")
            if limit == 0:
                return []
        staged = {
            id: text
            for id, text in self._objects.items()
            if id.startswith(prefix) and (after is None or id > after)
        }
        destroyed = sum(text is None for text in staged.values())
        # Each staged end can hide one id that the store counts towards the limit.
        stored = self._list_object_ids(prefix, after, None if limit is None else limit + destroyed)
        return _merged(stored, staged)[:limit]

    def get_glob(self, name: str, default: Any = None) -> Any:
        """Read one global.

        Args:
            name: The global's name.
            default: What to return when there is no such global; returned as it is.

        Returns:
            A fresh copy of its value, or `default`.

        Raises:
            UnstorableValue: The name is not one.
            ServiceUnavailable: The store does not answer.
        """
        return _read(self._globs, self._load_globs, "global", check_name("name of a global", name), default)

    def has_glob(self, name: str) -> bool:
        """Tell whether a global exists, in this unit's view.

        Args:
            name: The global's name.

        Returns:
            True if `get_glob` would find it.

        Raises:
            UnstorableValue: The name is not one.
            ServiceUnavailable: The store does not answer.
        """
        return _exists(self._globs, self._load_globs, check_name("name of a global", name))

    def save_glob(self, name: str, value: Any) -> None:
        """Stage a global: created, or replaced, at the next commit.

        Args:
            name: The global's name.
            value: What to store, as it is now.

        Raises:
            UnstorableValue: The name is not one, or the value would not come back as it was given; nothing is
                staged then, and what was staged before stays.
        """
        name = check_name("name of a global", name)
        self._globs[name] = encode(value, "global", name)

    def destroy_glob(self, name: str) -> bool:
        """Stage the end of a global.

        Args:
            name: The global's name.

        Returns:
            True if there was one in this unit's view; False, with nothing staged, if not.

        Raises:
            UnstorableValue: The name is not one.
            ServiceUnavailable: The store does not answer.
        """
        return _destroy(self._globs, self._load_globs, check_name("name of a global", name))

    def list_glob(self, prefix: str = "") -> list[str]:
        """List the names of globals in code-point order, staged changes merged in.

        Args:
            prefix: Only names that begin with it.

        Returns:
            The names.

        Raises:
            UnstorableValue: `prefix` is not a string that a name can be compared with.
            ServiceUnavailable: The store does not answer.
        """
        prefix = check_text("prefix", prefix)
        staged = {name: text for name, text in self._globs.items() if name.startswith(prefix)}
        return _merged(self._list_glob_names(prefix), staged)

    def refuse_deadlock(self) -> None:  # noqa: B027 - most backends have nothing to refuse
        """Raise where a write on another thread would wait for what the calling thread holds.

        JsOrc asks before it writes stored settings, which it does on a thread with a deadline. A backend
        whose transactions belong to the caller's thread overrides this.

        Raises:
            ServiceUnavailable: It would; the message says what the caller has to end first.
        """

    def get_or_create_glob(self, name: str, default: Any) -> Any:
        """Read a global, or create it at once, atomically across threads and processes.

        What is created is not staged: others see it now, and `rollback` does not undo it. Where this unit
        has staged a value, that value wins and nothing is written; where it has staged the global's end,
        `default` is staged in its place, since the store still holds what the commit replaces.

        Args:
            name: The global's name.
            default: The value it gets if there is none; checked whether it is needed or not.

        Returns:
            A fresh copy of the value that stands, whoever created it.

        Raises:
            UnstorableValue: The name is not one, or the default would not come back as it was given.
            ServiceUnavailable: The store does not answer. Whether the global was created is unknown then, and
                calling again is safe.
        """
        name = check_name("name of a global", name)
        encoded = encode(default, "global", name)
        if name not in self._globs:
            return _decoded("global", name, self._create_glob(name, encoded))
        staged = self._globs[name]
        if staged is None:
            staged = self._globs[name] = encoded
        return _decoded("global", name, staged)

    def commit(self) -> None:
        """Make the staged work visible to others, all of it or nothing, and go on with an empty unit.

        The last writer of a name wins. A unit with nothing staged does not ask the store.

        Raises:
            ServiceUnavailable: The store did not answer, so the outcome is unknown. The staged work is kept,
                and committing again is safe. It is kept after any other exception too.
        """
        if not self._objects and not self._globs:
            return
        self._apply(Changes(*_split(self._objects), *_split(self._globs)))
        self.rollback()

    def rollback(self) -> None:
        """Forget the staged work; what `get_or_create_glob` created stays."""
        self._objects = {}
        self._globs = {}

    def clear_cache(self) -> None:  # noqa: B027 - complete as it is for a hook that keeps no reads
        """Forget what was read, so that the next reads ask the store; staged work is kept.

        Here there is nothing to forget, since no read is kept. Code that must see the newest commit of others
        calls it all the same, because another hook may win.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()

    @abstractmethod
    def _load_objects(self, ids: Sequence[str]) -> Mapping[str, bytes | str]:
        """Return the committed text of these objects, in any order; what does not exist is left out."""

    @abstractmethod
    def _load_globs(self, names: Sequence[str]) -> Mapping[str, bytes | str]:
        """Return the committed text of these globals, in any order; what does not exist is left out."""

    @abstractmethod
    def _list_object_ids(self, prefix: str, after: str | None, limit: int | None) -> Sequence[str]:
        """Return the first `limit` ids by code point that have the prefix and are greater than `after`."""

    @abstractmethod
    def _list_glob_names(self, prefix: str) -> Sequence[str]:
        """Return the committed names that begin with `prefix`, in any order."""

    @abstractmethod
    def _create_glob(self, name: str, encoded: str) -> bytes | str:
        """Create a global unless it exists, atomically across processes; return the text that then stands."""

    @abstractmethod
    def _apply(self, changes: Changes) -> None:
        """Apply all changes or none; raise ServiceUnavailable when the outcome is unknown.

        Applying the same changes again, after they were applied, must give the same store.
        """


def _read(staged: _Staged, load: _Load, kind: str, name: str, default: Any) -> Any:
    text = staged[name] if name in staged else load([name]).get(name)
    return default if text is None else _decoded(kind, name, text)


def _exists(staged: _Staged, load: _Load, name: str) -> bool:
    return staged[name] is not None if name in staged else name in load([name])


def _destroy(staged: _Staged, load: _Load, name: str) -> bool:
    existed = _exists(staged, load, name)
    if existed:
        # Staged also where only this unit has saved it: the store may hold an older one.
        staged[name] = None
    return existed


def _decoded(kind: str, name: str, text: bytes | str) -> Any:
    try:
        return decoder()(text)
    except ValueError as error:
        raise _not_json(kind, name, error) from error


def _not_json(kind: str, name: str, error: ValueError) -> JsOrcError:
    return JsOrcError(
        f"the store holds no JSON for {kind} {name!r} ({error}), so another program wrote it: save it anew, "
        "destroy it, or use another store"
    )


def _merged(stored: Sequence[str], staged: _Staged) -> list[str]:
    """The stored names with the staged changes, in code-point order, which is how Python compares strings."""
    names = [name for name in stored if name not in staged]
    names += [name for name, text in staged.items() if text is not None]
    names.sort()
    return names


def _split(staged: _Staged) -> tuple[dict[str, str], set[str]]:
    saved = {name: text for name, text in staged.items() if text is not None}
    return saved, staged.keys() - saved.keys()


class MemoryStore:
    """The objects and globals that `MemoryHook` units share; it ends with the process.

    Attributes:
        objects: JSON text by object id.
        globs: JSON text by the name of a global.
        ordered: The ids in order, made when they are listed and dropped when the set of ids changes.
    """

    __slots__ = ("globs", "objects", "ordered")

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.globs: dict[str, str] = {}
        self.ordered: list[str] | None = None


class MemoryHook(Hook):
    """A hook over a `MemoryStore`: complete, and nothing is persisted.

    Args:
        store: What to share with other units; None for a store of this unit's own. `JsOrc.src("hook")` gives
            the store of the orchestrator.
    """

    persistent = False

    __slots__ = ("_store",)

    def __init__(self, store: MemoryStore | None = None) -> None:
        # What Hook's constructor does; calling it would cost as much again.
        self._objects = {}
        self._globs = {}
        self._store = MemoryStore() if store is None else store

    @classmethod
    def bind(cls, orchestrator: _Sharing) -> Callable[[], Self]:
        """Return the factory of units that share the orchestrator's one store.

        Args:
            orchestrator: Who owns the store, through `shared(MemoryStore)`.

        Returns:
            A callable without arguments that makes a new unit.
        """
        return functools.partial(cls, orchestrator.shared(MemoryStore))

    def _load_objects(self, ids: Sequence[str]) -> dict[str, str]:
        with _MEMORY:
            return _chosen(self._store.objects, ids)

    def _load_globs(self, names: Sequence[str]) -> dict[str, str]:
        with _MEMORY:
            return _chosen(self._store.globs, names)

    def _list_object_ids(self, prefix: str, after: str | None, limit: int | None) -> list[str]:
        store = self._store
        with _MEMORY:
            ids = store.ordered
            if ids is None:
                ids = store.ordered = sorted(store.objects)
        # Never changed in place, so it can be searched without the lock.
        start = bisect_left(ids, prefix)
        if after is not None:
            start = max(start, bisect_right(ids, after))
        stop = bisect_left(ids, True, lo=start, key=lambda id: not id.startswith(prefix))
        return ids[start : stop if limit is None else min(stop, start + limit)]

    def _list_glob_names(self, prefix: str) -> list[str]:
        with _MEMORY:
            return [name for name in self._store.globs if name.startswith(prefix)]

    def _create_glob(self, name: str, encoded: str) -> str:
        with _MEMORY:
            return self._store.globs.setdefault(name, encoded)

    def _apply(self, changes: Changes) -> None:
        store = self._store
        with _MEMORY:
            before = len(store.objects)
            store.objects.update(changes.objects)
            if len(store.objects) != before or changes.destroyed_objects:
                store.ordered = None
            store.globs.update(changes.globs)
            for id in changes.destroyed_objects:
                store.objects.pop(id, None)
            for name in changes.destroyed_globs:
                store.globs.pop(name, None)


def _chosen(texts: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: texts[name] for name in names if name in texts}
