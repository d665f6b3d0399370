"""Which orchestrator the site shows and changes: the default one, or what the project's settings name."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from jsorc import JsOrc, Orchestrator

__all__ = ["orchestrator"]


def orchestrator() -> Orchestrator:
    """Gives the orchestrator.

    Returns:
        The one of the Django setting `JSORC_ORCHESTRATOR`, an Orchestrator or where to import one from, else
        `JsOrc.orchestrator`.
    """
    named = getattr(settings, "JSORC_ORCHESTRATOR", None)
    if named is None:
        return JsOrc.orchestrator
    return cast("Orchestrator", import_string(named) if isinstance(named, str) else named)
