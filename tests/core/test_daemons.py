"""Calls under a deadline, background threads and child processes: real threads, real processes, no sleeps."""

from __future__ import annotations

import contextvars
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsorc import processes
from jsorc.clock import SYSTEM
from jsorc.daemons import Call, Daemons, ProcessSpec, call
from jsorc.errors import Closed, DeadlineExceeded, ProvisionError, RegistrationError
from jsorc.redaction import get_logger
from jsorc.testing.clock import FakeClock

LONG = 30.0
"""Real seconds after which a broken test gives up."""

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="pidfd and the parent-death signal are Linux's"
)


# Calls


def test_a_call_returns_what_its_function_returns() -> None:
    assert call(lambda: 42, LONG, name="answer") == 42


def test_a_call_raises_what_its_function_raises_even_system_exit() -> None:
    with pytest.raises(SystemExit) as raised:
        call(lambda: sys.exit(3), LONG, name="leaver")
    assert raised.value.code == 3


def test_a_call_sees_the_context_variables_of_its_caller_and_keeps_its_own_changes() -> None:
    tenant = contextvars.ContextVar("tenant", default="nobody")
    tenant.set("acme")

    def change() -> str:
        seen = tenant.get()
        tenant.set("other")
        return seen

    assert call(change, LONG, name="tenant") == "acme"
    assert tenant.get() == "acme"


def test_a_call_that_takes_too_long_raises_at_its_deadline_by_the_clock() -> None:
    clock, release = FakeClock(), threading.Event()
    raised: list[BaseException] = []

    def caller() -> None:
        try:
            call(release.wait, 30, name="start of redis", clock=clock)
        except DeadlineExceeded as error:
            raised.append(error)

    thread = threading.Thread(target=caller, daemon=True)
    thread.start()
    clock.await_waiters()
    assert clock.next_due() == 30
    clock.advance(30)
    thread.join(LONG)
    release.set()
    assert [str(error) for error in raised] == ["start of redis did not end within 30 s"]


def test_a_late_return_is_discarded_and_the_discard_hook_runs_on_its_thread() -> None:
    release, discarded = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def late() -> str:
        release.wait(LONG)
        return "too late"

    def discard() -> None:
        threads.append(threading.current_thread())
        discarded.set()

    running = Call(late, name="late one", clock=SYSTEM)
    assert not running.wait(0)
    running.abandon(discard)
    assert running.abandoned
    assert running.alive
    assert not discarded.is_set()
    release.set()
    assert discarded.wait(LONG)
    assert running.wait(LONG)
    assert not running.alive
    assert threads[0].name == "late one"
    with pytest.raises(DeadlineExceeded, match="late one was given up"):
        running.result()


def test_a_late_error_runs_the_discard_hook_too() -> None:
    release, discarded = threading.Event(), threading.Event()

    def late() -> None:
        release.wait(LONG)
        raise ValueError("half-way")

    running = Call(late, name="late", clock=SYSTEM)
    running.abandon(discarded.set)
    release.set()
    assert discarded.wait(LONG)


def test_a_return_in_the_very_moment_of_abandoning_is_discarded_once() -> None:
    running = Call(lambda: "value", name="close call", clock=SYSTEM)
    assert running.wait(LONG)
    count: list[int] = []
    running.abandon(lambda: count.append(1))
    running.abandon(lambda: count.append(2))
    assert running.wait(LONG)
    assert count == [1]
    with pytest.raises(DeadlineExceeded):
        running.result()


def test_a_discard_hook_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    running = Call(lambda: None, name="start of mail", clock=SYSTEM)
    assert running.wait(LONG)
    running.abandon(lambda: 1 / 0)
    assert running.wait(LONG)
    assert "discarding the late return of start of mail failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_the_result_of_a_running_call_is_refused() -> None:
    release = threading.Event()
    running = Call(release.wait, name="slow", clock=SYSTEM)
    with pytest.raises(RuntimeError, match="slow still runs"):
        running.result()
    release.set()
    assert running.wait(LONG)


