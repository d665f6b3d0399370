"""Headers that keep a browser from running, framing or sending what is not ours.

The middleware is the embedded site's; in another project the page's own views set the policy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

__all__ = ["POLICY", "PolicyMiddleware", "set_policy"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

Response = HttpResponseBase


def set_policy(response: Response) -> Response:
    """Sets the content security policy, and keeps what is shown to one user out of caches."""
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Permissions-Policy", PERMISSIONS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


class PolicyMiddleware:
    """Sets the policy on every response.

    Args:
        get_response: What comes next.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response | Awaitable[Response]:
        """Handles one request."""
        if self._is_async:
            return self._handle(request)
        return set_policy(self._get_response(request))

    async def _handle(self, request: HttpRequest) -> Response:
        return set_policy(await self._get_response(request))
