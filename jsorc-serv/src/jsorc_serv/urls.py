"""What a project includes: `path("jsorc/", include("jsorc_serv.urls"))`; the page, the API and the health."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections, transaction
from django.urls import URLPattern, URLResolver, include, path

from jsorc_serv.api.root import api
from jsorc_serv.status.health import livez, metrics, readyz
from jsorc_serv.status.page import events, page, snapshot

__all__ = ["urlpatterns"]


def _without_transaction(patterns: Iterable[URLPattern | URLResolver]) -> list[URLPattern | URLResolver]:
    """Takes views out of the project's ATOMIC_REQUESTS, on every database.

    What is logged of a change that failed must stay, stored settings are written on another thread, which
    SQLite would make wait for the request, and the stream of events is asynchronous, which Django refuses.
    """
    found = list(patterns)
    for pattern in found:
        assert isinstance(pattern, URLPattern)
        for alias in connections:
            pattern.callback = transaction.non_atomic_requests(using=alias)(pattern.callback)
    return found


_views, _application, _namespace = api.urls

status = (
    _without_transaction(
        [
            path("", page, name="page"),
            path("events", events, name="events"),
            path("snapshot", snapshot, name="snapshot"),
            path("livez", livez, name="livez"),
            path("readyz", readyz, name="readyz"),
            path("metrics", metrics, name="metrics"),
        ]
    ),
    "jsorc_status",
)

urlpatterns = [
    path("api/", (_without_transaction(_views), _application, _namespace)),
    path("", include(status)),
]
