"""The URLs of the embedded project: what a project includes, and accounts, the admin and the static files.

In another project these are the project's own.
"""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.urls import include, path

from jsorc_serv.accounts import FirstPassword, Login, Logout
from jsorc_serv.static_files import static_file

__all__ = ["handler500", "urlpatterns"]

admin.site.site_header = admin.site.site_title = "JsOrc"
admin.site.index_title = "Administration"

if apps.is_installed("django_celery_beat"):
    from django_celery_beat.admin import PeriodicTaskAdmin

    # Its own form has a script in the page, which the content policy does not let run.
    PeriodicTaskAdmin.change_form_template = None

urlpatterns = [
    path("login", Login.as_view(), name="login"),
    path("logout", Logout.as_view(), name="logout"),
    path("welcome/<uidb64>/<token>", FirstPassword.as_view(), name="welcome"),
    path("static/<path:name>", static_file, name="static"),
    path("admin/", admin.site.urls),
    path("", include("jsorc_serv.urls")),
]

handler500 = "jsorc_serv.accounts.server_error"
