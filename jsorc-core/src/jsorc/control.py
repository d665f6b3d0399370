"""The control socket: how the `jsorc` command speaks to the started process of this user and namespace.

The server, which answers `status` and `regenerate` and nothing else, and the client of the same lines of JSON
live here. What a person is shown of the answers is the command's.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jsorc.errors import DeadlineExceeded, JsOrcError, ServiceUnavailable
from jsorc.locks import FileLock
from jsorc.redaction import get_logger, mask_text

__all__ = ["ControlServer", "ask", "socket_path"]

log = get_logger("jsorc.control")

LONGEST_REQUEST = 4096
"""Bytes of one request; the two that there are take less than fifty."""
LONGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of one answer."""
PATIENCE = 5.0
"""Seconds that a client has to send a request, and to take the answer."""
MOST_CLIENTS = 16
"""Clients that are served at once."""
LOOK_AGAIN = 10.0
"""Seconds between two attempts to take over the socket of a process that may have ended."""
HANDING_OVER = 2.0
"""Seconds for a thread of the server to end at `close`."""

Answers = Mapping[str, Callable[[], Any]]


def socket_path(state_dir: Path, namespace: str) -> Path:
    """Where the started process of a namespace listens.

    Args:
        state_dir: The folder of the user's state, `JsOrc.orchestrator.state_dir`.
        namespace: `JSORC_CONFIG.namespace`.
    """
    return state_dir / namespace / "control.sock"


