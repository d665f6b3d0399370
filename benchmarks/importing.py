"""What `from jsorc import JsOrc` costs above an interpreter that does nothing, and what it must not bring."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Row, difference, once, python

__all__ = ["rows"]

UNWANTED = (
    "asyncio",
    "celery",
    "django",
    "elasticsearch",
    "kubernetes",
    "pydantic",
    "redis",
    "rich",
    "typer",
)


def rows() -> Iterator[Row]:
    """The import of JsOrc, then that of pluggy alone."""
    code = f"import sys; from jsorc import JsOrc; print(*(set({UNWANTED!r}) & set(sys.modules)))"
    brought = python(code).strip()
    if brought:
        raise SystemExit(f"from jsorc import JsOrc also imports {brought}")
    floor = once(lambda: python("pass"))
    imported = once(lambda: python("from jsorc import JsOrc"))
    yield difference("from jsorc import JsOrc", imported, "python -c pass", floor, 60, 21)
    yield difference(
        "  import pluggy", once(lambda: python("import pluggy")), "python -c pass", floor, pairs=21
    )
