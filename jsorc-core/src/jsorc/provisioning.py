"""Local servers that processes share: one process starts a server and owns it, others wait until it serves.

A file lock for the address and one for the data folder decide which. What a server is, its service says
(`LocalProcess`); when one is provisioned, and whether a plugin does it instead, is decided elsewhere.
"""

from __future__ import annotations

import os
import re
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jsorc.addresses import is_taken
from jsorc.clock import SYSTEM, Clock
from jsorc.daemons import Call, ChildProcess, Daemons, ProcessSpec, call
from jsorc.errors import Closed, DeadlineExceeded, ProvisionError
from jsorc.locks import FileLock, Holder
from jsorc.processes import describe_exit
from jsorc.redaction import get_logger, mask_text

if TYPE_CHECKING:
    import logging

__all__ = ["LocalProcess", "LocalProvisioner", "OwnedProcess", "ProvisionResult"]

_LOOK = 0.02
"""Real seconds between two looks at a server that cannot tell when it is ready; deadlines go by the clock."""

_INHERITANCE = 2.0
"""Seconds for the server of a killed owner to be gone: the lock is free an instant before its port is."""


_LOG_TAIL = 8192
_LOG_LINES = 20


@dataclass(frozen=True)
class LocalProcess:
    """A server that a service can run on this machine.

    Attributes:
        name: What it is called in messages and logs.
        argv: The program and its arguments; other users can read it, so it holds no secrets.
        address: Where it serves: `127.0.0.1:6379`, `[::1]:6379`, or the path of a Unix socket.
        data_dir: Where it keeps its data; made when missing.
        ready: Answers True once it serves; False or an exception is "not yet".
        log_file: What the server itself writes, if it does; read when it ends too early.
        prepare: Called before each start, under the lock; writes a configuration file, for one.
        env: Variables set on top of this process's environment.
        stop_timeout: Seconds between asking it to end and killing it.
    """

    name: str
    argv: tuple[str, ...]
    address: str
    data_dir: Path
    ready: Callable[[], bool]
    log_file: Path | None = None
    prepare: Callable[[], None] | None = None
    env: Mapping[str, str] | None = field(default=None, repr=False)
    stop_timeout: float = 5.0


@dataclass(frozen=True)
class ProvisionResult:
    """What became of a request to provision.

    Attributes:
        provided: Whether what the service runs on should be there now.
        detail: How, or why not, in one line.
    """

    provided: bool
    detail: str


@dataclass(frozen=True)
class OwnedProcess:
    """A server that this process runs; the attributes are those of `LocalProcess`, and its process id."""

    name: str
    pid: int
    address: str
    data_dir: Path
    log_file: Path | None