class ControlServer:
    """Listens on the control socket, on threads of its own that hold up nothing.

    One process has the socket: the one that holds the lock on the file beside it. Another that was started
    leaves it alone, and takes it over when its owner has ended, however that ended.

    Args:
        path: The socket; its folder is made, and open to this user alone.
        answers: What answers each request, by name; it returns something that JSON can say.
    """

    def __init__(self, path: Path, answers: Answers) -> None:
        self.path = path
        self._answers = answers
        self._lock = FileLock(path.with_suffix(".lock"))
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._waker: tuple[socket.socket, socket.socket] | None = None
        self._clients: set[socket.socket] = set()
        self._thread: threading.Thread | None = None

    @property
    def listening(self) -> bool:
        """Whether this process has the socket."""
        return self._listener is not None

    def open(self) -> bool:
        """Begins to listen, and returns at once.

        A process that cannot do so works all the same: the log says what is in the way.

        Returns:
            Whether this process has the socket now; it may still take it over later.
        """
        if not hasattr(socket, "AF_UNIX"):
            log.debug("no control socket: this platform has no Unix sockets")
            return False
        try:
            if not self._claim():
                log.info(
                    "%s already serves the control socket %s; it is left alone",
                    self._lock.holder(),
                    self.path,
                )
            self._waker = socket.socketpair()
        except OSError as error:
            self._give_up(error)
            return False
        self._thread = threading.Thread(target=self._run, name="jsorc-control", daemon=True)
        self._thread.start()
        return self.listening

    def close(self) -> None:
        """Stops listening, lets clients go, and removes the socket if it is this process's."""
        self._stopping.set()
        waker, self._waker = self._waker, None
        if waker is not None:
            waker[1].send(b"\0")
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(HANDING_OVER)
        self._release()
        for end in waker or ():
            end.close()
        for client in list(self._clients):
            _hang_up(client)

    def forget(self) -> None:
        """In the child of a fork: closes its copies; the socket and the lock stay the parent's."""
        self._lock.forget()
        for held in [self._listener, *(self._waker or ()), *self._clients]:
            if held is not None:
                held.close()
        self._listener = self._waker = self._thread = None
        self._clients = set()

    # -- having the socket

    def _claim(self) -> bool:
        """Takes the socket if no living process has it."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if not self._lock.acquire(str(self.path)):
            return False
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.path.unlink(missing_ok=True)  # whoever made it is gone, or would hold the lock
            listener.bind(os.fspath(self.path))
            self.path.chmod(0o600)
            listener.listen(MOST_CLIENTS)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            self._lock.release()
            raise
        self._listener = listener
        return True

    def _release(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        try:
            if self._lock.held:
                self.path.unlink(missing_ok=True)
            self._lock.release()
        except OSError as error:  # the next process that is started replaces what stays
            log.warning("the control socket %s was not removed: %s", self.path, error)

    def _give_up(self, error: OSError) -> None:
        self._release()
        log.warning(
            "no control socket at %s (%d bytes), so `jsorc services` and the like do not find this process: "
            "%s; set XDG_STATE_HOME to %s folder, or JSORC_CONFIG.control to false",
            self.path,
            len(os.fsencode(self.path)),
            error,
            "a shorter" if _is_too_long(error) else "another",
        )

    # -- serving it

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if self._listener is not None or self._claim():
                    self._serve()
                else:
                    self._stopping.wait(LOOK_AGAIN)
        except OSError as error:
            if not self._stopping.is_set():
                self._give_up(error)

    def _serve(self) -> None:
        import selectors

        listener, waker = self._listener, self._waker
        if listener is None or waker is None:  # it is being closed
            return
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(waker[0], selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select()
                if not self._stopping.is_set():
                    self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # such as no descriptor being free; the client waits in the queue
            log.warning("a client of the control socket was not accepted: %s", error)
            self._stopping.wait(1.0)
            return
        if len(self._clients) >= MOST_CLIENTS:
            with client:
                client.settimeout(0.1)
                _send(client, {"error": f"{MOST_CLIENTS} others are being answered; ask again later"})
            return
        self._clients.add(client)
        threading.Thread(
            target=self._attend, args=(client,), name="jsorc-control-client", daemon=True
        ).start()

    def _attend(self, client: socket.socket) -> None:
        """Answers one client, line by line, until it leaves or says something that is no request."""
        try:
            with client:
                lines = _Lines(client, LONGEST_REQUEST)
                while not self._stopping.is_set():
                    line = lines.next(PATIENCE)
                    if line is None:
                        return
                    answer = self._answer(line)
                    client.settimeout(PATIENCE)
                    _send(client, answer)
                    if "error" in answer:
                        return
        except (OSError, DeadlineExceeded, ValueError) as error:
            log.debug("a client of the control socket was let go: %s", error)
        finally:
            self._clients.discard(client)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            answer = self._answers[request["ask"]]
        except (ValueError, LookupError, TypeError, RecursionError):
            wanted = " or ".join(f'{{"ask": "{name}"}}' for name in self._answers)
            return {"error": f"this is no request; what is answered is {wanted}, a line each"}
        try:
            return {"pid": os.getpid(), "answer": answer()}
        except JsOrcError as error:
            return {"error": mask_text(str(error))}
        except Exception as error:
            log.exception("the control socket could not answer %s", request["ask"])
            return {"error": mask_text(f"{type(error).__name__}: {error}")}


def ask(path: Path, what: str, timeout: float = 10.0) -> dict[str, Any]:
    """Asks the started process.

    Args:
        path: Its control socket; see `socket_path`.
        what: `status` or `regenerate`.
        timeout: Seconds for the whole of it.

    Returns:
        `pid`, the process that answered, and `answer`, what it said.

    Raises:
        ServiceUnavailable: No started process listens there, or it is not this user's.
        DeadlineExceeded: It does not answer in time.
        JsOrcError: It answered that it cannot do that.
    """
    deadline = time.monotonic() + timeout
    with _connect(path, timeout) as server:
        try:
            with suppress(ConnectionError):  # it has left, and may have said why before
                _send(server, {"ask": what})
            line = _Lines(server, LONGEST_ANSWER).next(deadline - time.monotonic())
            answer = json.loads(line) if line is not None else None
        except (TimeoutError, DeadlineExceeded):
            raise DeadlineExceeded(
                f"the process that listens at {path} did not answer {what} within {timeout:g} s"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise ServiceUnavailable(f"what listens at {path} gave no answer to {what}: {error}") from error
    if not isinstance(answer, dict):
        raise ServiceUnavailable(f"the process that listened at {path} ended before it answered {what}")
    if "answer" not in answer:
        raise JsOrcError(str(answer.get("error", "the answer was empty")))
    return answer


def _connect(path: Path, timeout: float) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise ServiceUnavailable("this platform has no Unix sockets, so no started process can be asked")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.settimeout(timeout)
        server.connect(os.fspath(path))
        owner = path.stat().st_uid
        if owner != os.getuid():
            raise ServiceUnavailable(f"the control socket {path} belongs to another user (uid {owner})")
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        server.close()
        raise ServiceUnavailable(
            f"no started process of this user listens at {path}; start one with `jsorc run MODULE`, or with "
            "JsOrc.start() in an application whose JSORC_CONFIG.control is true"
        ) from None
    except TimeoutError:
        server.close()
        raise DeadlineExceeded(
            f"the process that listens at {path} accepted nothing within {timeout:g} s"
        ) from None
    except OSError as error:
        server.close()
        raise ServiceUnavailable(f"the control socket {path} cannot be reached: {error}") from error
    except BaseException:
        server.close()
        raise
    return server


class _Lines:
    """The lines that come from a socket, each bounded in length and time."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        self._sock = sock
        self._most = most
        self._received = bytearray()

    def next(self, timeout: float) -> bytes | None:
        """The next line, without its end; None when the other side left.

        Raises:
            DeadlineExceeded: It did not come in time.
            ValueError: It is too long.
        """
        deadline = time.monotonic() + timeout
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > self._most:
                raise ValueError(f"a line of more than {self._most} bytes")
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise DeadlineExceeded(f"no whole line came within {timeout:g} s")
            self._sock.settimeout(remaining)
            try:
                part = self._sock.recv(65536)
            except TimeoutError:
                continue
            if not part:
                return None
            self._received += part
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line


def _send(sock: socket.socket, what: dict[str, Any]) -> None:
    sock.sendall(json.dumps(what, default=str).encode() + b"\n")


def _hang_up(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError as error:  # it has left already
        log.debug("a client of the control socket was gone: %s", error)


def _is_too_long(error: OSError) -> bool:
    return error.errno is None and "too long" in str(error)
