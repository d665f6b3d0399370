"""Starts a real PostgreSQL on a loopback port of its own and stops it by process id.

It runs as another user than root, since PostgreSQL refuses root; nothing here knows pytest.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.servers import MissingProgram, free_port

__all__ = ["PostgresServer"]

_ROLE = "jsorc"
_UNPRIVILEGED = ("postgres", "nobody")
_READY = "ready to accept connections"


class PostgresServer:
    """One PostgreSQL with the role and the database `jsorc`; it can be killed and started again on its data.

    Args:
        port: The loopback port it listens on.
        password: What the role must say; None for trust.
        config: Further settings of the server.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        port: int | None = None,
        password: str | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.password = password
        self._config = dict(config or {})
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as DATABASE_URL takes it."""
        secret = f":{self.password}" if self.password else ""
        return f"postgresql://{_ROLE}{secret}@{self.host}:{self.port}/{_ROLE}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self, timeout: float = 30.0) -> PostgresServer:
        """Start the server, on new data the first time, and return once it takes connections.

        Raises:
            MissingProgram: There is no PostgreSQL on this machine.
            RuntimeError: It ended, or was not ready within `timeout` seconds.
        """
        programs = _programs()
        if self._folder is None:
            self._initialise(programs)
        assert self._folder is not None
        options = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            **self._config,
        }
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        log = self._folder / "server.log"
        with log.open("ab") as output:
            began = output.tell()
            self._process = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(self._folder / "data"), *arguments],
                stdout=output,
                stderr=output,
                cwd=self._folder,
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
                user=_user(),
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while _READY not in (said := log.read_bytes()[began:].decode(errors="replace")):
            # A foreign process signals nothing, so its log is looked at again and again.
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"PostgreSQL did not start:\n{said}")
            time.sleep(0.02)
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """End the server at once and in order (SIGINT, "fast"); does nothing when it has ended."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to each of its children, as SIGSTOP and SIGCONT."""
        for pid in (self.pid, *_children_of(self.pid)):
            os.kill(pid, number)

    def kill(self) -> None:
        """End the server and its children as a crash would, and return when it is gone."""
        assert self._process is not None, "the server was not started"
        if self._process.poll() is None:
            children = _children_of(self._process.pid)
            self._process.kill()
            # They would end by themselves when they notice, which is too late for a start right after.
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _initialise(self, programs: Path) -> None:
        # Not pytest's folder: another user may not enter it.
        self._folder = Path(tempfile.mkdtemp(prefix="jsorc-postgres-"))
        user = _user()
        if user is not None:
            shutil.chown(self._folder, user)
        command = [str(programs / "initdb"), "-D", str(self._folder / "data"), "-U", _ROLE, "-E", "UTF8"]
        command += ["--no-sync", "--locale", _locale()]
        if self.password is None:
            command += ["-A", "trust"]
        else:
            secret = self._folder / "password"
            secret.write_text(self.password)
            secret.chmod(0o600)
            if user is not None:
                shutil.chown(secret, user)
            command += ["-A", "scram-sha-256", "--pwfile", str(secret)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self._folder, user=user, check=False
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
        # The server's single-user mode makes the database before anybody can connect.
        subprocess.run(
            [str(programs / "postgres"), "--single", "-D", str(self._folder / "data"), "postgres"],
            input=f"CREATE DATABASE {_ROLE};\n",
            capture_output=True,
            text=True,
            cwd=self._folder,
            user=user,
            check=True,
        )


def _programs() -> Path:
    """The folder of the server programs: Debian keeps each version's apart from PATH."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise MissingProgram("no PostgreSQL: apt-get install postgresql")
    return versions[-1].parent


def _children_of(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may hold anything; what follows is the state and the parent.
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


def _user() -> str | None:
    if os.getuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise MissingProgram("PostgreSQL refuses to run as root, and there is no other user: adduser postgres")


def _locale() -> str:
    """A locale that does not compare by code point, where the machine has one: the column must."""
    done = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False)
    natural = [
        name for name in done.stdout.split() if name.lower() in {"en_us.utf8", "de_de.utf8", "en_gb.utf8"}
    ]
    return natural[0] if natural else "C.UTF-8"
