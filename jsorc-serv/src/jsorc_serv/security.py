"""Headers that keep a browser from running, framing or sending what is not ours.

The middleware is the embedded site's; in another project the page's own views set the policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

__all__ = ["POLICY", "policy_middleware", "set_policy"]

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


@sync_and_async_middleware
def policy_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Sets the policy on every response.

    Args:
        get_response: What comes next.
    """
    if iscoroutinefunction(get_response):

        async def handle_async(request: HttpRequest) -> Response:
            return set_policy(await get_response(request))

        return handle_async

    def handle(request: HttpRequest) -> Response:
        return set_policy(get_response(request))

    return handle
