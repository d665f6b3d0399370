"""Asks a question in a forked child of the test, where threads, locks and sockets are the parent's.

What a child must find there is said by whoever asks.
"""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_child"]


def in_child(ask: Callable[[], Any]) -> Any:
    """Fork, call a function in the child, and end the child without the cleaning up of an interpreter's exit.

    Args:
        ask: Returns something that JSON can tell.

    Returns:
        What it returned; where it raised, `[name of the type, message]`.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork beside threads
        child = os.fork()
    if child == 0:
        try:
            answer = ask()
        except BaseException as error:
            answer = [type(error).__name__, str(error)]
        try:
            os.write(writing, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answered = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answered)
