"""SIGTERM and SIGINT for `start(signals=True)`: the first one stops in good order, then the process ends.

A handler runs between any two steps of the main thread, which may hold any lock, so it only sets an event.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

__all__ = ["stop_on_signals"]


def stop_on_signals(stop: Callable[[], object]) -> None:
    """Makes SIGTERM and SIGINT stop the orchestrator and then end the process with 128 + the signal's number.

    Args:
        stop: Called once, on a thread of its own.

    Raises:
        ValueError: Not called from the main thread, which Python does not allow.
    """
    received: list[int] = []
    told, stopped = threading.Event(), threading.Event()

    def handle(number: int, _frame: object) -> None:
        if stopped.is_set():
            raise SystemExit(128 + number)
        if not received:
            received.append(number)
            told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)

    def watch() -> None:
        told.wait()
        try:
            stop()
        finally:
            stopped.set()
            os.kill(os.getpid(), received[0])  # the main thread wakes from whatever it waits in, and exits

    threading.Thread(target=watch, name="jsorc-signals", daemon=True).start()
