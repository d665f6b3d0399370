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


REPEAT = 0.1
"""Seconds between two signals to a main thread that has not begun to leave."""


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
    owner, main = os.getpid(), threading.get_ident()
    received: list[int] = []
    told, stopped, leaving = threading.Event(), threading.Event(), threading.Event()
    before: dict[int, Any] = {}

    def handle(number: int, _frame: object) -> None:
        if os.getpid() != owner:
            previous = before[number]
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
            os.kill(os.getpid(), number)
        elif stopped.is_set():
            # Once: signals that came while the main thread waited are handled together when it wakes, and a
            # second exception would break what the first one unwinds. At the exit it would only be noise.
            if not leaving.is_set():
                leaving.set()
                if threading.main_thread().is_alive():
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
            # The main thread wakes from whatever it waits in, and exits. Again and again, since a signal that
            # comes in the instant before it begins to wait would be seen only after the wait.
            _signal_thread(main, received[0])
            while not leaving.wait(REPEAT):
                _signal_thread(main, received[0])

    threading.Thread(target=watch, name="jsorc-signals", daemon=True).start()

    def leave_if_told() -> None:
        if told.is_set():
            stopped.wait()
            leaving.set()
            raise SystemExit(128 + received[0])

    return leave_if_told


def _signal_thread(ident: int, number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(ident, number)
    else:  # Windows: its main thread looks for signals when it next runs Python
        signal.raise_signal(number)
