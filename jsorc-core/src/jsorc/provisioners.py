"""The call to the plugins that provision: each by itself and with a deadline, until one answers.

When a service is to be provisioned is `regeneration`'s to say; servers on this machine are `provisioning`'s.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jsorc.clock import Clock
from jsorc.daemons import call
from jsorc.errors import ProvisionError
from jsorc.plugins import Plugins
from jsorc.redaction import get_logger, mask_text, scrub
from jsorc.service import CommonService

if TYPE_CHECKING:
    from jsorc.provisioning import ProvisionResult

__all__ = ["PROVISION_TIMEOUT", "ask_provisioners"]

log = get_logger("jsorc.provisioners")

PROVISION_TIMEOUT = 60.0
"""Seconds that one provisioner has for one service."""


def ask_provisioners(
    plugins: Plugins, service: CommonService[Any] | None, manifest: Any, clock: Clock
) -> ProvisionResult | None:
    """Asks one plugin after the other to provide what a service runs on.

    Args:
        plugins: The plugins.
        service: The service; None for the database, and for what belongs to no service.
        manifest: The manifest, which is handed on untouched.
        clock: The clock of the deadlines.

    Returns:
        The first answer; None where every plugin left it to others.

    Raises:
        ProvisionError: No plugin answered, and this is what those say that raised.
    """
    whose = service.name if service is not None else "what belongs to no service"
    errors: list[BaseException] = []
    said: list[str] = []
    for name, implementation in plugins.implementations("jsorc_provision"):
        try:
            result: ProvisionResult | None = call(
                functools.partial(implementation, service=service, manifest=manifest),
                PROVISION_TIMEOUT,
                name=f"jsorc-provision-{whose} by {name}",
                clock=clock,
            )
        except (Exception, SystemExit) as error:
            said.append(mask_text(f"{name} raised {type(error).__name__}: {error}"))
            log.warning("provisioning %s: %s", whose, said[-1])
            errors.append(scrub(error))
            continue
        if result is not None:
            return result
    if errors:
        raise ProvisionError(f"no plugin provisioned it: {'; '.join(said)}") from errors[0]
    return None
