"""SIGTERM and SIGINT for `start(signals=True)`: the first one stops in good order, then the process ends.

A handler runs between any two steps of the main thread, which may hold any lock, so it only sets an event.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["stop_on_signals"]


def stop_on_signals(stop: Callable[[], object]) -> Callable[[], None]:
    """Makes SIGTERM and SIGINT stop the orchestrator and then end the process with 128 + the signal's number.

    A child of a fork does not inherit that: the handlers of before answer there.

    Args:
        stop: Called once, on a thread of its own.

    Returns:
        A function for the main thread that does nothing until a signal came, and then waits for the end: what
        was interrupted must not go on meanwhile with services that are gone.

    Raises:
        ValueError: Not called from the main thread, which Python does not allow.
    """
    owner = os.getpid()
    received: list[int] = []
    told, stopped = threading.Event(), threading.Event()
    before: dict[int, Any] = {}

    def handle(number: int, _frame: object) -> None:
        if os.getpid() != owner:
            previous = before[number]
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
            os.kill(os.getpid(), number)
        elif stopped.is_set():
            if threading.main_thread().is_alive():  # else the process is at its exit already
                raise SystemExit(128 + received[0])
        elif not received:
            received.append(number)
            told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, handle)

    def watch() -> None:
        told.wait()
        try:
            stop()
        finally:
            stopped.set()
            os.kill(os.getpid(), received[0])  # the main thread wakes from whatever it waits in, and exits

    threading.Thread(target=watch, name="jsorc-signals", daemon=True).start()

    def leave_if_told() -> None:
        if told.is_set():
            stopped.wait()
            raise SystemExit(128 + received[0])

    return leave_if_told
