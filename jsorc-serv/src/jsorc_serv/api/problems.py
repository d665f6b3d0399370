"""What went wrong as a status and a sentence: the errors of JsOrc, Django and Ninja as answers of the API.

No answer has a traceback, and every sentence passes the redaction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import Error as DatabaseError
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError

from jsorc import (
    ConfigError,
    JsOrcError,
    NotRegistered,
    ProvisionError,
    RegistrationError,
    StaleRevision,
    UnstorableValue,
)
from jsorc.redaction import get_logger, mask_text
from jsorc_serv.api.access import TooOften
from jsorc_serv.failures import explain

__all__ = ["MethodFailed", "NobodyAnswers", "Problem", "TooLong", "handle", "status_of"]

log = get_logger("jsorc.serv.api")


class Problem(Schema):
    """What went wrong.

    Attributes:
        error: The kind, such as `NotRegistered`.
        detail: A sentence that says what was wanted, what was found and what mends it.
    """

    error: str
    detail: str


class NobodyAnswers(Exception):
    """No installed plugin does what was asked for; the message has the line that installs one."""


class MethodFailed(Exception):
    """A method of a service raised something that is not of JsOrc."""


class TooLong(Exception):
    """The body is longer than `SERV_CONFIG.max_body_bytes`."""


_STATUS: Mapping[type[Exception], int] = {
    NotRegistered: 404,
    StaleRevision: 409,
    ConfigError: 422,
    RegistrationError: 422,
    UnstorableValue: 422,
    ProvisionError: 502,
    JsOrcError: 503,
    DatabaseError: 503,
    TooOften: 429,
    NobodyAnswers: 501,
    MethodFailed: 502,
    TooLong: 413,
    RequestDataTooBig: 413,
    SuspiciousOperation: 400,
    Http404: 404,
}


def status_of(error: Exception) -> int:
    """The status of an error; 500 for one that nobody expected."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def handle(api: NinjaAPI) -> None:
    """Makes an API answer with problems.

    Args:
        api: The API, which is changed.
    """

    def answer(request: HttpRequest, status: int, error: str, detail: str) -> HttpResponse:
        # Refusals are known by what they mean, whatever class of Django's or Ninja's they were.
        problem = {"error": error, "detail": mask_text(detail)}
        return api.create_response(request, problem, status=status)

    def on_unauthenticated(request: HttpRequest, _: Any) -> HttpResponse:
        response = answer(request, 401, "Unauthenticated", "log in, or send Authorization: Bearer <token>")
        response["WWW-Authenticate"] = "Bearer"
        return response

    def on_http_error(request: HttpRequest, error: Any) -> HttpResponse:
        kind = {401: "Unauthenticated", 403: "Forbidden", 400: "BadRequest"}.get(error.status_code, "Refused")
        response = answer(request, error.status_code, kind, str(error))
        if error.status_code == 401:
            response["WWW-Authenticate"] = "Bearer"
        return response

    def on_validation_error(request: HttpRequest, error: Any) -> HttpResponse:
        # What was sent is not repeated: it may be a secret.
        found = "; ".join(
            f"{'.'.join(str(part) for part in each.get('loc', ()))}: {each.get('msg', 'is not valid')}"
            for each in error.errors[:10]
        )
        return answer(request, 422, "InvalidRequest", found or "the request is not valid")

    def on_error(request: HttpRequest, error: Any) -> HttpResponse:
        status = status_of(error)
        kind, detail = type(error).__name__, str(error)
        if isinstance(error, DatabaseError):
            kind, detail = "ServiceUnavailable", str(explain(error, connection))
        elif isinstance(error, Http404):
            kind, detail = "NotFound", detail or "there is nothing here"
        elif isinstance(error, RequestDataTooBig):
            kind = "TooLong"
        elif status == 500:
            log.error("%s %s failed", request.method, request.path, exc_info=error)
            kind, detail = "Unexpected", "this was not expected; the server's log says more"
        response = answer(request, status, kind, detail)
        if isinstance(error, TooOften):
            response["Retry-After"] = str(math.ceil(error.seconds))
        return response

    handlers: dict[type[Exception], Any] = {
        AuthenticationError: on_unauthenticated,
        HttpError: on_http_error,
        ValidationError: on_validation_error,
        Exception: on_error,
        **dict.fromkeys(_STATUS, on_error),
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)
