"""Threads that never hold the interpreter's exit, and what one owner runs beside itself.

`Call` runs one function under a deadline; `Daemons` keeps the background threads and child processes of one
owner and ends them when told. How a child process is started and reaped is in `processes`.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from jsorc.clock import SYSTEM, Clock
from jsorc.errors import Closed, DeadlineExceeded, RegistrationError
from jsorc.processes import ChildProcess, ProcessSpec, start_process
from jsorc.redaction import get_logger

if TYPE_CHECKING:
    import logging

__all__ = ["Call", "ChildProcess", "Daemons", "ProcessSpec", "call"]

T = TypeVar("T")


class Call(Generic[T]):
    """One function running on a daemon thread of its own; it starts at once.

    The function sees the caller's context variables. Threads of an executor would not do: the interpreter
    waits for them at exit, for ever when the function hangs.

    Args:
        fn: What to run; whatever it raises, SystemExit too, is kept for `result`.
        name: The name of the thread, and of the call in messages.
        clock: The clock that `wait` goes by.
    """

    def __init__(self, fn: Callable[[], T], *, name: str, clock: Clock = SYSTEM) -> None:
        self.name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._returned = False
        self._abandoned = False
        self._discard: Callable[[], object] | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, fn), name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            # Python 3.12 starts no thread in an exit handler. What is to be done at exit is then done right
            # here, without a deadline, rather than not at all.
            if "shutdown" not in str(error):
                raise
            context.run(self._run, fn)

    @property
    def alive(self) -> bool:
        """Whether the function, or the discarding of its late return, still runs (in this process)."""
        return not self._finished.is_set() and self._thread.is_alive()

    @property
    def abandoned(self) -> bool:
        """Whether `abandon` was called."""
        return self._abandoned

    def wait(self, timeout: float | None) -> bool:
        """Wait until the function has ended, at most `timeout` seconds; return whether it has."""
        return self._clock.wait(self._finished, timeout)

    def result(self) -> T:
        """Return what the function returned, or raise what it raised.

        Raises:
            DeadlineExceeded: The call was abandoned.
            RuntimeError: The function still runs; `wait` first.
        """
        if self._abandoned:
            raise DeadlineExceeded(f"{self.name} was given up; what it returns late is not used")
        if not self._returned:
            raise RuntimeError(f"{self.name} still runs; call wait() before result()")
        if self._error is not None:
            raise self._error
        return self._value[0]

    def abandon(self, discard: Callable[[], object] | None = None) -> None:
        """Give the call up: nobody will use what it returns.

        Args:
            discard: Called once when the function ends at last, by return or by exception, on its thread; on
                another daemon thread when it has ended in this very moment.
        """
        with self._lock:
            if self._abandoned:
                return
            self._abandoned = True
            self._discard = discard
            if self._returned:
                self._finished.clear()
                self._thread = threading.Thread(target=self._drop, name=f"{self.name} (discard)", daemon=True)
                self._thread.start()

    def _run(self, fn: Callable[[], T]) -> None:
        value: list[T] = []
        error: BaseException | None = None
        try:
            value.append(fn())
        except BaseException as raised:
            error = raised
        with self._lock:
            self._value, self._error, self._returned = value, error, True
            if not self._abandoned:
                self._finished.set()
                return
        self._drop()

    def _drop(self) -> None:
        self._value, self._error = [], None
        discard, self._discard = self._discard, None
        try:
            if discard is not None:
                discard()
        except BaseException:
            get_logger("jsorc.daemons").exception("discarding the late return of %s failed", self.name)
        finally:
            self._finished.set()


def call(
    fn: Callable[[], T],
    timeout: float | None,
    *,
    name: str,
    clock: Clock = SYSTEM,
    discard: Callable[[], object] | None = None,
) -> T:
    """Run `fn` on a daemon thread of its own and wait for it.

    Args:
        fn: What to run.
        timeout: Seconds; None waits without limit.
        name: The name of the thread, and of the call in the error.
        clock: The clock of the deadline.
        discard: Called on the thread of `fn` when it ends after the deadline.

    Returns:
        What `fn` returned.

    Raises:
        DeadlineExceeded: `fn` did not end in time; it is abandoned.
    """
    running = Call(fn, name=name, clock=clock)
    if not running.wait(timeout):
        running.abandon(discard)
        raise DeadlineExceeded(f"{name} did not end within {timeout:g} s")
    return running.result()


class Daemons:
    """The background threads and child processes of one owner: a service, or the orchestrator.

    Threads and processes share one space of names. One that raises or dies is logged and disturbs no other.

    Args:
        owner: Whose they are, in messages.
        clock: The clock of every deadline here.
        log: Where errors, reports and the output of processes go; None for the log of this room.
    """

    def __init__(self, owner: str, clock: Clock = SYSTEM, log: logging.Logger | None = None) -> None:
        self.owner = owner
        self._clock = clock
        self._log = log if log is not None else get_logger("jsorc.daemons")
        self._reset()

    def spawn(self, /, **targets: Callable[..., object]) -> None:
        """Run functions on daemon threads: `spawn(jsorc=self.interval_check)`.

        A target with a parameter named `stop` is given a `threading.Event` by that keyword and must return
        soon after it is set; any other can only be asked to end by an asynchronous exception.

        Args:
            targets: The function by name.

        Raises:
            RegistrationError: Something of that name is still alive; nothing was started.
            Closed: After a final `stop`.
        """
        with self._lock:
            self._refuse_taken(targets)
            for name, target in targets.items():
                self._threads[name] = _Thread(name, self.owner, target, self._log)

    def spawn_process(self, /, **commands: Sequence[str] | ProcessSpec) -> None:
        """Start child processes: `spawn_process(worker=["celery", "worker"])`.

        Their output goes to the log line by line, and they end with this process at the latest.

        Args:
            commands: The program and its arguments by name, or a `ProcessSpec`.

        Raises:
            RegistrationError: Something of that name is still alive; nothing was started.
            ProvisionError: One could not be started; the others of this call were ended again.
            Closed: After a final `stop`, or when everything was told to stop in this moment.
        """
        with self._lock:
            self._refuse_taken(commands)
            self._starting.update(commands)
            stops = self._stops
        started: dict[str, ChildProcess] = {}
        kept = False
        try:
            for name, command in commands.items():
                spec = command if isinstance(command, ProcessSpec) else ProcessSpec(command)
                started[name] = start_process(name, spec, clock=self._clock, log=self._log)
            with self._lock:
                kept = stops == self._stops
                if kept:
                    self._processes.update(started)
        finally:
            with self._lock:
                self._starting.difference_update(commands)
            if not kept:
                for child in started.values():
                    child.kill()
        if not kept:
            raise Closed(
                f"the processes of {self.owner} were told to stop while {', '.join(commands)} started"
            )

    def processes(self) -> dict[str, ChildProcess]:
        """Return the child processes by name; one that ended by itself stays until its name is used again."""
        with self._lock:
            return dict(self._processes)

    def alive(self) -> list[str]:
        """Return the names of the threads and processes that run now."""
        with self._lock:
            return [
                *(name for name, thread in self._threads.items() if thread.alive),
                *(name for name, child in self._processes.items() if child.poll() is None),
            ]

    def terminate(self, *names: str, timeout: float = 5.0) -> list[str]:
        """End threads and processes by name, all at once; a name that nothing has is no error.

        A thread with a `stop` event is told by it. Any other gets a SystemExit at its next step of Python,
        which does not reach one that is inside C code. Processes: see `ChildProcess.terminate`.

        Args:
            names: Which ones.
            timeout: Seconds in all.

        Returns:
            The names of those that did not end in time; they are logged, and their names stay taken.
        """
        with self._lock:
            threads = [thread for name, thread in self._threads.items() if name in names]
            children = [child for name, child in self._processes.items() if name in names]
        return self._end(threads, children, timeout)

    def stop(self, timeout: float, *, final: bool = False) -> list[str]:
        """End all threads and processes.

        Args:
            timeout: Seconds in all.
            final: Refuse whatever is spawned from now on.

        Returns:
            The names of those that did not end in time.
        """
        with self._lock:
            self._stops += 1
            self._closed |= final
            threads, children = list(self._threads.values()), list(self._processes.values())
        return self._end(threads, children, timeout)

    def forget(self) -> None:
        """In a forked child: drop what belongs to the parent without touching it."""
        for child in self._processes.values():
            child.forget()
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[str, _Thread] = {}
        self._processes: dict[str, ChildProcess] = {}
        self._starting: set[str] = set()
        self._stops = 0
        self._closed: bool = False

    def _refuse_taken(self, names: Iterable[str]) -> None:
        if self._closed:
            raise Closed(f"{self.owner} was stopped; it starts no thread and no process any more")
        for name in names:
            thread, child = self._threads.get(name), self._processes.get(name)
            if name in self._starting or (thread and thread.alive) or (child and child.poll() is None):
                mend = "terminate it first, or use another name"
                raise RegistrationError(f"{self.owner} already runs {name!r}; {mend}")

    def _end(self, threads: list[_Thread], children: list[ChildProcess], timeout: float) -> list[str]:
        deadline = self._clock.monotonic() + timeout
        for thread in threads:
            thread.ask()
        for child in children:
            child.request_stop()
        patience = deadline - min(1.0, timeout / 5)
        for child in children:
            if child.wait(patience - self._clock.monotonic()) is None:
                child.kill()
        left = [child.name for child in children if child.wait(deadline - self._clock.monotonic()) is None]
        left.extend([thread.name for thread in threads if not thread.wait(self._clock, deadline)])
        with self._lock:
            for gone in threads:
                if not gone.alive and self._threads.get(gone.name) is gone:
                    del self._threads[gone.name]
            for ended in children:
                if ended.poll() is not None and self._processes.get(ended.name) is ended:
                    del self._processes[ended.name]
        if left:
            self._log.warning(
                "%s: %s did not end within %g s and is left running", self.owner, ", ".join(left), timeout
            )
        return left


class _Thread:
    """One background thread of a `Daemons`."""

    def __init__(self, name: str, owner: str, target: Callable[..., object], log: logging.Logger) -> None:
        self.name = name
        self._owner = owner
        self._log = log
        self._stop = threading.Event() if _takes_stop(target) else None
        self._ended = threading.Event()
        self._leaving = threading.Lock()
        self._over = False
        self._asked = False
        self._thread = threading.Thread(target=self._run, args=(target,), name=f"{owner} {name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return not self._ended.is_set() and self._thread.is_alive()

    def ask(self) -> None:
        """Tell the thread to end."""
        if self._stop is not None:
            self._stop.set()
        elif self._thread is not threading.current_thread():
            self._interrupt()

    def wait(self, clock: Clock, deadline: float) -> bool:
        """Wait for the end; a thread that ends itself is not waited for, and only its event can tell it."""
        if self._thread is threading.current_thread():
            return self._stop is not None
        return not self.alive or clock.wait(self._ended, deadline - clock.monotonic())

    def _interrupt(self) -> None:
        import ctypes

        with self._leaving:  # a thread that has left may have given its id to another
            if self._over or self._asked or self._thread.ident is None:
                return
            self._asked = True  # once: a second one could hit the cleaning up that the first began
            thread = ctypes.c_ulong(self._thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(SystemExit))

    def _run(self, target: Callable[..., object]) -> None:
        # The asynchronous exception is sent once, but may arrive after the target, anywhere in here.
        try:
            try:
                self._call(target)
            finally:
                self._leave()
        except SystemExit:
            self._leave()

    def _call(self, target: Callable[..., object]) -> None:
        try:
            target() if self._stop is None else target(stop=self._stop)
        except SystemExit:
            if not self._asked:
                self._log.warning("daemon %s of %s ended itself by SystemExit", self.name, self._owner)
        except BaseException:
            self._log.exception("daemon %s of %s ended by an error", self.name, self._owner)

    def _leave(self) -> None:
        with self._leaving:
            self._over = True
        self._ended.set()


def _takes_stop(target: Callable[..., object]) -> bool:
    import inspect

    try:
        parameter = inspect.signature(target).parameters.get("stop")
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
    return parameter is not None and parameter.kind in (
        parameter.POSITIONAL_OR_KEYWORD,
        parameter.KEYWORD_ONLY,
    )