class LocalProvisioner:
    """Starts local servers, shares them with the other processes of this machine, and starts them again.

    Args:
        state_dir: The folder of the lock files; processes share servers only within one.
        clock: The clock of every deadline.
        daemons: What the servers run under.
        log: Where it says what it started; None for the log of this room.
    """

    def __init__(
        self, state_dir: Path, clock: Clock, daemons: Daemons, log: logging.Logger | None = None
    ) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._daemons = daemons
        self._log = log if log is not None else get_logger("jsorc.provisioning")
        self._reset()

    def provision(self, process: LocalProcess, timeout: float) -> ProvisionResult:
        """See to it that the server serves: start it, start it again, or wait for the process that does.

        Locks are never waited for. A server that is not ready at the deadline is left running: it may be
        loading its data.

        Args:
            process: The server.
            timeout: Seconds in all.

        Returns:
            Who serves.

        Raises:
            ProvisionError: It does not serve in time, ended too early, or its address, data folder or program
                cannot be had; the message says which, and what mends it.
            Closed: After `stop`.
        """
        if not hasattr(os, "killpg"):
            raise _failure(process, "cannot be started: local servers take Linux or macOS")
        deadline = self._clock.monotonic() + timeout
        server = self._server(process.address)
        probe = _Probe()
        while not server.turn.acquire(blocking=False):
            # Another thread of this process is at it.
            if (shared := self._shared(process, probe, Holder(os.getpid()), deadline)) is not None:
                return shared
        try:
            while (holder := server.take(process)) is not None:
                if (shared := self._shared(process, server.probe, holder, deadline)) is not None:
                    return shared
            return self._serve(server, process, deadline)
        except (OSError, ValueError) as error:
            raise _failure(process, f"cannot be started: {error}", evidence=str(error)) from error
        finally:
            if self._stopping.is_set():
                self._end([server], process.stop_timeout)
            server.release_unless_running()
            server.turn.release()

    def owned(self) -> list[OwnedProcess]:
        """Return the servers that this process runs now."""
        with self._lock:
            running = [(server.process, server.child) for server in self._servers.values()]
        return [
            OwnedProcess(process.name, child.pid, process.address, process.data_dir, process.log_file)
            for process, child in running
            if process is not None and child is not None and child.poll() is None
        ]

    def stop(self, timeout: float) -> list[str]:
        """End the servers that this process owns, and give their locks up; provision nothing any more.

        Args:
            timeout: Seconds in all; each server gets its `stop_timeout` at most.

        Returns:
            The names of those that did not end; their locks are held until this process ends.
        """
        self._stopping.set()
        with self._lock:
            servers = list(self._servers.values())
        return self._end(servers, timeout)

    def forget(self) -> None:
        """In a forked child: let go of the parent's servers and locks without touching either."""
        for server in self._servers.values():
            server.forget()
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._servers: dict[str, _Server] = {}

    def _server(self, address: str) -> _Server:
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", address)[-60:]
        lock = self._state_dir / f"{readable}-{zlib.crc32(address.encode()):08x}.lock"
        with self._lock:
            return self._servers.setdefault(address, _Server(lock))

    def _shared(
        self, process: LocalProcess, probe: _Probe, holder: Holder, deadline: float
    ) -> ProvisionResult | None:
        """Look once whether another's server serves; return None, after a pause, when it does not yet."""
        self._refuse_when_stopped()
        if probe.look(process):
            return ProvisionResult(True, f"{process.name} at {process.address} is shared with {holder}")
        if self._clock.monotonic() >= deadline:
            raise _failure(
                process,
                f"does not serve at {process.address}: {holder} has its lock, but nothing answers there in "
                f"time{probe.last_error()}. Wait for it to start the server, or end it",
            )
        self._stopping.wait(_LOOK)
        return None

    def _serve(self, server: _Server, process: LocalProcess, deadline: float) -> ProvisionResult:
        if not server.running:
            if not self._await_address(server, process, deadline):
                return ProvisionResult(
                    True, f"{process.name} at {process.address} answers already, started by something else"
                )
            self._start(server, process, deadline)
        child = server.child
        while child is not None:
            ready = server.probe.look(process)
            if child.poll() is not None:
                raise _ended_early(server, process, child)
            self._refuse_when_stopped()
            if ready:
                return ProvisionResult(True, f"{process.name} (pid {child.pid}) serves at {process.address}")
            if self._clock.monotonic() >= deadline:
                raise _failure(
                    process,
                    f"(pid {child.pid}) runs, but does not serve at {process.address} in time"
                    f"{server.probe.last_error()}{_see_log(process)}",
                )
            child.ended.wait(_LOOK)
        raise Closed(f"{process.name} was told to stop while it started")

    def _await_address(self, server: _Server, process: LocalProcess, deadline: float) -> bool:
        """Return whether the address is free; False when something else serves there already."""
        patience = self._clock.monotonic() + (_INHERITANCE if server.address_lock.inherited else 0)
        while is_taken(process.address):
            self._refuse_when_stopped()
            now = self._clock.monotonic()
            if now >= min(patience, deadline):
                ready = server.probe.look(process)
                if ready:
                    return False
                if ready is False or now >= deadline:
                    raise _failure(
                        process,
                        f"cannot be started: {process.address} is taken by something that does not answer as "
                        f"{process.name}{server.probe.last_error()}. End it, or set another address",
                    )
            self._stopping.wait(_LOOK)
        return True

    def _start(self, server: _Server, process: LocalProcess, deadline: float) -> None:
        if process.prepare is not None:
            left = deadline - self._clock.monotonic()
            try:
                call(process.prepare, left, name=f"preparing {process.name}", clock=self._clock)
            except DeadlineExceeded as error:
                raise _failure(process, f"cannot be started: {error}") from error
        self._refuse_when_stopped()
        server.log_start = _size(process.log_file)
        key = f"{process.name}@{process.address}"
        self._daemons.spawn_process(**{key: ProcessSpec(process.argv, env=process.env)})
        server.process, server.child = process, self._daemons.processes().get(key)
        places = f"{process.address}, data in {process.data_dir}{_see_log(process)}"
        self._log.info("started %s at %s", process.name, places)

    def _end(self, servers: list[_Server], timeout: float) -> list[str]:
        deadline = self._clock.monotonic() + timeout
        ending = [(s, s.process, s.child) for s in servers if s.process is not None and s.child is not None]
        for _, _, child in ending:
            child.request_stop()
        left = []
        for server, process, child in ending:
            allowed = min(process.stop_timeout, deadline - self._clock.monotonic())
            if not child.terminate(max(0.0, allowed)):
                left.append(process.name)
            elif server.turn.acquire(blocking=False):  # else the thread that provisions it gives the locks up
                server.release_unless_running()
                server.turn.release()
        return left

    def _refuse_when_stopped(self) -> None:
        if self._stopping.is_set():
            raise Closed("the local servers of this process were stopped; it starts none any more")


