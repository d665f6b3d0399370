"""HTTP requests that somebody else has written: which URLs and addresses are let out, and how much is read.

A name is resolved once, and the connection goes to the address that was checked: a name server that answers
differently the next time gains nothing.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from jsorc.daemons import call
from jsorc.errors import ConfigError, DeadlineExceeded
from jsorc_task.errors import SequenceError, StepFailed

if TYPE_CHECKING:
    import httpx

__all__ = ["check_headers", "check_lists", "check_url", "resolve", "send"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_YOURS = {
    "connection",
    "content-length",
    "host",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
}
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def send(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    params: Mapping[str, Any],
    body: Any,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Sends a request and reads its answer.

    Args:
        method: The method.
        url: The URL.
        headers: Headers to send.
        params: The query, in place of one in the URL.
        body: What is sent as JSON; None for nothing.
        config: The keys of `SequenceConfig`.

    Returns:
        `status`, `headers` and `body`, which is JSON if the answer says so, and text otherwise.

    Raises:
        SequenceError: The URL or its address is refused.
        StepFailed: The answer is 300 or above, too large, or not there in time.
    """
    import httpx  # which takes a tenth of the time until a worker is ready, and most tasks need none of it

    check_headers(headers)
    check_url(url, config.get("allowed_urls") or ())
    timeout = float(config.get("timeout", 30.0))
    deadline = time.monotonic() + timeout
    parts = httpx.URL(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = call(
            lambda: resolve(parts.host, port, config.get("allowed_addresses") or ()),
            timeout,
            name=f"resolving {parts.host}",
        )
        client = httpx.Client(trust_env=False, follow_redirects=False, timeout=timeout)
        try:
            request = client.build_request(
                method,
                parts.copy_with(host=str(address)),
                params=dict(params) if params else None,
                json=body,
                headers={
                    **headers,
                    "Host": parts.netloc.decode("ascii"),
                    "Accept-Encoding": "identity",
                },
                # The certificate is checked against the name, although the connection goes to an address.
                extensions={"sni_hostname": parts.raw_host.decode("ascii")},
            )
            return call(
                lambda: _exchange(client, request, int(config.get("max_bytes", 1_000_000))),
                max(0.0, deadline - time.monotonic()),
                name=f"{method} {parts.host}",
            )
        finally:
            client.close()  # which also ends an exchange that was given up
    except DeadlineExceeded as error:
        raise StepFailed(f"{method} {_shown(url)} took longer than {timeout:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise StepFailed(f"{method} {_shown(url)}: {str(error) or type(error).__name__}") from error


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuses headers that would change where a request goes, or where it ends.

    Raises:
        SequenceError: There is one.
    """
    for name, value in headers.items():
        if name.strip().lower() in _NOT_YOURS:
            raise SequenceError(f"The header {name!r} cannot be set; it follows from the URL and the body.")
        if any(character in name + value for character in "\r\n\0"):
            raise SequenceError(f"The header {name!r} has a line break in it.")


def check_lists(config: Mapping[str, Any]) -> None:
    """Refuses entries of the allow-lists that would never allow anything, or more than they seem to.

    Args:
        config: The keys of `SequenceConfig`.

    Raises:
        ConfigError: There is one.
    """
    for entry in config.get("allowed_urls") or ():
        try:
            parts = urlsplit(entry)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            usable = usable and not ("@" in entry or parts.query or parts.fragment)
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(
                f"TASK_CONFIG.sequence.allowed_urls has {_shown(entry)!r}; an entry is the beginning of a "
                "URL, such as https://api.example.com/v1/."
            )
    for entry in config.get("allowed_addresses") or ():
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise ConfigError(
                f"TASK_CONFIG.sequence.allowed_addresses has {entry!r}; an entry is an address or a "
                "network, such as 10.0.0.0/8. Names are resolved, and not listed."
            ) from None


def check_url(url: str, allowed: Iterable[str]) -> None:
    """Refuses a URL that no entry of the allow-list covers.

    Args:
        url: The URL.
        allowed: Beginnings of URLs; a path ends at a slash, so that `/v1` does not allow `/v12`.

    Raises:
        SequenceError: It is refused.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SequenceError(f"The URL {_shown(url)!r} cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SequenceError(
            f"The URL {_shown(url)!r} is refused: it must begin with http:// or https:// and a host."
        )
    if "@" in parts.netloc:
        raise SequenceError(f"The URL {_shown(url)!r} is refused: credentials go into a header.")
    path = parts.path or "/"
    decoded = unquote(unquote(path))
    if any(character in url for character in "\\\r\n\t\0 ") or ".." in decoded.split("/") or "\\" in decoded:
        raise SequenceError(f"The URL {_shown(url)!r} is refused: its path leads out of where it begins.")
    for entry in allowed:
        beginning = urlsplit(entry)
        if (
            parts.scheme == beginning.scheme.lower()
            and parts.hostname == beginning.hostname
            and (port or _port(parts.scheme)) == (beginning.port or _port(beginning.scheme))
            and _is_below(path, beginning.path)
        ):
            return
    raise SequenceError(
        f"The URL {_shown(url)!r} is refused: it begins with no entry of TASK_CONFIG.sequence.allowed_urls."
    )


def resolve(host: str, port: int, allowed: Iterable[str]) -> _Address:
    """Resolves a host to the one address to connect to.

    Args:
        host: A name or an address.
        port: The port.
        allowed: Addresses and networks that may be connected to although they are not public.

    Raises:
        SequenceError: One of its addresses is private and not listed; none of them is used then.
        OSError: It cannot be resolved.
    """
    networks = [ipaddress.ip_network(entry, strict=False) for entry in allowed]
    found: list[_Address] = []
    for *_, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = ipaddress.ip_address(str(where[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        found.append(mapped or address)
    for address in found:
        if not _is_public(address) and not any(address in network for network in networks):
            raise SequenceError(
                f"{host} is at {address}, which is no public address; "
                "TASK_CONFIG.sequence.allowed_addresses lists those that may be connected to all the same."
            )
    return found[0]


def _is_public(address: _Address) -> bool:
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner is None or _is_public(inner)
    return True


def _exchange(client: httpx.Client, request: httpx.Request, max_bytes: int) -> dict[str, Any]:
    answer = client.send(request, stream=True)
    try:
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise StepFailed("the answer is compressed, though that was not asked for")
        content = bytearray()
        for chunk in answer.iter_raw():
            content += chunk
            if len(content) > max_bytes:
                raise StepFailed(
                    f"the answer has more than {max_bytes} bytes (TASK_CONFIG.sequence.max_bytes)"
                )
    finally:
        answer.close()
    if answer.status_code >= 300:
        moved = ", and redirects are not followed" if answer.status_code < 400 else ""
        raise StepFailed(f"the answer is {answer.status_code} {answer.reason_phrase}{moved}")
    text = bytes(content).decode(answer.charset_encoding or "utf-8", "replace")
    return {
        "status": answer.status_code,
        "headers": dict(answer.headers),
        "body": _json(text) if "json" in answer.headers.get("content-type", "") and text else text,
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise StepFailed(f"the answer says that it is JSON, and is not: {error}") from error


def _port(scheme: str) -> int:
    return 443 if scheme.lower() == "https" else 80


def _is_below(path: str, beginning: str) -> bool:
    beginning = beginning or "/"
    return path == beginning or path.startswith(beginning if beginning.endswith("/") else f"{beginning}/")


def _shown(url: str) -> str:
    """A URL without credentials and query, which may hold secrets."""
    head = url.partition("?")[0]
    scheme, separator, rest = head.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"[:200]
