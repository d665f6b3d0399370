"""What the first question costs with 1,000 installed distributions, of which 10 are plugins.

Each measurement is a fresh process, since discovery happens once in each; the floor is what no discovery
could leave out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Measure, Row, python, ratio

__all__ = ["rows"]

DISTRIBUTIONS = 1_000
PLUGINS = 10

FLOOR = """
import time
from jsorc import JsOrc
began = time.perf_counter()
import importlib, importlib.metadata
import packaging.requirements
for entry_point in importlib.metadata.entry_points(group="jsorc.services"):
    entry_point.dist.metadata["Name"], entry_point.dist.version, entry_point.dist.requires
    importlib.import_module(entry_point.module)
print(time.perf_counter() - began)
"""
MEASURED = """
import time
from jsorc import JsOrc
began = time.perf_counter()
plugins = JsOrc.plugins()
took = time.perf_counter() - began
assert sum(plugin.distribution.startswith("bench-") for plugin in plugins) == 10, plugins
assert all(str(plugin.state) == "loaded" for plugin in plugins), plugins
print(took)
"""
PLUGIN = """
from jsorc import hookimpl

@hookimpl
def jsorc_register(register):
    register.repository("bench", "bench_{number}.store:Store", priority={number})
"""


def rows() -> Iterator[Row]:
    """One row."""
    with tempfile.TemporaryDirectory(prefix="jsorc-bench-") as name:
        folder = Path(name)
        for number in range(DISTRIBUTIONS):
            _install(folder, number, plugin=number % (DISTRIBUTIONS // PLUGINS) == 0)
        yield ratio(
            f"discovery, {DISTRIBUTIONS:,} distributions",
            _process(MEASURED, folder),
            "entry_points() + metadata + imports",
            _process(FLOOR, folder),
            target=1.25,
            pairs=21,
        )


def _install(folder: Path, number: int, *, plugin: bool) -> None:
    """Write what an installer would leave behind of one distribution."""
    info = folder / f"bench_{number}-1.0.0.dist-info"
    info.mkdir()
    requires = "Requires-Dist: jsorc-core>=0.1.0,<1\n" if plugin else "Requires-Dist: packaging>=20\n"
    metadata = f"Metadata-Version: 2.1\nName: bench-{number}\nVersion: 1.0.0\n{requires}"
    (info / "METADATA").write_text(metadata)
    entry_points = f"[console_scripts]\nbench-{number} = bench_{number}:main\n"
    if plugin:
        entry_points += f"[jsorc.services]\nbench-{number} = bench_{number}.plugin\n"
        package = folder / f"bench_{number}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "plugin.py").write_text(PLUGIN.format(number=number))
    (info / "entry_points.txt").write_text(entry_points)


def _process(code: str, folder: Path) -> Measure:
    """Measures what the program itself timed."""
    return lambda: float(python(code, PYTHONPATH=str(folder)))
