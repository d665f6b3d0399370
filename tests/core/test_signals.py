"""What `start(signals=True)` makes of SIGTERM and SIGINT, in processes of their own."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from jsorc import Orchestrator
from tests.applications import Application
from tests.services import orchestrator_with, recorded

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="signals as they are on Linux and macOS")

APPLICATION = """
import os, signal, sys, threading
from jsorc import CommonService, Orchestrator

orchestrator = Orchestrator(discover=False)

@orchestrator.service("thing", config="THING_CONFIG")
class Thing(CommonService):
    def run(self):
        self.app = "app"
    def on_delete(self):
        print("stopping", flush=True)
        sys.stdin.readline()
        print("stopped", flush=True)

orchestrator.configure(THING_CONFIG={"automated": True})
orchestrator.start(signals=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_in_good_order_and_ends_the_process_with_its_number(number: signal.Signals) -> None:
    code = APPLICATION + "print('ready', flush=True)\nthreading.Event().wait()\nprint('not reached')"
    with Application(code) as application:
        application.await_line("ready")
        application.signal(number)
        application.await_line("stopping")
        application.say("go on")
        assert application.await_end(25) == 128 + number
        assert application.output == ["ready", "stopping", "stopped"]


def test_further_signals_do_not_break_the_stop_off() -> None:
    code = APPLICATION + "print('ready', flush=True)\nthreading.Event().wait()"
    with Application(code) as application:
        application.await_line("ready")
        application.signal(signal.SIGTERM)
        application.await_line("stopping")
        application.signal(signal.SIGTERM)
        application.signal(signal.SIGINT)
        application.say("go on")
        assert application.await_end(25) == 128 + signal.SIGTERM
        assert application.output == ["ready", "stopping", "stopped"]


def test_a_signal_during_a_stop_by_the_main_thread_waits_for_that_stop() -> None:
    with Application(APPLICATION + "print('ready', flush=True)\norchestrator.stop()") as application:
        application.await_line("stopping")
        application.signal(signal.SIGTERM)
        application.say("go on")
        assert application.await_end(25) in (0, 128 + signal.SIGTERM)
        assert application.output == ["ready", "stopping", "stopped"]


def test_a_process_that_ends_by_itself_stops_in_good_order_too() -> None:
    with Application(APPLICATION + "print('ready', flush=True)") as application:
        application.await_line("stopping")
        application.say("go on")
        assert application.await_end(25) == 0
        assert application.output == ["ready", "stopping", "stopped"]


def test_a_forked_child_answers_signals_as_before() -> None:
    code = APPLICATION + (
        "child = os.fork()\n"
        "if not child:\n"
        "    print('child', flush=True)\n"
        "    threading.Event().wait()\n"
        "    os._exit(0)\n"
        "print('pid', child, flush=True)\n"
        "print('status', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
        "threading.Event().wait()\n"
    )
    with Application(code) as application:
        child = int(application.await_line("pid"))
        if "child" not in application.output:
            application.await_line("child")
        os.kill(child, signal.SIGTERM)
        assert int(application.await_line("status")) == -signal.SIGTERM


def test_without_signals_the_handlers_are_the_applications_own() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    orchestrator = orchestrator_with({"thing": recorded()})
    orchestrator.start()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    orchestrator.stop()


def test_from_another_thread_signals_are_refused_and_the_start_can_be_repeated() -> None:
    orchestrator = Orchestrator(discover=False, environ={})
    errors: list[BaseException] = []

    def start() -> None:
        try:
            orchestrator.start(signals=True)
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(errors) == 1
    orchestrator.start()
    assert orchestrator.alive()
    orchestrator.stop()
