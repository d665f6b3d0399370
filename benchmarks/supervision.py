"""What supervision costs: an idle supervisor over 1,000 services, and one pass of probes over them.

A pass is compared with the same pings on a bare pool of as many threads.
"""

from __future__ import annotations

import queue
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.harness import PAIRS, Row, once, ratio
from jsorc import CommonService, Orchestrator
from jsorc.probes import AT_ONCE, Prober
from jsorc.testing.clock import FakeClock

SERVICES = 1_000
PING = 0.005
INTERVAL = 10.0


class Idle(CommonService[str]):
    """Starts at once and always answers."""

    def run(self) -> None:
        """Needs nothing."""
        self.app = "running"


class Slow(Idle):
    """Answers after five milliseconds, and says so."""

    answered: threading.Semaphore

    def ping(self) -> None:
        """Blocks as a request to a server would."""
        time.sleep(PING)
        self.answered.release()


def rows() -> Iterator[Row]:
    """What issue and guide promise about supervision."""
    yield idle()
    for services in (SERVICES // 10, SERVICES):
        measured, floor = Pass(services), Pool(services)
        name = f"probes of {services:,} services, 5 ms each"
        target = 2.0 if services == SERVICES else None
        yield ratio(name, once(measured), f"{AT_ONCE} threads", once(floor), target)


def idle() -> Row:
    """Percent of a core that a started orchestrator uses in which nothing happens."""
    orchestrator = Orchestrator(discover=False, environ={})
    for number in range(SERVICES):
        cls: type[CommonService[Any]] = type("Idle", (Idle,), {})
        orchestrator.service(f"idle{number}", config=f"IDLE{number}_CONFIG")(cls)
        orchestrator.configure(**{f"IDLE{number}_CONFIG": {"automated": True, "ping_interval": INTERVAL}})
    orchestrator.configure(JSORC_CONFIG={"control": False})
    orchestrator.start()
    shares = []
    for _ in range(PAIRS):
        began, used = time.monotonic(), time.process_time()
        time.sleep(INTERVAL)
        shares.append(100 * (time.process_time() - used) / (time.monotonic() - began))
    orchestrator.stop()
    what = f"idle supervisor, {SERVICES:,} services at {INTERVAL:g} s"
    return Row(what, "one core", statistics.median(shares), min(shares), max(shares), "%", 3.0)


class Pass:
    """One pass of a prober over running services, driven as the regenerator drives it."""

    def __init__(self, services: int) -> None:
        self.services = services
        self.answered = threading.Semaphore(0)
        self.clock = FakeClock()
        self.prober = Prober(self.clock, lambda service, error: None)
        for number in range(services):
            service = type("Slow", (Slow,), {"answered": self.answered})({"ping_interval": INTERVAL})
            service.name = f"slow{number}"
            service.start()
            self.prober.watch(service)

    def __call__(self) -> None:
        self.clock.advance(INTERVAL)
        done = threading.Event()

        def drive() -> None:
            while not done.is_set():
                self.prober.wake.clear()
                self.prober.tick()
                self.prober.wake.wait(1)

        driver = threading.Thread(target=drive)
        driver.start()
        for _ in range(self.services):
            self.answered.acquire()
        while self.prober._probing:  # the last ones have answered, and are being noted
            time.sleep(0)
        done.set()
        self.prober.wake.set()
        driver.join()


class Pool:
    """The same pings on a bare pool of threads."""

    def __init__(self, services: int) -> None:
        self.services = services

    def __call__(self) -> None:
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(self.services):
            waiting.put(number)

        def work() -> None:
            while True:
                try:
                    waiting.get_nowait()
                except queue.Empty:
                    return
                time.sleep(PING)

        threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
