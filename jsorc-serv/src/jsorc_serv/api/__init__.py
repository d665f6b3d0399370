"""The HTTP API as a Django application: `INSTALLED_APPS += ["jsorc_serv.api", "ninja"]`.

Nothing is imported here; the API is built in `root`, and what it may be asked is in `reading` and `changing`.
"""

from __future__ import annotations

__all__: list[str] = []
