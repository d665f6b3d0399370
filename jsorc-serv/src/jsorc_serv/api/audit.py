"""The log of changes: an entry before a change, without which it is not made, and its outcome after.

How long entries are kept is in `pruning`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error
from django.http import HttpRequest

from jsorc.redaction import get_logger, mask, mask_text
from jsorc_serv.api.access import Identity, address_of, serv_config
from jsorc_serv.api.models import AuditEntry
from jsorc_serv.api.pruning import Pruner
from jsorc_serv.current import orchestrator

__all__ = ["audited"]

log = get_logger("jsorc.serv.audit")

_LONGEST = 10_000
"""Characters of a detail or an outcome that are kept."""


@contextmanager
def audited(
    request: HttpRequest,
    identity: Identity,
    action: str,
    target: str = "",
    detail: Any = None,
    secret_keys: tuple[str, ...] = (),
) -> Iterator[None]:
    """Logs a change around what makes it.

    Args:
        request: The request that asks for it.
        identity: Who asks.
        action: Which change.
        target: What is changed: a name that was found, never just what was sent.
        detail: What was sent, as JSON values.
        secret_keys: Further keys of it that are secrets.

    Raises:
        django.db.Error: The entry cannot be written, so the change is not made.
    """
    text = json.dumps(mask(detail, secret_keys)) if detail is not None else ""
    entry = AuditEntry.objects.create(
        actor=identity.name,
        means=identity.means,
        address=address_of(request),
        action=action,
        target=target[:300],
        detail=text[:_LONGEST],
    )
    outcome = "done"
    try:
        yield
    except BaseException as error:
        outcome = mask_text(f"{type(error).__name__}: {error}").replace("\0", "\N{REPLACEMENT CHARACTER}")
        raise
    finally:
        outcome = outcome.encode("utf-8", "replace").decode()[:_LONGEST]
        log.info("%s %s by %s (%s): %s", action, target, identity.name, identity.means, outcome)
        try:
            AuditEntry.objects.filter(pk=entry.pk).update(outcome=outcome)
        except Error as error:
            log.error("the outcome of change %d was not written to the log of changes: %s", entry.pk, error)
        _prune()


def _prune() -> None:
    try:
        removed = orchestrator().shared(Pruner).prune(serv_config().audit_days)
    except Error as error:
        log.warning("the log of changes was not pruned: %s", error)
    else:
        if removed:
            log.info("%d old entries were removed from the log of changes", removed)
