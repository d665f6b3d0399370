"""What a RedisHook costs above redis-py itself, with 10,000 objects of about 200 bytes on a real server.

The raw work uses the very client of the service, and texts that were encoded beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.harness import Row, once, ratio
from benchmarks.server import redis

__all__ = ["rows"]

COUNT = 10_000
SIZE = 200


def rows() -> Iterator[Row]:
    """Commit against SETs and against MSET with an index, then get_objs against MGET."""
    with redis():
        from jsorc import JsOrc

        # Another distribution may outrank it.
        JsOrc.configure(JSORC_CONFIG={"use": {"hook": "jsorc-redis"}})

        client = JsOrc.svc("redis").poke()
        objects = {f"object:{number:06d}": _object(number) for number in range(COUNT)}
        encoded = {f"raw:{name}": json.dumps(value, separators=(",", ":")) for name, value in objects.items()}
        names = list(objects)
        index = dict.fromkeys(names, 0)

        def commit() -> None:
            hook = JsOrc.src("hook")
            for name, value in objects.items():
                hook.save_obj(name, value)
            hook.commit()

        def sets() -> None:
            pipeline = client.pipeline()
            for key, text in encoded.items():
                pipeline.set(key, text)
            pipeline.execute()

        def mset() -> None:
            pipeline = client.pipeline()
            pipeline.mset(encoded)
            pipeline.zadd("raw-index", index)
            pipeline.execute()

        def get_objs() -> None:
            assert len(JsOrc.src("hook").get_objs(names)) == COUNT

        def mget() -> None:
            assert len(client.mget(list(encoded))) == COUNT

        of = f"{COUNT:,} x {SIZE} B"
        assert type(JsOrc.src("hook")).__name__ == "RedisHook"
        yield ratio(
            f"RedisHook commit, {of}", once(commit), "pipeline of SETs, encoded", once(sets), target=1.0
        )
        yield ratio(f"RedisHook commit, {of}", once(commit), "MSET + index, encoded", once(mset), target=2.5)
        yield ratio(f"RedisHook get_objs, {of}", once(get_objs), "MGET, not decoded", once(mget), target=2.0)


def _object(number: int) -> dict[str, object]:
    """An object whose JSON is `SIZE` bytes."""
    value = {"number": number, "name": f"object {number}", "tags": ["a", "b", "c"], "text": ""}
    value["text"] = "x" * (SIZE - len(json.dumps(value, separators=(",", ":"))))
    return value
