"""One child process: started so that it cannot outlive this process, read, reaped, and ended with its group.

Who owns which children, under which name, is in `daemons`; what is provisioned is in `provisioning`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from queue import SimpleQueue
from typing import TYPE_CHECKING

from jsorc.clock import Clock
from jsorc.errors import ProvisionError
from jsorc.redaction import mask_text

if TYPE_CHECKING:
    import logging
    import subprocess
    from pathlib import Path

__all__ = ["ChildProcess", "ProcessSpec", "describe_exit", "start_process"]

_KEPT_LINES = 20
_LONGEST_LINE = 64 * 1024
_CHUNK = 64 * 1024
_DRAIN_CHUNKS = 16

# A preexec_fn would run Python between fork and exec, where another thread's lock can be held for ever. So an
# interpreter of its own asks for the signal and becomes the command. getppid: the parent may have died before
# the request. Python ignores SIGPIPE and SIGXFSZ, and the command would inherit that.
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    print(sys.argv[2] + ": " + error.strerror, file=sys.stderr, flush=True)
    os._exit(127)
"""


@dataclass(frozen=True)
class ProcessSpec:
    """A command, and where it runs.

    Attributes:
        argv: The program and its arguments; no shell is involved. Other users can read it: pass secrets in a
            file, not here.
        cwd: Its working folder; None for this process's.
        env: Variables set on top of this process's environment.
    """

    argv: Sequence[str]
    cwd: str | Path | None = None
    env: Mapping[str, str] | None = field(default=None, repr=False)


