"""The facts of registration: what a candidate is, who brings it, and what `explain` says of it.

Ranking them, and importing the class of the winner, is `registry`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jsorc.errors import RegistrationError

__all__ = ["APPLICATION", "PILLARS", "Candidate", "Owner", "Pillar", "Registration", "package_of"]

Pillar = Literal["service", "repository", "context"]
PILLARS: tuple[Pillar, ...] = ("service", "repository", "context")

APPLICATION = "application"
"""Stands in place of a distribution name where the application itself registered a class."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One candidate for one name.

    Attributes:
        pillar: What kind of thing it is.
        name: The name that it stands under.
        target: `"package.module:Class"`.
        priority: The highest wins.
        distribution: Who brings it: a distribution's name, or `APPLICATION`.
        version: The distribution's version.
        config: For a service, the name of the setting that holds its config.
        manifest: For a service, the name of the setting that holds its manifest.
        proxy: For a service, whether a stand-in may take its place while stored settings are read.
        needs: Services that must start first.
        cls: The class, once it is known.
    """

    pillar: Pillar
    name: str
    target: str
    priority: int = 0
    distribution: str = APPLICATION
    version: str | None = None
    config: str | None = None
    manifest: str | None = None
    proxy: bool = False
    needs: tuple[str, ...] = ()
    cls: type | None = None

    def __post_init__(self) -> None:
        given: Mapping[str, Any] = {  # what a plugin gave may be of any type
            name: getattr(self, name) for name in ("name", "priority", "config", "manifest", "needs")
        }
        of = f"{self.pillar} {self.name!r} ({self.target} of {self.distribution})"
        if not isinstance(given["name"], str) or not given["name"]:
            raise RegistrationError(f"{of}: a name is a string that is not empty")
        if not isinstance(given["priority"], int) or isinstance(given["priority"], bool):
            raise RegistrationError(
                f"{of}: priority is {self.priority!r}; it must be an int, the highest wins"
            )
        module, colon, qualname = self.target.partition(":")
        if not (module and colon and qualname):
            raise RegistrationError(f"{of}: a target is written 'package.module:Class', not {self.target!r}")
        for setting in (given["config"], given["manifest"]):
            if setting is not None and not isinstance(setting, str):
                raise RegistrationError(
                    f"{of}: config and manifest are names of settings, such as "
                    f"'{self.name.upper()}_CONFIG', not {type(setting).__name__}"
                )
        if isinstance(given["needs"], str) or not all(isinstance(need, str) for need in given["needs"]):
            raise RegistrationError(f"{of}: needs is a list of service names, not {self.needs!r}")

    @property
    def package(self) -> str:
        """The top-level package of the target."""
        return package_of(self.target)

    @property
    def settings(self) -> list[str]:
        """The names of the settings that it refers to."""
        return [setting for setting in (self.config, self.manifest) if setting is not None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of `explain`: one candidate and what became of it.

    Attributes:
        pillar: The pillar that the name stands in.
        distribution: Who brings it.
        version: Its version; None for the application's own.
        priority: Its priority; None where the plugin did not load, so that nobody knows.
        target: Its class, or the plugin's entry point where the plugin did not load.
        status: `selected`, `pinned`, `outranked`, `tied`, `blocked` or `failed: …`.
    """

    pillar: Pillar
    distribution: str
    version: str | None
    priority: int | None
    target: str
    status: str


@dataclass(frozen=True, slots=True)
class Owner:
    """A discovered plugin as the registry sees it: the classes under its top-level package are its own.

    Attributes:
        distribution: The distribution's name.
        version: Its version.
        target: What its entry point names.
        status: `""` when its classes may be used, else `blocked` or `failed: …`.
    """

    distribution: str
    version: str | None
    target: str
    status: str = ""


def package_of(target: str) -> str:
    """The top-level package of a target or an entry point."""
    return target.partition(":")[0].partition(".")[0].strip()
