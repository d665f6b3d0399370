"""The hook on Redis: how a unit of work is read from, and committed to, keys of one namespace.

Staging, encoding and merging are `jsorc.unit_of_work.Hook`'s; what the client's errors mean is in `failures`.
redis-py is not imported until the first operation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ReferenceType, ref

from jsorc.errors import JsOrcError, ServiceUnavailable
from jsorc.unit_of_work import Hook

if TYPE_CHECKING:
    from jsorc.orchestrator import Orchestrator
    from jsorc.unit_of_work import Changes

__all__ = ["RedisHook", "RedisStore"]

T = TypeVar("T")

_READ_CHUNK = 5_000
"""Keys of one MGET: beyond this it gets no faster, and other clients wait for it."""

_WRITE_CHUNK = 50_000
"""Entries of one command inside the transaction; the server takes a million words a command."""

_LIST_PAGE = 10_000

_CREATE_GLOB = b"""
local standing = redis.call('GET', KEYS[1])
if standing then return standing end
redis.call('ZADD', KEYS[2], 0, ARGV[2])
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
"""
"""SET with NX and GET would do from Redis 7 on, but not the index in the same step. The index comes first:
where its key is somebody else's, the script ends there."""


class RedisHook(Hook):
    """A unit of work on Redis, priority 1 under the name `hook`.

    `JsOrc.src("hook")` makes one; nothing is connected until its first operation. A commit is one MULTI/EXEC:
    what goes in, and the indexes that `list_objs` and `list_glob` read, change together or not at all.

    Args:
        store: The keys and the client that all hooks of an orchestrator share.
    """

    __slots__ = ("_store",)

    def __init__(self, store: RedisStore) -> None:
        super().__init__()
        self._store = store

    @classmethod
    def bind(cls, orchestrator: Orchestrator) -> Callable[[], RedisHook]:
        """Makes the factory that `JsOrc.src("hook")` calls.

        Args:
            orchestrator: Whose service `redis` and namespace the hooks use.

        Returns:
            A callable without arguments.
        """
        return partial(cls, RedisStore(orchestrator))

    def _load_objects(self, ids: Sequence[str]) -> dict[str, bytes]:
        return self._store.load(b"o:", ids)

    def _load_globs(self, names: Sequence[str]) -> dict[str, bytes]:
        return self._store.load(b"g:", names)

    def _list_object_ids(self, prefix: str, after: str | None, limit: int | None) -> list[str]:
        return self._store.names(b"ids", prefix, after, limit)

    def _list_glob_names(self, prefix: str) -> list[str]:
        return self._store.names(b"names", prefix, None, None)

    def _create_glob(self, name: str, encoded: str) -> bytes:
        return self._store.create_glob(name, encoded)

    def _apply(self, changes: Changes) -> None:
        self._store.apply(changes)