class _Probe:
    """Asks whether a server is ready, on another thread; one question at a time, however long it hangs."""

    def __init__(self) -> None:
        self._asking: Call[bool] | None = None
        self._error: BaseException | None = None

    def look(self, process: LocalProcess) -> bool | None:
        """Return the answer; None when there is none yet."""
        asking = self._asking = self._asking or Call(
            process.ready, name=f"asking {process.name}", clock=SYSTEM
        )
        if not asking.wait(_LOOK):
            return None
        self._asking = self._error = None
        try:
            return bool(asking.result())
        except (Exception, SystemExit) as error:
            self._error = error
            return False

    def last_error(self) -> str:
        return f" ({type(self._error).__name__}: {self._error})" if self._error is not None else ""


class _Server:
    """What this process knows of the server at one address."""

    def __init__(self, lock: Path) -> None:
        self.turn = threading.Lock()
        self.probe = _Probe()
        self.process: LocalProcess | None = None
        self.child: ChildProcess | None = None
        self.log_start = 0
        self.address_lock = FileLock(lock)
        self._data_lock: FileLock | None = None

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def take(self, process: LocalProcess) -> Holder | None:
        """Take both locks; return who has them, None when they are this process's."""
        if self.running:
            return None
        data_lock = FileLock(process.data_dir / ".jsorc.lock")
        if self._data_lock is not None and self._data_lock.path != data_lock.path:
            self.release_unless_running()
        if self._data_lock is not None:
            return None
        if not self.address_lock.acquire(process.address):
            return self.address_lock.holder()
        try:
            if data_lock.acquire(process.address):
                self._data_lock = data_lock
                return None
            holder = data_lock.holder()
        finally:
            if self._data_lock is None:
                self.address_lock.release()
        if holder.note not in ("", process.address):
            raise _failure(
                process,
                f"cannot be started: {holder} runs a server at {holder.note} on the data folder "
                f"{process.data_dir}. Use that address, or set another data folder",
            )
        return holder

    def release_unless_running(self) -> None:
        if self.running:
            return
        if self._data_lock is not None:
            self._data_lock.release()
            self._data_lock = None
        self.address_lock.release()

    def forget(self) -> None:
        self.address_lock.forget()
        if self._data_lock is not None:
            self._data_lock.forget()


def _failure(process: LocalProcess, what: str, *, evidence: str = "", said: str = "") -> ProvisionError:
    if "No space left on device" in evidence:
        what += f". The disk is full: free space for {process.data_dir}, or set another data folder"
    elif "Address already in use" in evidence:
        what += f". {process.address} is taken: end what listens there, or set another address"
    return ProvisionError(mask_text(f"{process.name} {what}.{said}"))


def _ended_early(server: _Server, process: LocalProcess, child: ChildProcess) -> ProvisionError:
    lines = "\n    ".join([*child.last_lines(), *_log_lines(process.log_file, server.log_start)])
    what = f"(pid {child.pid}) {describe_exit(child.poll() or 0)} before it served at {process.address}"
    said = f" Its last lines:\n    {lines}" if lines else " It said nothing."
    return _failure(process, what + _see_log(process), evidence=lines, said=said)


def _log_lines(log_file: Path | None, start: int) -> list[str]:
    """Return the last lines that the server wrote to its log since `start`."""
    if log_file is None or _size(log_file) <= start:
        return []
    with log_file.open("rb") as log:
        log.seek(max(start, _size(log_file) - _LOG_TAIL))
        return log.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]


def _size(path: Path | None) -> int:
    return path.stat().st_size if path is not None and path.exists() else 0


def _see_log(process: LocalProcess) -> str:
    return f", log in {process.log_file}" if process.log_file is not None else ""
