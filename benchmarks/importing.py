"""What `from jsorc import JsOrc` costs above an interpreter that does nothing, and what it must not bring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import Measure, Row, difference, once

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
    brought = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    if brought:
        raise SystemExit(f"from jsorc import JsOrc also imports {brought}")
    floor = _python("pass")
    yield difference(
        "from jsorc import JsOrc", _python("from jsorc import JsOrc"), "python -c pass", floor, 60, 21
    )
    yield difference("  import pluggy", _python("import pluggy"), "python -c pass", floor, pairs=21)


def _python(code: str) -> Measure:
    return once(lambda: subprocess.run([sys.executable, "-c", code], check=True))
