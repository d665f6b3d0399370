"""What a plugin may implement, in the manner of pluggy: a module or object with functions marked `@hookimpl`.

Only the signatures live here. `plugins` calls every implementation by itself, so that one that raises does
not keep the others from being called; wrappers have no place in that and are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jsorc.orchestrator import Orchestrator
    from jsorc.provisioning import ProvisionResult
    from jsorc.service import CommonService, ServiceState

__all__ = ["PROJECT", "Register", "hookimpl"]

PROJECT = "jsorc"

F = TypeVar("F", bound=Callable[..., Any])

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin module as the implementation of the hook of the same name."""


class Register(Protocol):
    """What `jsorc_register` is given: every call adds to what the plugin brings.

    Nothing takes effect until the whole function returned, so a registration that fails leaves nothing.
    Targets are strings `"package.module:Class"` and are imported at first use; a class is accepted too.
    """

    def settings(self, **defaults: Any) -> None:
        """Declares settings and their defaults, such as `REDIS_CONFIG={"port": 6379}`."""

    def env(self, **variables: str) -> None:
        """Lets environment variables set keys: `REDIS_HOST="REDIS_CONFIG.host"`."""

    def service(
        self,
        name: str,
        target: str | type,
        *,
        config: str | None = None,
        manifest: str | None = None,
        priority: int = 0,
        proxy: bool = False,
        needs: Iterable[str] = (),
    ) -> None:
        """Adds a candidate for the service `name`."""

    def repository(
        self, name: str, target: str | type, *, priority: int = 0, needs: Iterable[str] = ()
    ) -> None:
        """Adds a candidate for the repository `name`."""

    def context(self, name: str, target: str | type, *, priority: int = 0) -> None:
        """Adds a candidate for the context `name`."""

    def has_plugin(self, distribution: str) -> bool:
        """Whether another distribution's plugin is installed and not blocked.

        Whoever brings something that only works on top of another plugin asks before registering it.
        """


def _typed(marker: Any) -> Callable[[F], F]:
    return cast("Callable[[F], F]", marker)


@_typed(hookspec)
def jsorc_register(register: Register) -> None:
    """Tells what the plugin brings: settings, services, repositories and contexts.

    Args:
        register: Takes what is brought; see `Register`.
    """


@_typed(hookspec(firstresult=True))
def jsorc_provision(
    service: CommonService[Any] | None, manifest: Mapping[str, Any] | str
) -> ProvisionResult | None:
    """Provides what a service runs on; the first plugin that answers is believed, then tested.

    Args:
        service: The service that could not start; None for the database stage, and for what belongs to none.
        manifest: The manifest as its setting has it, untouched.

    Returns:
        What was done, or None to leave it to others. Whatever was answered, the service is started and
        pinged after. What is raised leaves it to others too, and is told where none of them answers.
    """


@_typed(hookspec(firstresult=True))
def jsorc_database_ready(orchestrator: Orchestrator) -> bool | None:
    """Says whether the database can be reached; None when the plugin has no database.

    Args:
        orchestrator: The one that starts.
    """


@_typed(hookspec)
def jsorc_database_prepare(orchestrator: Orchestrator) -> None:
    """Brings the database up to date, by migrations for one; called in `start()` once the database answers.

    Args:
        orchestrator: The one that starts.
    """


@_typed(hookspec(firstresult=True))
def jsorc_is_leader() -> bool | None:
    """Says whether this replica is the one that provisions; nobody answers: it is."""


@_typed(hookspec)
def jsorc_state_changed(
    service: CommonService[Any], old: ServiceState, new: ServiceState, error: BaseException | None
) -> None:
    """Hears of every change of a service's state, in order and once, on a thread of its own.

    Args:
        service: The service; its `name` says which.
        old: The state that it left.
        new: The state that it entered.
        error: What failed, when `new` is FAILED.
    """


@_typed(hookspec)
def jsorc_cli(app: Any) -> None:
    """Adds commands to the `jsorc` command.

    Args:
        app: The `typer.Typer` application.
    """
