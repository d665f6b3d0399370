"""The status page and the health of a process: `INSTALLED_APPS += ["jsorc_serv.status"]`.

Nothing is imported here; the page is in `page`, what it shows in `picture`, and what keeps it live in `feed`.
"""

from __future__ import annotations

__all__: list[str] = []
