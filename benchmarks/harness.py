"""How a promise about speed is measured: interleaved pairs, their median and spread, against a target.

What is measured is in the modules beside this one. A ratio is taken within a pair, so that a machine that
slows down slows both halves.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Measure", "Row", "difference", "once", "python", "ratio", "repeated", "table"]

PAIRS = 9

Measure = Callable[[], float]
"""Does the work once and returns the seconds it took."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `target` is None where only a comparison is wanted."""

    what: str
    floor: str
    median: float
    low: float
    high: float
    unit: str
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the promise is kept."""
        if self.target is None:
            return ""
        return "met" if self.median <= self.target else "missed"


def repeated(statement: str, names: dict[str, Any], number: int = 200_000) -> Measure:
    """Measures one execution of a short statement, as the mean of `number`."""
    timer = timeit.Timer(statement, globals=names)
    return lambda: timer.timeit(number) / number


def once(work: Callable[[], object]) -> Measure:
    """Measures one call of something that takes milliseconds."""

    def measure() -> float:
        gc.collect()
        began = timeit.default_timer()
        work()
        return timeit.default_timer() - began

    return measure


def python(code: str, **variables: str) -> str:
    """What a fresh interpreter prints that runs `code`; it keeps bytecode, as an installed package has it."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def ratio(
    what: str,
    measured: Measure,
    floor_name: str,
    floor: Measure,
    target: float | None = None,
    pairs: int = PAIRS,
) -> Row:
    """The median of `measured / floor` over interleaved pairs."""
    return _row(what, floor_name, "x", target, [high / low for high, low in _pairs(measured, floor, pairs)])


def difference(
    what: str,
    measured: Measure,
    floor_name: str,
    floor: Measure,
    target: float | None = None,
    pairs: int = PAIRS,
) -> Row:
    """The median of `measured - floor` in milliseconds over interleaved pairs."""
    return _row(
        what, floor_name, "ms", target, [(high - low) * 1000 for high, low in _pairs(measured, floor, pairs)]
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as text, aligned."""
    lines = [("what", "over", "median", "spread", "target", "")]
    for row in rows:
        digits = 2 if row.unit == "x" else 1
        lines.append(
            (
                row.what,
                row.floor,
                f"{row.median:.{digits}f} {row.unit}",
                f"{row.low:.{digits}f} to {row.high:.{digits}f}",
                "" if row.target is None else f"<= {row.target:g} {row.unit}",
                row.verdict,
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [lines[0], tuple(rule), *lines[1:]]
    )


def _pairs(measured: Measure, floor: Measure, pairs: int) -> list[tuple[float, float]]:
    """Interleaved measurements; the order within a pair alternates, and one pair before them warms up."""
    measured(), floor()
    taken: list[tuple[float, float]] = []
    for number in range(pairs):
        if number % 2:
            below = floor()
            taken.append((measured(), below))
        else:
            above = measured()
            taken.append((above, floor()))
    return taken


def _row(what: str, floor: str, unit: str, target: float | None, values: list[float]) -> Row:
    return Row(what, floor, statistics.median(values), min(values), max(values), unit, target)
