"""What a project includes: `path("jsorc/", include("jsorc_serv.urls"))`; the page, the API and the health."""

from __future__ import annotations

from django.urls import include, path

from jsorc_serv.api.root import api
from jsorc_serv.status.health import livez, metrics, readyz
from jsorc_serv.status.page import events, page, snapshot

__all__ = ["urlpatterns"]

status = (
    [
        path("", page, name="page"),
        path("events", events, name="events"),
        path("snapshot", snapshot, name="snapshot"),
        path("livez", livez, name="livez"),
        path("readyz", readyz, name="readyz"),
        path("metrics", metrics, name="metrics"),
    ],
    "jsorc_status",
)

urlpatterns = [path("api/", api.urls), path("", include(status))]
