"""Row 3: Redis is stopped with SIGSTOP, so that it accepts connections and never answers.

Every call ends by its timeout, the probes in a row make the service FAILED, and SIGCONT brings it back.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from jsorc import Orchestrator
from jsorc.errors import DeadlineExceeded, ServiceUnavailable
from tests.faults.conftest import server_pid
from tests.services import Listener

pytestmark = pytest.mark.alone

TIMEOUT = 2.0
SLACK = 0.7


def test_calls_are_bounded_and_it_recovers_when_the_server_does(
    make_embedded: Callable[..., Orchestrator],
) -> None:
    listener = Listener()
    orchestrator = make_embedded(ping_failures=2, ping_interval=2)
    orchestrator.start()
    orchestrator.listen(listener)
    service = orchestrator.svc("redis")
    assert service.is_running(), service.error
    pid = server_pid(orchestrator)
    unit = orchestrator.src("hook")
    unit.save_obj("staged", 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            unit.commit()
        assert time.monotonic() - stopped < TIMEOUT + SLACK
        listener.await_state("redis", "FAILED")
        # Two probes of two seconds, one second apart; the first one came with the report of that call.
        assert 2 * TIMEOUT + 1 - SLACK < time.monotonic() - stopped < 4 * TIMEOUT + 1 + SLACK
        assert isinstance(service.error, DeadlineExceeded)
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            orchestrator.src("hook").get_obj("staged")
        assert time.monotonic() - began < TIMEOUT + SLACK
    finally:
        os.kill(pid, signal.SIGCONT)
    listener.await_state("redis", "RUNNING")
    assert server_pid(orchestrator) == pid
    unit.commit()
    assert orchestrator.src("hook").get_obj("staged") == 1
