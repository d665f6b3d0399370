"""The static files of the installed applications, served by this process: there is nothing to collect.

Only files that were found when the first was asked for are served, so that no path leads anywhere else.
"""

from __future__ import annotations

import mimetypes
from functools import cache
from pathlib import Path

from django.contrib.staticfiles.finders import get_finders
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import condition, require_safe

__all__ = ["static_file"]

MAX_AGE = 3600
"""Seconds that a browser may keep a file without asking."""


@cache
def _found() -> dict[str, Path]:
    files: dict[str, Path] = {}
    for finder in get_finders():
        for name, storage in finder.list(["*.map", "*.txt"]):
            files.setdefault(name, Path(storage.path(name)))
    return files


def _etag(request: HttpRequest, name: str) -> str | None:
    path = _found().get(name)
    if path is None:
        return None
    stat = path.stat()
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


@require_safe
@condition(etag_func=_etag)
def static_file(request: HttpRequest, name: str) -> HttpResponse:
    """Serves one file.

    Args:
        request: The request.
        name: Its path as `{% static %}` has it.
    """
    path = _found().get(name)
    if path is None:
        raise Http404(f"no application has the static file {name!r}")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind.endswith("javascript"):
        kind += "; charset=utf-8"
    headers = {"Cache-Control": f"public, max-age={MAX_AGE}", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(path.read_bytes(), content_type=kind, headers=headers)