def test_a_call_never_keeps_the_interpreter_from_exiting() -> None:
    script = "import threading; from jsorc.daemons import Call; Call(threading.Event().wait, name='for ever')"
    ended = subprocess.run([sys.executable, "-c", script], timeout=LONG, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


# Threads


@pytest.fixture
def daemons() -> Iterator[Daemons]:
    owned = Daemons("worker", SYSTEM, get_logger("jsorc.tests.daemons"))
    yield owned
    assert owned.stop(LONG, final=True) == []


def test_a_daemon_with_a_stop_event_ends_at_once_when_told(daemons: Daemons) -> None:
    running = threading.Event()

    def loop(stop: threading.Event) -> None:
        running.set()
        stop.wait()

    daemons.spawn(loop=loop)
    assert running.wait(LONG)
    assert daemons.alive() == ["loop"]
    before = time.monotonic()
    assert daemons.terminate("loop", timeout=LONG) == []
    assert time.monotonic() - before < 1
    assert daemons.alive() == []


def test_a_daemon_without_a_stop_event_is_ended_by_an_exception(daemons: Daemons) -> None:
    running, cleaned = threading.Event(), threading.Event()

    def loop() -> None:
        try:
            while True:
                running.set()
        finally:
            cleaned.set()

    daemons.spawn(loop=loop)
    assert running.wait(LONG)
    assert daemons.terminate("loop", timeout=LONG) == []
    assert cleaned.is_set()


def test_a_daemon_stuck_in_c_code_is_reported_and_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    owned = Daemons("worker", SYSTEM, get_logger("jsorc.tests.daemons"))
    reading, writing = os.pipe()
    inside = threading.Event()

    def stuck() -> None:
        try:
            inside.set()
            os.read(reading, 1)
        finally:
            os.read(reading, 1)  # where the exception came before the first one

    owned.spawn(stuck=stuck)
    assert inside.wait(LONG)
    before = time.monotonic()
    assert owned.terminate("stuck", timeout=0.2) == ["stuck"]
    assert time.monotonic() - before < 2
    assert "worker: stuck did not end within 0.2 s and is left running" in caplog.text
    with pytest.raises(RegistrationError, match="worker already runs 'stuck'"):
        owned.spawn(stuck=stuck)
    os.close(writing)
    assert owned.terminate("stuck", timeout=LONG) == []
    os.close(reading)


def test_the_deadline_of_terminate_goes_by_the_clock() -> None:
    clock, release = FakeClock(), threading.Event()
    owned = Daemons("worker", clock, get_logger("jsorc.tests.daemons"))

    def deaf(stop: threading.Event) -> None:
        release.wait(LONG)

    owned.spawn(deaf=deaf)
    ending = Call(lambda: owned.terminate("deaf", timeout=5), name="ending", clock=SYSTEM)
    clock.await_waiters()
    clock.advance(5)
    assert ending.wait(LONG)
    assert ending.result() == ["deaf"]
    release.set()
    assert owned.stop(LONG) == []


def test_a_daemon_that_raises_is_logged_by_name_and_disturbs_no_other(
    daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    def other(stop: threading.Event) -> None:
        stop.wait()

    def broken() -> None:
        raise ValueError("no such thing")

    daemons.spawn(other=other, broken=broken)
    wait_until(lambda: daemons.alive() == ["other"])
    assert "daemon broken of worker ended by an error" in caplog.text
    assert "ValueError: no such thing" in caplog.text


def test_a_daemon_may_tell_itself_to_stop(daemons: Daemons) -> None:
    answers: list[list[str]] = []

    def suicidal(stop: threading.Event) -> None:
        answers.append(daemons.terminate("suicidal", timeout=LONG))
        stop.wait()

    daemons.spawn(suicidal=suicidal)
    wait_until(lambda: daemons.alive() == [])
    assert answers == [[]]


def test_a_name_of_an_ended_daemon_can_be_used_again(daemons: Daemons) -> None:
    seen: list[int] = []
    daemons.spawn(job=lambda: seen.append(1))
    wait_until(lambda: daemons.alive() == [])
    daemons.spawn(job=lambda: seen.append(2))
    wait_until(lambda: seen == [1, 2])


def test_terminating_a_name_that_nothing_has_is_no_error(daemons: Daemons) -> None:
    assert daemons.terminate("scheduler", "worker") == []


def test_after_a_final_stop_nothing_is_spawned() -> None:
    owned = Daemons("worker", SYSTEM)
    assert owned.stop(LONG, final=True) == []
    with pytest.raises(Closed, match="worker was stopped"):
        owned.spawn(job=lambda: None)
    with pytest.raises(Closed, match="worker was stopped"):
        owned.spawn_process(job=["true"])


def test_a_stop_that_is_not_final_allows_another_life(daemons: Daemons) -> None:
    seen = threading.Event()
    daemons.stop(LONG)
    daemons.spawn(job=seen.set)
    assert seen.wait(LONG)


# Child processes

ECHO = """
import sys
while True:
    with open(sys.argv[1]) as asked:
        words = asked.read()
    with open(sys.argv[2], "w") as answer:
        answer.write(words)
"""
"""Answers on one named pipe what comes on another."""


def test_output_lines_reach_logging_with_secrets_masked(
    daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="jsorc.tests.daemons")
    script = (
        "import sys; print('hello'); print('redis://me:pa55word@host', file=sys.stderr); print('end', end='')"
    )
    daemons.spawn_process(talker=[sys.executable, "-c", script])
    child = daemons.processes()["talker"]
    assert child.wait(LONG) == 0
    lines = [record.getMessage() for record in caplog.records]
    assert "talker: hello" in lines
    assert "talker: end" in lines
    assert "pa55word" not in caplog.text
    assert "hello" in child.last_lines()


def test_a_child_that_ends_by_itself_is_a_warning_with_its_status(
    daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    daemons.spawn_process(leaver=[sys.executable, "-c", "raise SystemExit(7)"])
    child = daemons.processes()["leaver"]
    assert child.wait(LONG) == 7
    assert f"process leaver (pid {child.pid}) ended with status 7" in caplog.text


def test_a_child_survives_the_thread_that_asked_for_it(daemons: Daemons, tmp_path: Path) -> None:
    asked, answer = fifo(tmp_path / "asked"), fifo(tmp_path / "answer")

    def ask(words: str) -> str:
        asked.write_text(words)
        return answer.read_text()

    def start_and_ask() -> None:
        daemons.spawn_process(echo=[sys.executable, "-c", ECHO, str(asked), str(answer)])
        assert ask("up") == "up"  # so that the thread ends after the child is set up

    asker = threading.Thread(target=start_and_ask)
    asker.start()
    asker.join(LONG)
    if sys.platform == "linux":  # join returns a little before the kernel's thread is gone
        wait_until(lambda: not Path(f"/proc/self/task/{asker.native_id}").exists())
    assert daemons.alive() == ["echo"]
    assert ask("still there") == "still there"


@linux_only
def test_a_child_dies_when_its_parent_is_killed_with_sigkill(tmp_path: Path) -> None:
    script = """
import sys, threading
from jsorc.daemons import Daemons
owned = Daemons("parent")
owned.spawn_process(child=[sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"])
child = owned.processes()["child"]
while "up" not in child.last_lines(): child.wait(0.01)
print(child.pid, flush=True)
threading.Event().wait()
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait(LONG)
    assert ended_within(child, LONG)


@linux_only
def test_stop_kills_the_group_with_its_grandchildren(daemons: Daemons) -> None:
    script = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen(["sleep", "600"])
print("grandchild", grandchild.pid, flush=True)
grandchild.wait()
"""
    daemons.spawn_process(family=[sys.executable, "-c", script])
    child = daemons.processes()["family"]
    wait_until(lambda: any(line.startswith("grandchild") for line in child.last_lines()))
    grandchild = os.pidfd_open(int(child.last_lines()[-1].split()[1]))
    assert daemons.stop(2.0) == []
    assert child.poll() == -signal.SIGKILL
    assert ended_within(grandchild, LONG)


@linux_only
def test_what_is_left_of_the_group_ends_with_its_leader(daemons: Daemons, tmp_path: Path) -> None:
    gate = fifo(tmp_path / "gate")
    script = (
        "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True);"
        "open(sys.argv[1]).read(); sys.exit(3)"
    )
    daemons.spawn_process(leader=[sys.executable, "-W", "ignore", "-c", script, str(gate)])
    child = daemons.processes()["leader"]
    wait_until(lambda: child.last_lines() != [])
    grandchild = os.pidfd_open(int(child.last_lines()[0]))
    gate.write_text("go")
    assert child.wait(LONG) == 3
    assert ended_within(grandchild, LONG)


def test_a_child_that_obeys_sigterm_ends_at_once(daemons: Daemons) -> None:
    daemons.spawn_process(sleeper=["sleep", "600"])
    child = daemons.processes()["sleeper"]
    before = time.monotonic()
    assert daemons.terminate("sleeper", timeout=LONG) == []
    assert time.monotonic() - before < 5
    assert child.poll() == -signal.SIGTERM
    assert daemons.processes() == {}


def test_a_child_has_the_default_signals_and_the_given_folder_and_environment(
    daemons: Daemons, tmp_path: Path
) -> None:
    shell = 'echo "$PWD $COLOUR ${PATH:+path}"; kill -PIPE $$'
    daemons.spawn_process(shell=ProcessSpec(["sh", "-c", shell], cwd=tmp_path, env={"COLOUR": "red"}))
    child = daemons.processes()["shell"]
    assert child.wait(LONG) == -signal.SIGPIPE
    assert child.last_lines() == [f"{tmp_path} red path"]


def test_a_missing_program_is_a_clear_error_and_nothing_of_the_call_is_left(daemons: Daemons) -> None:
    with pytest.raises(
        ProvisionError, match="other cannot be started: there is no program 'no-such-program'"
    ):
        daemons.spawn_process(one=["sleep", "600"], other=["no-such-program", "--flag"])
    assert daemons.processes() == {}


def test_a_missing_folder_is_a_clear_error(daemons: Daemons, tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=r"job cannot be started: .*No such file or directory"):
        daemons.spawn_process(job=ProcessSpec(["sleep", "600"], cwd=tmp_path / "missing"))


def test_an_empty_command_is_a_clear_error(daemons: Daemons) -> None:
    with pytest.raises(ProvisionError, match="its command is empty"):
        daemons.spawn_process(job=[])


def test_a_name_still_alive_is_refused_for_processes_and_threads_alike(daemons: Daemons) -> None:
    daemons.spawn_process(job=["sleep", "600"])
    with pytest.raises(RegistrationError, match="already runs 'job'"):
        daemons.spawn_process(other=["sleep", "600"], job=["sleep", "600"])
    with pytest.raises(RegistrationError, match="already runs 'job'"):
        daemons.spawn(job=lambda: None)
    assert daemons.alive() == ["job"]


def test_without_an_interpreter_of_its_own_a_child_is_started_directly(
    daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_interpreter", lambda: None)
    daemons.spawn_process(plain=["sh", "-c", "echo direct"])
    child = daemons.processes()["plain"]
    assert child.wait(LONG) == 0
    assert child.last_lines() == ["direct"]


def test_a_line_without_an_end_does_not_fill_the_memory(daemons: Daemons) -> None:
    daemons.spawn_process(endless=[sys.executable, "-c", "print('x' * 1_000_000, end='')"])
    child = daemons.processes()["endless"]
    assert child.wait(LONG) == 0
    assert max(len(line) for line in child.last_lines()) <= 128 * 1024


@linux_only
def test_a_process_that_left_the_group_with_the_pipe_does_not_hide_the_end(daemons: Daemons) -> None:
    script = (
        "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    )
    daemons.spawn_process(leaver=[sys.executable, "-c", script])
    child = daemons.processes()["leaver"]
    assert child.wait(LONG) == 0
    os.kill(int(child.last_lines()[0]), signal.SIGKILL)


@linux_only
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_forgets_the_parents_children_and_has_a_spawner_of_its_own(daemons: Daemons) -> None:
    daemons.spawn_process(mine=["sleep", "600"])
    parents = daemons.processes()["mine"]

    def in_child() -> bool:
        parents.kill()  # does nothing: it is not this process's child
        daemons.forget()
        nothing = daemons.processes() == {} and daemons.stop(LONG) == []
        daemons.spawn_process(mine=["sh", "-c", "echo own"])
        own = daemons.processes()["mine"]
        return nothing and own.wait(LONG) == 0 and own.last_lines() == ["own"]

    assert in_forked_child(in_child)
    assert parents.poll() is None
    assert daemons.alive() == ["mine"]


def in_forked_child(check: Callable[[], bool]) -> bool:
    """Run `check` in a fork of this process; return its answer, False when it raises."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(LONG))
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def ended_within(pidfd: int, timeout: float) -> bool:
    """Wait for the end of any process, reaped or not."""
    try:
        return bool(select.select([pidfd], [], [], timeout)[0])
    finally:
        os.close(pidfd)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        threading.Event().wait(0.005)
