"""The status page, and the stream and the snapshot that keep it live.

What is shown is in `picture`; when it is sent, in `feed`. Every change goes through the API.
"""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import render, resolve_url
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from jsorc_serv.api.access import Identity, TooOften, reader
from jsorc_serv.current import orchestrator
from jsorc_serv.security import set_policy
from jsorc_serv.status.feed import Full, feed_of

__all__ = ["events", "page", "snapshot"]


@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """Shows the page; who may not read it is sent to log in."""
    try:
        identity = reader(request)
    except TooOften as error:
        return _too_often(error)
    if identity is None:
        return set_policy(redirect_to_login(request.get_full_path()))
    context = {
        "picture": feed_of(orchestrator()).now().seen_by(identity.is_public),
        "identity": identity,
        "roles": identity.roles() if identity.means == "session" else [],
        "csrf": get_token(request) if identity.means == "session" else "",
        "api": reverse("jsorc_api:api-root"),
        "links": _links(identity),
        "login": resolve_url(settings.LOGIN_URL),
        "logout": next(iter(_reversed("logout")), None),
    }
    return set_policy(render(request, "jsorc_status/page.html", context))


@require_safe
def snapshot(request: HttpRequest) -> HttpResponseBase:
    """Gives one picture, for a page that cannot be sent events, as under WSGI."""
    try:
        identity = reader(request)
    except TooOften as error:
        return _too_often(error)
    if identity is None:
        return set_policy(JsonResponse({"detail": "log in to read this"}, status=401))
    return set_policy(JsonResponse(feed_of(orchestrator()).now().seen_by(identity.is_public)))


@require_safe
async def events(request: HttpRequest) -> HttpResponseBase:
    """Sends a picture whenever there is news."""
    if not isinstance(request, ASGIRequest):
        return set_policy(
            HttpResponse("events need an ASGI server; ask snapshot again and again", status=501)
        )
    try:
        identity = await sync_to_async(_reader_of_stream)(request)
    except TooOften as error:
        return _too_often(error)
    if identity is None:
        return set_policy(HttpResponse("log in to read this", status=401))
    try:
        watch = feed_of(orchestrator()).watch(identity.is_public)
    except Full as error:
        return set_policy(HttpResponse(str(error), status=503, headers={"Retry-After": "10"}))
    # nginx, for one, would otherwise keep the events until it has a bufferful.
    headers = {"X-Accel-Buffering": "no"}
    return set_policy(StreamingHttpResponse(watch, content_type="text/event-stream", headers=headers))


def _reader_of_stream(request: HttpRequest) -> Identity | None:
    try:
        return reader(request)
    finally:
        # The stream lasts minutes; a connection that is not closed now would last as long.
        close_old_connections()


def _too_often(error: TooOften) -> HttpResponse:
    response = HttpResponse(str(error), status=429, headers={"Retry-After": f"{error.seconds:.0f}"})
    set_policy(response)
    return response


def _links(identity: Identity) -> list[tuple[str, str]]:
    links = [("API", reverse("jsorc_api:openapi-view"))]
    if identity.user is not None and identity.user.is_staff:
        links += [("Admin", url) for url in _reversed("admin:index")]
    return links


def _reversed(name: str) -> list[str]:
    try:
        return [reverse(name)]
    except NoReverseMatch:
        return []
