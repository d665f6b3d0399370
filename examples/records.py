"""An application that keeps the characters of Unicode, and does not know which store it was given.

It imports nothing but `jsorc`; what is installed beside it decides where the records live.

    python records.py who        which store would be used, and why
    python records.py serve      start what is installed, until standard input ends
    python records.py load       save the records, in one commit
    python records.py verify     read every record back and compare it
"""

from __future__ import annotations

import itertools
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from jsorc import CommonService, JsOrc, ServiceState, hookimpl

COUNT = 10_000


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    """The first `COUNT` characters that have a name, by their id, with their properties."""
    named = (char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.name(char, ""))
    for char in itertools.islice(named, COUNT):
        yield (
            f"char:{ord(char):06X}",
            {
                "char": char,
                "name": unicodedata.name(char),
                "category": unicodedata.category(char),
                "bidirectional": unicodedata.bidirectional(char),
                "combining": unicodedata.combining(char),
                "mirrored": bool(unicodedata.mirrored(char)),
                "decomposition": unicodedata.decomposition(char),
                "numeric": unicodedata.numeric(char, None),
            },
        )


def who() -> str:
    """Name the winner, and show every candidate."""
    rows = [("distribution", "version", "priority", "target", "status")]
    rows += [
        (c.distribution, str(c.version), str(c.priority), c.target, str(c.status))
        for c in JsOrc.explain("hook")
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("   ", "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return type(JsOrc.src("hook")).__name__


class Listener:
    """Says aloud how the services fare."""

    @hookimpl
    def jsorc_state_changed(self, service: CommonService[Any], new: ServiceState) -> None:
        """Print the new state; RUNNING with the process id of the server behind it."""
        said = f"{service.name} {new.name}"
        if new is ServiceState.RUNNING:
            said += f" {service.poke().info('server')['process_id']}"
        print(said, flush=True)


def serve() -> str:
    """Start what is installed, say how it fares, and stop it when standard input ends."""
    JsOrc.listen(Listener())
    JsOrc.start()
    try:
        sys.stdin.read()
    finally:
        JsOrc.stop()
    return "stopped"


def load() -> str:
    """Save every record in one commit."""
    began = time.perf_counter()
    with JsOrc.src("hook") as hook:
        for number, record in records():
            hook.save_obj(number, record)
    return f"{COUNT:,} records in one commit, {time.perf_counter() - began:.2f} s"


def verify() -> str:
    """Read every record back; raises SystemExit when one is missing or differs."""
    wanted = dict(records())
    began = time.perf_counter()
    found = JsOrc.src("hook").get_objs(list(wanted))
    took = time.perf_counter() - began
    different = [number for number, record in wanted.items() if found.get(number) != record]
    if different:
        raise SystemExit(
            f"{len(different):,} of {COUNT:,} records are missing or differ, {different[0]} first"
        )
    last = wanted[max(wanted)]
    return f"{len(found):,} records equal, {took:.2f} s; the last is {last['name']}"


COMMANDS: dict[str, Callable[[], str]] = {"who": who, "serve": serve, "load": load, "verify": verify}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(f"usage: records.py {'|'.join(COMMANDS)}")
    print(COMMANDS[sys.argv[1]]())
