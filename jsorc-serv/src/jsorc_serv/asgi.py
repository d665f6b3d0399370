"""The embedded site for an ASGI server: `uvicorn jsorc_serv.asgi:application`; better is `jsorc serve`.

The server's life starts and stops JsOrc. Nothing is migrated here: run `django-admin migrate` before.
"""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from jsorc_serv.lifespan import Lifespan
from jsorc_serv.limits import App, Limits

__all__ = ["application"]


def _build() -> App:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jsorc_serv.settings")
    django: App = get_asgi_application()  # type: ignore[assignment]
    from jsorc_serv.api.access import serv_config
    from jsorc_serv.current import orchestrator
    from jsorc_serv.status.alive import Alive
    from jsorc_serv.status.feed import feed_of

    feed_of(orchestrator())  # which takes note of changes from now on, not from the first look
    most = serv_config().max_body_bytes
    return Lifespan(
        Alive(Limits(django, most), orchestrator), orchestrator, lambda: feed_of(orchestrator()).close()
    )


application = _build()
