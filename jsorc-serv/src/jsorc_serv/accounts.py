"""Logging in and out, the first password by a one-time link, and what is shown when something fails.

These are the embedded site's; a project has accounts of its own.
"""

from __future__ import annotations

import sys
from typing import Any

from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy

from jsorc_serv.api.access import TooOften, address_of, throttle
from jsorc_serv.failures import explain

__all__ = ["FirstPassword", "Login", "Logout", "server_error"]


class Login(LoginView):
    """Logs somebody in; an address may fail only so often."""

    template_name = "jsorc_status/login.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Checks name and password."""
        try:
            throttle("logins", address_of(request))
        except TooOften as error:
            context = self.get_context_data(form=self.get_form_class()(request), too_often=str(error))
            headers = {"Retry-After": f"{error.seconds:.0f}"}
            return self.render_to_response(context, status=429, headers=headers)
        return super().post(request, *args, **kwargs)


class Logout(LogoutView):
    """Logs somebody out."""


class FirstPassword(PasswordResetConfirmView):
    """Sets a password by a link that works once, and logs in."""

    template_name = "jsorc_status/welcome.html"
    success_url = reverse_lazy("jsorc_status:page")
    post_reset_login = True


def server_error(request: HttpRequest) -> HttpResponse:
    """Says that something failed: 503 where it is the database, which may come back, else 500."""
    error = sys.exc_info()[1]
    if isinstance(error, Error):
        status, text = 503, str(explain(error, connection))
    else:
        status, text = 500, "This was not expected; the server's log says more."
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
