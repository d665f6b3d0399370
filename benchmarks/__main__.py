"""Runs every benchmark, each in a process of its own, and prints one table; a missed target is no error.

`python -m benchmarks` measures all, `python -m benchmarks lookup` one;
what is measured is in the modules beside this.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys

from benchmarks.harness import Row, table

BENCHMARKS = (
    "lookup",
    "importing",
    "discovery",
    "redis_hook",
    "supervision",
    "orm_hook",
    "http_api",
    "task",
)


def main(names: list[str]) -> None:
    """Measure and print; what could not be measured is named below the table."""
    rows: list[Row] = []
    failures: list[str] = []
    for name in names or BENCHMARKS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--rows", name],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        lines = done.stdout.splitlines()
        rows += [Row(**json.loads(line)) for line in lines if line.startswith("{")]
        if done.returncode != 0:
            failures.append(f"{name} ended with status {done.returncode}; what it said is above")
    print(table(rows))
    for failure in failures:
        print(failure)


def print_rows(name: str) -> None:
    """Measure one benchmark in this process; a row is a line of JSON, printed as soon as it is known."""
    for row in importlib.import_module(f"benchmarks.{name}").rows():
        print(json.dumps(dataclasses.asdict(row)), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rows"]:
        print_rows(sys.argv[2])
    else:
        main(sys.argv[1:])
