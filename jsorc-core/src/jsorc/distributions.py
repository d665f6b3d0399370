"""What the installed distributions say of themselves: their entry points, versions and requirements.

Nothing of them is imported here; loading what an entry point names is `plugins`'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jsorc.errors import PluginLoadError

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["CORE", "GROUP", "Found", "check_fence", "core_version", "found", "normalise"]

GROUP = "jsorc.services"
CORE = "jsorc-core"


@dataclass(frozen=True, slots=True)
class Found:
    """One entry point of the group, or what kept it from being read.

    Attributes:
        name: Its name.
        distribution: The distribution that has it.
        version: The distribution's version.
        target: What it names.
        requires: What the distribution requires, a line each.
        entry: What loads it; None where it could not be read.
        error: Why not.
    """

    name: str
    distribution: str
    version: str
    target: str
    requires: tuple[str, ...] = ()
    entry: EntryPoint | None = None
    error: str = ""


def found() -> list[Found]:
    """Every entry point of the group, by distribution and name; one call of `entry_points`."""
    from importlib.metadata import entry_points

    try:
        rows = [_found(entry) for entry in entry_points(group=GROUP)]
    except Exception:  # one malformed file, of whatever distribution, and nobody's entry points are read
        rows = list(_one_by_one())
    return sorted(rows, key=lambda row: (row.distribution, row.name))


def core_version() -> str | None:
    """The installed version of core; None where it runs from a folder that was not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(CORE)
    except PackageNotFoundError:
        return None


def check_fence(plugin: Found) -> None:
    """Refuses a plugin that was built for another core.

    Raises:
        PluginLoadError: Its requirement on core does not hold; the message has the line that mends it.
    """
    mine = [line for line in plugin.requires if normalise(line[: len(CORE)]) == CORE]
    version = core_version() if mine else None
    if version is None:
        return
    from packaging.requirements import Requirement

    for line in mine:
        requirement = Requirement(line)
        if normalise(requirement.name) != CORE or (requirement.marker and not requirement.marker.evaluate()):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            raise PluginLoadError(
                f"it needs {CORE}{requirement.specifier}, and {version} is installed. "
                f'Mend it with: pip install "{CORE}{requirement.specifier}", '
                f"or: pip install --upgrade {plugin.distribution}"
            )


def normalise(distribution: str) -> str:
    """A distribution's name as the packaging specifications compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _found(entry: EntryPoint) -> Found:
    if entry.dist is None:
        return Found(entry.name, entry.name, "unknown", entry.value, entry=entry)
    try:
        # `metadata` is parsed anew at each access, and `name`, `version` and `requires` each access it.
        metadata = entry.dist.metadata
        name, version = metadata["Name"], metadata["Version"]
        requires = tuple(str(line) for line in metadata.get_all("Requires-Dist") or ())
    except Exception as error:
        return Found(entry.name, entry.name, "unknown", entry.value, error=_unreadable(error))
    if not name:
        return Found(entry.name, entry.name, "unknown", entry.value, error="its METADATA has no Name")
    return Found(entry.name, str(name), str(version), entry.value, requires, entry)


def _one_by_one() -> Iterator[Found]:
    from importlib.metadata import distributions

    seen: set[str] = set()
    for distribution in distributions():
        name = _name_of(distribution)
        if normalise(name) in seen:  # the first one on the path is the one that is imported
            continue
        seen.add(normalise(name))
        try:
            entries = list(distribution.entry_points.select(group=GROUP))
        except Exception as error:
            text = distribution.read_text("entry_points.txt") or ""
            if GROUP in text:
                yield Found(name, name, "unknown", "entry_points.txt", error=_unreadable(error))
            continue
        yield from map(_found, entries)


def _name_of(distribution: Distribution) -> str:
    try:
        return str(distribution.metadata["Name"])
    except Exception:
        return f"unknown-{id(distribution):x}"


def _unreadable(error: Exception) -> str:
    return f"its metadata cannot be read ({type(error).__name__}: {error}); install it again"
