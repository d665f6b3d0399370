"""The embedded site for a WSGI server; the page then asks every few seconds, since events need ASGI.

Nothing starts JsOrc here: the server's own hook must, once a process; see the guide.
"""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

__all__ = ["application"]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jsorc_serv.settings")
application = get_wsgi_application()
