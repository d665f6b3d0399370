"""What an OrmHook costs above Django's ORM itself, with 10,000 objects of about 200 bytes, on both databases.

The raw work uses the same tables and texts that were encoded beforehand; it decodes nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import Measure, Row, once, ratio
from tests.serv.postgres import PostgresServer

__all__ = ["rows"]

COUNT = 10_000
SIZE = 200


def rows() -> Iterator[Row]:
    """Commit against bulk_create(update_conflicts=True), new and present rows; get_objs against in_bulk."""
    from tests.serv.project import Router, configure

    server = PostgresServer(config={"fsync": "on", "autovacuum": "off"})
    with tempfile.TemporaryDirectory(prefix="jsorc-bench-") as folder:
        configure(Path(folder), server.port)
        server.start()
        try:
            for alias, what in (("default", "SQLite"), ("postgres", "PostgreSQL")):
                Router.chosen = alias
                yield from _rows_on(alias, what)
        finally:
            server.remove()


def _rows_on(alias: str, what: str) -> Iterator[Row]:
    from django.core.management import call_command
    from django.db import connections, transaction

    from jsorc import JsOrc
    from jsorc_serv.models import StoredObject

    call_command("migrate", database=alias, verbosity=0)
    objects = {f"object:{number:06d}": _object(number) for number in range(COUNT)}
    encoded = {name: json.dumps(value, separators=(",", ":")) for name, value in objects.items()}
    names = list(objects)
    manager = StoredObject.objects.using(alias)

    def commit() -> None:
        hook = JsOrc.src("hook")
        for name, value in objects.items():
            hook.save_obj(name, value)
        hook.commit()

    def bulk_create() -> None:
        with transaction.atomic(alias):
            manager.bulk_create(
                [StoredObject(id=name, text=text) for name, text in encoded.items()],
                update_conflicts=True,
                unique_fields=["id"],
                update_fields=["text"],
            )

    def get_objs() -> None:
        assert len(JsOrc.src("hook").get_objs(names)) == COUNT

    def in_bulk() -> None:
        assert len(manager.in_bulk(names)) == COUNT

    def empty() -> None:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"DELETE FROM {StoredObject._meta.db_table}")
        clean()

    def clean() -> None:
        # What the measurement before has left would be paid for by this one.
        if alias == "postgres":
            with connections[alias].cursor() as cursor:
                cursor.execute(f"VACUUM {StoredObject._meta.db_table}")
                cursor.execute("CHECKPOINT")

    assert type(JsOrc.src("hook")).__name__ == "OrmHook"
    of, raw = f"{what}, {COUNT:,} x {SIZE} B", "bulk_create(update_conflicts), encoded"
    yield ratio(
        f"OrmHook commit of new ones, {of}",
        _after(empty, once(commit)),
        raw,
        _after(empty, once(bulk_create)),
        target=1.5,
    )
    yield ratio(
        f"OrmHook commit of present ones, {of}",
        _after(clean, once(commit)),
        raw,
        _after(clean, once(bulk_create)),
        target=1.5,
    )
    yield ratio(f"OrmHook get_objs, {of}", once(get_objs), "in_bulk, not decoded", once(in_bulk), target=1.5)


def _after(prepare: Callable[[], object], measure: Measure) -> Measure:
    """Measures after something that is not measured."""

    def measured() -> float:
        prepare()
        return measure()

    return measured


def _object(number: int) -> dict[str, object]:
    """An object whose JSON is `SIZE` bytes."""
    value = {"number": number, "name": f"object {number}", "tags": ["a", "b", "c"], "text": ""}
    value["text"] = "x" * (SIZE - len(json.dumps(value, separators=(",", ":"))))
    return value
