"""The embedded site of jsorc-serv as settings and URLs, with a view more that does nothing: a measure."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from jsorc_serv import settings as _site

__all__ = ["ROOT_URLCONF", "bare"]

globals().update({name: value for name, value in vars(_site).items() if name.isupper()})
ROOT_URLCONF = "benchmarks.http_site"


def bare(request: HttpRequest) -> HttpResponse:
    """As little as a view can do."""
    return HttpResponse("ok", content_type="text/plain")


def __getattr__(name: str) -> object:
    # The URLs need Django set up, which these settings are read for.
    if name != "urlpatterns":
        raise AttributeError(name)
    from jsorc_serv.site import urlpatterns as ours

    return [path("bare", bare), *ours]