class RedisStore:
    """The keys of one namespace, reached through the service `redis`.

    An object is a string under `{jsorc:<namespace>}:o:<id>`, a glob one under `…:g:<name>`; the sorted sets
    `…:ids` and `…:names` hold what exists, all at score 0, so that Redis orders it by bytes, which for UTF-8
    is by code point. The braces keep everything in one slot of a Redis Cluster, or no transaction could span
    it.

    Args:
        orchestrator: Asked for the service at every operation, since a service that was regenerated is
            another instance with another client.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._root: bytes | None = None
        self._checked: ReferenceType[Any] | None = None

    def load(self, room: bytes, ids: Sequence[str]) -> dict[str, bytes]:
        """Reads values; missing ones are left out.

        Args:
            room: `b"o:"` for objects, `b"g:"` for globs.
            ids: What to read.

        Returns:
            UTF-8 encoded JSON by id.

        Raises:
            ServiceUnavailable: Redis cannot be used.
        """
        start = self._key(room)

        def read(client: Any) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for chunk in _chunks(ids, _READ_CHUNK):
                keys = [start + id_.encode() for id_ in chunk]
                values = client.execute_command("MGET", *keys, NEVER_DECODE=True)
                found.update(
                    (id_, value) for id_, value in zip(chunk, values, strict=True) if value is not None
                )
            return found

        return self._ask(read)

    def names(self, index: bytes, prefix: str, after: str | None, limit: int | None) -> list[str]:
        """Lists what exists, in code-point order.

        Args:
            index: `b"ids"` or `b"names"`.
            prefix: Only what begins so.
            after: Only what comes after this.
            limit: At most so many; None for all.

        Returns:
            The ids or names.

        Raises:
            ServiceUnavailable: Redis cannot be used.
        """
        key = self._key(index)
        begin = prefix.encode()
        low = b"[" + begin if begin else b"-"
        if after is not None and after.encode() >= begin:
            low = b"(" + after.encode()
        # 0xff is in no UTF-8 text, so this is above everything that begins with the prefix.
        high = b"(" + begin + b"\xff" if begin else b"+"

        def read(client: Any) -> list[str]:
            found: list[str] = []
            start = low
            while limit is None or len(found) < limit:
                count = _LIST_PAGE if limit is None else min(_LIST_PAGE, limit - len(found))
                page: list[bytes] = client.execute_command(
                    "ZRANGEBYLEX", key, start, high, "LIMIT", 0, count, NEVER_DECODE=True
                )
                found.extend(entry.decode() for entry in page)
                if len(page) < count:
                    break
                start = b"(" + page[-1]
            return found

        return self._ask(read)

    def create_glob(self, name: str, encoded: str) -> bytes:
        """Creates a glob unless it exists, in one step of the server.

        Args:
            name: Its name.
            encoded: Its value as JSON text.

        Returns:
            The JSON that stands afterwards.

        Raises:
            ServiceUnavailable: Redis cannot be used; the glob may have been created.
        """
        encoded_name = name.encode()
        keys = (self._key(b"g:" + encoded_name), self._key(b"names"))

        def create(client: Any) -> bytes:
            value: bytes = client.execute_command(
                "EVAL", _CREATE_GLOB, len(keys), *keys, encoded.encode(), encoded_name, NEVER_DECODE=True
            )
            return value

        return self._ask(create)

    def apply(self, changes: Changes) -> None:
        """Makes all changes in one transaction of the server.

        Args:
            changes: What to write and what to remove.

        Raises:
            ServiceUnavailable: Redis cannot be used. Where the connection was lost on the way the outcome is
                unknown; everything was applied or nothing.
            JsOrcError: The keys of the indexes belong to somebody else; nothing was applied.
        """
        commands = [
            *self._commands(b"ids", b"o:", changes.objects, changes.destroyed_objects),
            *self._commands(b"names", b"g:", changes.globs, changes.destroyed_globs),
        ]
        if not commands:
            return

        def write(client: Any) -> None:
            self._check_indexes(client)
            with client.pipeline(transaction=True) as transaction:
                for command in commands:
                    transaction.execute_command(*command)
                transaction.execute()

        self._ask(
            write,
            "Whether the commit took place is unknown; the staged work is kept and committing again is safe.",
        )

    def _commands(
        self, index: bytes, room: bytes, saved: dict[str, str], destroyed: Collection[str]
    ) -> Iterator[list[bytes]]:
        index_key, start = self._key(index), self._key(room)
        for chunk in _chunks(saved.items(), _WRITE_CHUNK):
            entries, values = [b"ZADD", index_key], [b"MSET"]
            for id_, encoded in chunk:
                name = id_.encode()
                entries += (b"0", name)
                values += (start + name, encoded.encode())
            yield entries
            yield values
        for names in _chunks(destroyed, _WRITE_CHUNK):
            encoded_names = [name.encode() for name in names]
            yield [b"ZREM", index_key, *encoded_names]
            yield [b"DEL", *(start + name for name in encoded_names)]

    def _check_indexes(self, client: Any) -> None:
        """Refuses before the first commit through a client what would fail in the middle of a transaction.

        Redis goes on after a command of a transaction that fails. The only ones here that can fail once they
        were accepted are those on the indexes, and only where another program has put something else there.
        """
        if self._checked is not None and self._checked() is client:
            return
        for key in (self._key(b"ids"), self._key(b"names")):
            kind = client.execute_command("TYPE", key, NEVER_DECODE=True)
            if kind not in (b"none", b"zset"):
                raise JsOrcError(
                    f"The key {key.decode()!r} holds a {kind.decode()} that JsOrc did not write. Remove or "
                    "rename it, or set another JSORC_CONFIG.namespace; nothing was committed."
                )
        self._checked = ref(client)

    def _key(self, rest: bytes) -> bytes:
        root = self._root
        if root is None:
            namespace = self._orchestrator.settings.core().namespace
            # The settings allow no brace in it, which would end the part that Redis Cluster hashes.
            root = self._root = b"{jsorc:" + namespace.encode() + b"}:"
        return root + rest

    def _ask(self, work: Callable[[Any], T], when_unknown: str = "") -> T:
        from jsorc_redis.failures import CLIENT_ERRORS, lost_contact

        service = self._orchestrator.svc("redis")
        client = service.poke()
        try:
            return work(client)
        except CLIENT_ERRORS as error:
            lost = lost_contact(error)
            failure = _explained(error, service)
            if lost:
                service.report(failure)
                if when_unknown and isinstance(failure, ServiceUnavailable):
                    failure = type(failure)(f"{failure} {when_unknown}")
            raise failure from error


def _explained(error: Exception, service: Any) -> JsOrcError:
    from jsorc_redis.config import Endpoint
    from jsorc_redis.failures import explain
    from jsorc_redis.service import RedisService

    if isinstance(service, RedisService):
        return service.explain(error)
    return explain(error, Endpoint.of(service.config))  # another distribution's service under the name


def _chunks(entries: Collection[Any], size: int) -> Iterator[list[Any]]:
    remaining = iter(entries)
    while chunk := list(islice(remaining, size)):
        yield chunk