class ChildProcess:
    """A running or ended child; `start_process` makes them.

    Attributes:
        name: What it is called in messages.
        pid: Its process id, which is its group's too.
        ended: Set once it has ended, been reaped, and its output has been read.
    """

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], output: FileIO, clock: Clock, log: logging.Logger
    ) -> None:
        self.name = name
        self.pid = process.pid
        self.ended = threading.Event()
        self._process = process
        self._output = output
        self._clock = clock
        self._log = log
        self._parent = os.getpid()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._rest = b""
        self._status: int | None = None
        self._asked = False
        self._signalling = threading.Lock()
        os.set_blocking(output.fileno(), False)
        wake, waker = os.pipe()
        self._wake = FileIO(wake, "r")
        self._waker = FileIO(waker, "w")
        self._reader = threading.Thread(target=self._read, name=f"jsorc output of {name}", daemon=True)
        self._reader.start()
        threading.Thread(target=self._reap, name=f"jsorc wait for {name}", daemon=True).start()

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, as `subprocess` has it; None while it runs."""
        return self._status if self.ended.is_set() else None

    def wait(self, timeout: float | None) -> int | None:
        """Wait at most `timeout` seconds for the end and return `poll()`."""
        if os.getpid() == self._parent:
            self._clock.wait(self.ended, timeout)
        return self.poll()

    def request_stop(self) -> None:
        """Send SIGTERM to the process alone.

        Its own children are its to end, in its order: a Celery worker, for one, first lets them finish their
        tasks. What is left of the group when it has ended is killed.
        """
        if not self._asked:  # to a second SIGTERM many programs give up what they save at the first
            self._signal(signal.SIGTERM, group=False)

    def kill(self) -> None:
        """Send SIGKILL to the whole group."""
        self._signal(signal.SIGKILL, group=True)

    def terminate(self, timeout: float) -> bool:
        """End it: SIGTERM, and SIGKILL to the group when a fifth (at most one second) of the time is left.

        Args:
            timeout: Seconds for both.

        Returns:
            Whether it has ended.
        """
        reserve = min(1.0, timeout / 5)
        self.request_stop()
        if self.wait(timeout - reserve) is None:
            self.kill()
            self.wait(reserve)
        return self.poll() is not None

    def last_lines(self) -> list[str]:
        """Return its latest lines of output, oldest first, with secrets masked."""
        return [mask_text(line) for line in tuple(self._lines)]

    def forget(self) -> None:
        """In a forked child: let go of the parent's child without a signal, and of the copied pipe."""
        # subprocess would warn about, and wait for, what is not this process's child.
        self._process.returncode = self._process.returncode or 0
        for pipe in (self._output, self._wake, self._waker):
            pipe.close()

    def _signal(self, number: signal.Signals, group: bool) -> None:
        if os.getpid() != self._parent:
            return
        with self._signalling:  # under which _reap frees the process id
            if self._status is not None:
                return
            self._asked = True
            try:
                (os.killpg if group else os.kill)(self.pid, number)
            except ProcessLookupError:
                self._log.debug("%s was reaped by other code of this process", self.name)

    def _reap(self) -> None:
        if hasattr(os, "waitid"):  # not on macOS before Python 3.13
            try:
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                self._log.debug("%s was reaped by other code of this process", self.name)
        else:
            self._process.wait()
        with self._signalling:
            # Before it is reaped, so that the group's id cannot be anybody else's.
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError) as nothing_left:
                self._log.debug("the group of %s is empty: %s", self.name, nothing_left)
            self._status = status = self._process.wait()
        self._waker.close()
        self._reader.join()
        try:
            report = self._log.info if self._asked else self._log.warning
            report("process %s (pid %d) %s", self.name, self.pid, describe_exit(status))
        finally:
            self.ended.set()

    def _read(self) -> None:
        import select

        poller = select.poll()
        poller.register(self._output, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        wake = self._wake.fileno()
        gone = False
        while not gone:
            # What left the group may hold the pipe open after the end: take what is in it, and go.
            gone = any(descriptor == wake for descriptor, _ in poller.poll())
            if not self._take_output() and not gone:
                poller.unregister(self._output)
        if self._rest:
            self._log_line(self._rest)
        self._output.close()
        self._wake.close()

    def _take_output(self) -> bool:
        """Log the complete lines that the pipe holds; return False when nobody can write to it any more."""
        for _ in range(_DRAIN_CHUNKS):
            chunk = self._output.read(_CHUNK)
            if chunk is None:
                return True
            if not chunk:
                return False
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._log_line(line)
            if len(self._rest) > _LONGEST_LINE:
                self._log_line(self._rest)
                self._rest = b""
        return True

    def _log_line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        self._lines.append(line)
        self._log.info("%s: %s", self.name, line)


def start_process(name: str, spec: ProcessSpec, *, clock: Clock, log: logging.Logger) -> ChildProcess:
    """Start a child in a session of its own; whichever thread asks, it may live as long as this process.

    Its output, standard error included, goes line by line to `log` at INFO. On Linux the kernel kills it when
    this process dies, however it dies; elsewhere only an orderly end does.

    Args:
        name: What it is called in messages.
        spec: What to run.
        clock: The clock of its deadlines.
        log: Where its output goes; a logger of `jsorc.redaction.get_logger`, which masks secrets.

    Returns:
        The running child.

    Raises:
        ProvisionError: There is no such program or folder, or the system refuses another process.
    """
    if not hasattr(os, "killpg"):
        raise ProvisionError(f"{name} cannot be started: that takes Linux or macOS")
    argv = [_program(name, spec), *spec.argv[1:]]
    interpreter = _interpreter() if sys.platform == "linux" else None
    if interpreter is not None:
        argv = [interpreter, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *argv]
    try:
        return _spawner.run(lambda: _spawn(name, argv, spec, clock, log))
    except OSError as error:
        raise ProvisionError(f"{name} cannot be started: {error}") from error


def describe_exit(status: int) -> str:
    """Say how a process ended: "ended with status 1", "was ended by SIGKILL"."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _spawn(name: str, argv: list[str], spec: ProcessSpec, clock: Clock, log: logging.Logger) -> ChildProcess:
    import subprocess

    reading, writing = os.pipe()
    output = FileIO(reading, "r")
    try:
        process = subprocess.Popen(
            argv,
            cwd=spec.cwd,
            env={**os.environ, **(spec.env or {})},
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
    except BaseException:
        output.close()
        raise
    finally:
        os.close(writing)
    try:
        return ChildProcess(name, process, output, clock, log)
    except BaseException:  # no thread to watch it with, for one
        process.kill()
        process.wait()
        raise


def _program(name: str, spec: ProcessSpec) -> str:
    """Return the path of the program: the launcher could report a missing one only by its exit status."""
    import shutil
    from pathlib import Path

    if not spec.argv:
        raise ProvisionError(f"{name} cannot be started: its command is empty")
    program = Path(spec.argv[0])
    if len(program.parts) > 1:
        program = Path(spec.cwd or "", program)
    found = shutil.which(program, path=(spec.env or {}).get("PATH"))
    if found is None:
        raise ProvisionError(
            f"{name} cannot be started: there is no program {spec.argv[0]!r}; "
            "install it, or give its full path"
        )
    return str(Path(found).absolute())


def _interpreter() -> str | None:
    """Return a Python to launch with; under uWSGI, for one, `sys.executable` is not one."""
    from pathlib import Path

    for path in (Path(sys.executable or ""), Path(sys.exec_prefix, "bin", "python3")):
        if path.name.startswith(("python", "pypy")) and os.access(path, os.X_OK):
            return str(path)
    return None


class _Spawner:
    """The thread that starts every child of this process.

    The parent-death signal is sent when the thread that started the child ends, so that thread must be one
    that lives as long as the process.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: a forked child has neither the thread nor a lock that it can trust."""
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Callable[[], None]] | None = None

    def run(self, start: Callable[[], ChildProcess]) -> ChildProcess:
        """Call `start` on the thread and return what it returns, or raise what it raises."""
        done = threading.Event()
        started: list[ChildProcess] = []
        errors: list[BaseException] = []

        def job() -> None:
            try:
                started.append(start())
            except BaseException as error:
                errors.append(error)
            finally:
                done.set()

        with self._lock:
            if self._jobs is None:
                self._jobs = SimpleQueue()
                threading.Thread(target=_work, args=(self._jobs,), name="jsorc spawner", daemon=True).start()
            self._jobs.put(job)
        done.wait()
        if errors:
            raise errors[0]
        return started[0]


def _work(jobs: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        jobs.get()()


# One for the process, since it stands for a thread of the process.
_spawner = _Spawner()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_spawner.reset)
