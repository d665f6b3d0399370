"""Whether a worker works: canary tasks through its queues, and its own word on how busy it is.

A worker can be alive and deaf, which Celery does not notice; what follows on a verdict is `service`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from celery import shared_task

from jsorc.clock import SYSTEM, Clock
from jsorc.errors import ServiceUnavailable

__all__ = ["CanaryProbe", "canary", "install"]

_COMMAND = "jsorc_liveness"
_ANSWER_TIMEOUT = 1.0
_FIRST_LOOK, _LONGEST_PAUSE = 0.005, 0.1


@shared_task(name="jsorc_task.canary", bind=True, acks_late=False, ignore_result=False, expires=60)  # type: ignore[untyped-decorator]
def canary(self: Any) -> str:
    """Says which worker answered."""
    return str(self.request.hostname)


def install() -> None:
    """In a worker: adds the command by which it tells how busy it is."""
    from celery.worker import state
    from celery.worker.control import inspect_command

    def liveness(worker: Any) -> dict[str, int]:
        return {
            "active": len(state.active_requests),
            "done": sum(state.total_count.values()),
            "slots": worker.consumer.controller.concurrency,
        }

    inspect_command(name=_COMMAND)(liveness)


class CanaryProbe:
    """Probes one worker.

    Args:
        app: The Celery application.
        node: The name of the worker.
        queues: The queues that it reads.
        timeout: Seconds in which an idle worker must have answered.
        clock: The clock of the deadline.
    """

    def __init__(
        self, app: Any, node: str, queues: Sequence[str], timeout: float, clock: Clock = SYSTEM
    ) -> None:
        self.answered = False
        """Whether it has ever answered."""
        self._app = app
        self._node = node
        self._queues = tuple(queues)
        self._timeout = timeout
        self._clock = clock
        self._pause = threading.Event()
        self._done: int | None = None

    def ask(self, still_there: Callable[[], None]) -> None:
        """Sends a canary through each queue, and one to this very worker, and waits for all of them.

        Another worker may answer what is in a shared queue, so only the canary of its own proves this one.
        One that is late is no fault while every slot of the worker is taken, or tasks are being done.

        Args:
            still_there: Raises when the process of the worker is gone.

        Raises:
            ServiceUnavailable: The worker is deaf, or the broker is gone.
        """
        from celery.utils.nodenames import worker_direct

        waiting = [canary.apply_async(queue=queue) for queue in self._queues]
        waiting.append(canary.apply_async(queue=worker_direct(self._node)))
        sent = list(waiting)
        deadline = self._clock.monotonic() + self._timeout
        pause = _FIRST_LOOK
        try:
            while waiting:
                waiting = [result for result in waiting if not result.ready()]
                still_there()
                if waiting and self._clock.monotonic() >= deadline:
                    self._excuse()
                    return
                if waiting:
                    self._clock.wait(self._pause, pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            for result in sent:
                result.forget()
        self.answered = True

    def _excuse(self) -> None:
        """Asks the worker itself; raises when it has no reason to be late."""
        inspect = self._app.control.inspect(destination=[self._node], timeout=_ANSWER_TIMEOUT, limit=1)
        answers = inspect._request(_COMMAND) or {}
        said = answers.get(self._node)
        before, self._done = self._done, said["done"] if said is not None else None
        if said is None:
            raise ServiceUnavailable(
                f"the worker {self._node} is deaf: it answered neither the canary task within "
                f"{self._timeout:g} s nor a question"
            )
        if said["active"] >= said["slots"] or (before is not None and said["done"] != before):
            self.answered = True
            return
        if before is None and said["done"]:
            return  # its first excuse; by the next probe it must have done something
        raise ServiceUnavailable(
            f"the worker {self._node} is deaf: it has free slots, and did not take the canary task within "
            f"{self._timeout:g} s"
        )
