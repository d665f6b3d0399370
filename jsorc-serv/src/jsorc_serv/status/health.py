"""`/livez`, `/readyz` and `/metrics`: for machines, without a login, by whatever name or address they ask.

Liveness is this process alone; only readiness asks whether services and the database are there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import Error, connections
from django.db.utils import DEFAULT_DB_ALIAS
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from jsorc import JsOrcError, NotRegistered
from jsorc.daemons import call
from jsorc.redaction import get_logger, mask_text
from jsorc_serv.current import orchestrator
from jsorc_serv.status.picture import waiting_for

__all__ = ["health_middleware", "livez", "metrics", "readyz"]

log = get_logger("jsorc.serv.health")

DATABASE_TIMEOUT = 2.0
"""Seconds that the database has for an answer."""
FRESH = 1.0
"""Seconds that its answer serves everybody who asks."""

Response = HttpResponseBase


def livez(request: HttpRequest) -> HttpResponse:
    """Says whether this process does its part; nothing outside it is asked."""
    alive = orchestrator().alive()
    return _plain(JsonResponse({"alive": alive}, status=200 if alive else 503))


def readyz(request: HttpRequest) -> HttpResponse:
    """Says whether everything that is to run does, and the database answers; else names what does not."""
    ours = orchestrator()
    started = ours.info()["started"]
    waiting, problem = waiting_for(ours, started)
    if not ours.shared(_Database).answers():
        waiting = [*waiting, "database"]
    ready = not waiting and problem is None
    facts: dict[str, Any] = {"ready": ready, "waiting": waiting}
    if problem is not None:
        facts["problem"] = problem
    return _plain(JsonResponse(facts, status=200 if ready else 503))


def metrics(request: HttpRequest) -> HttpResponse:
    """Gives what the repository `metrics` exposes, which jsorc-prome brings."""
    try:
        exposed = orchestrator().src("metrics").exposition()
    except NotRegistered:
        text = "No installed plugin exposes metrics: pip install jsorc-prome\n"
        return _plain(HttpResponse(text, status=404, content_type="text/plain; charset=utf-8"))
    except JsOrcError as error:
        text = f"{mask_text(str(error))}\n"
        return _plain(HttpResponse(text, status=503, content_type="text/plain; charset=utf-8"))
    body, content_type = exposed
    return _plain(HttpResponse(body, content_type=content_type))


VIEWS = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}


@sync_and_async_middleware
def health_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answers before hosts, HTTPS and sessions are looked at, since an orchestrator of containers has none.

    Args:
        get_response: What comes next.
    """
    if iscoroutinefunction(get_response):

        async def handle_async(request: HttpRequest) -> Response:
            view = _view_of(request)
            if view is None:
                return await get_response(request)  # type: ignore[no-any-return]
            if view is livez:
                return livez(request)  # which waits for nothing
            return await sync_to_async(view)(request)

        return handle_async

    def handle(request: HttpRequest) -> Response:
        view = _view_of(request)
        return view(request) if view is not None else get_response(request)

    return handle


def _view_of(request: HttpRequest) -> Callable[[HttpRequest], HttpResponse] | None:
    return VIEWS.get(request.path_info) if request.method in {"GET", "HEAD"} else None


class _Database:
    """Whether the database answers: asked by one at a time, and not again within a second."""

    def __init__(self) -> None:
        self._asked, self._answer = float("-inf"), False
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def answers(self) -> bool:
        with self._lock:
            if time.monotonic() - self._asked > FRESH:
                self._answer, self._asked = self._ask(), time.monotonic()
            return self._answer

    def _ask(self) -> bool:
        try:
            call(_select, DATABASE_TIMEOUT, name="jsorc-serv-database")
        except (Error, JsOrcError, OSError) as error:
            log.warning("the database does not answer: %s", error)
            return False
        return True


def _select() -> None:
    """Asks on a connection of its own, since the thread it runs on may be given up."""
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def _plain(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
