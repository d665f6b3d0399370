"""Addresses of this machine, written as `host:port` or as the path of a Unix socket.

What serves at one, and who may, is decided in `provisioning`.
"""

from __future__ import annotations

import errno

__all__ = ["is_taken"]


def is_taken(address: str) -> bool:
    """Return whether something listens at an address of this machine.

    Args:
        address: `127.0.0.1:6379`, `[::1]:6379`, or the path of a socket.

    Raises:
        ValueError: It is neither.
        OSError: Nothing could listen there: no such interface, or no right to the port.
    """
    return _answers(address) if "/" in address else _is_bound(address)


def _answers(path: str) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except BlockingIOError:  # its queue is full
            return True
        except (FileNotFoundError, ConnectionRefusedError):  # a server makes a stale socket anew
            return False
    return True


def _is_bound(address: str) -> bool:
    import socket

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{address!r} is neither host:port nor the path of a socket")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    for family, kind, protocol, _, where in found:
        with socket.socket(family, kind, protocol) as server:
            # Without it the closed connections of a server that has just ended would take its port.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(where)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return True
    return False
