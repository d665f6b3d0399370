"""Bodies that are too long, requests that hang, and streams that nobody reads."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.serv_http.conftest import Shared
from tests.serv_http.site import Site

LONGEST = 1 << 20


def test_a_body_that_is_too_long_is_refused(shared: Shared) -> None:
    with shared.site.client(shared.tokens["operator"]["staff"]) as client:
        body = json.dumps({"manifest": "x" * LONGEST})
        answer = client.post("/api/manifests", content=body)
        assert answer.status_code == 413
        assert answer.json()["error"] == "TooLong"
    with shared.site.client(shared.tokens["operator"]["staff"]) as client:
        allowed = json.dumps({"manifest": "x" * (LONGEST - 1000)})
        assert client.post("/api/manifests", content=allowed).status_code == 501


def test_a_body_without_a_length_is_refused_once_it_is_too_long(shared: Shared) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 64 * LONGEST:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    import httpx

    with shared.site.client() as client:
        try:
            status = client.post("/login", content=endless()).status_code
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            status = 413  # the connection was closed while we were still sending
    assert status == 413
    assert sent < 16 * LONGEST


@pytest.mark.parametrize(
    "request_text",
    [
        "POST /api/manifests HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /api/manifests HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /api/me HTTP/1.1\r\nHost: localhost\r\nCookie: jsorc_session=\xff; a\r\n\r\n",
        "GET /api/services?x=%00&limit=%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "NONSENSE\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_refused(shared: Shared, request_text: str) -> None:
    port = int(shared.site.base.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request_text.encode("latin-1"))
        status = connection.recv(4096).split(b"\r\n")[0]
    assert status.split()[1].startswith(b"4"), status


def test_only_so_many_may_watch(make_site: Callable[..., Site]) -> None:
    site = make_site(JSORC_SERV_CONFIG__PUBLIC_STATUS="true", JSORC_SERV_CONFIG__THROTTLE__READS="0")
    port = int(site.base.rsplit(":", 1)[1])
    watchers = []
    try:
        for _ in range(101):
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            watchers.append(connection)
        statuses = [connection.recv(64).split()[1] for connection in watchers]
    finally:
        for connection in watchers:
            connection.close()
    assert statuses.count(b"503") >= 1
    assert statuses.count(b"200") >= 90
    with site.client() as client:  # and the others are served meanwhile
        assert client.get("/livez").status_code == 200


def test_a_stream_tells_of_a_change_at_once_and_gives_signs_of_life(shared: Shared) -> None:
    with (
        shared.site.client(shared.tokens["operator"]["staff"]) as client,
        shared.site.client(shared.tokens["operator"]["read"]) as watcher,
        watcher.stream("GET", "/events") as stream,
    ):
        assert stream.headers["Content-Type"] == "text/event-stream"
        lines = stream.iter_lines()
        first = json.loads(next(line for line in lines if line.startswith("data: {"))[6:])
        attempts = {service["name"]: service["attempts"] for service in first["services"]}["idle"]
        client.post("/api/services/idle/refresh")
        for line in lines:
            if line.startswith("data: {"):
                services = {service["name"]: service for service in json.loads(line[6:])["services"]}
                if services["idle"]["attempts"] > attempts and services["idle"]["state"] == "RUNNING":
                    break
        assert any(line == "event: beat" or line.startswith("data: {") for line in lines)
