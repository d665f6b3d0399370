"""Sequences: what may be written, what is let out, and what becomes of the steps."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jsorc import Orchestrator
from jsorc_task import guarded_http
from jsorc_task.errors import SequenceError, StepFailed
from jsorc_task.guarded_http import check_url, resolve, send
from jsorc_task.sequences import read_sequence, run_sequence
from jsorc_task.service import TaskService
from tests.servers import RedisServer
from tests.task.web import Web, web

Make = Callable[..., Orchestrator]


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as running:
        yield running


def config_for(server: Web, **more: Any) -> dict[str, Any]:
    return {"allowed_urls": [server.url], "allowed_addresses": ["127.0.0.1"], "timeout": 5.0, **more}


@pytest.fixture
def run(make_orchestrator: Make, redis_server: RedisServer, server: Web) -> Callable[..., dict[str, Any]]:
    """Runs a sequence in this process, as a worker would."""
    orchestrator = make_orchestrator(redis_server.port, role="client", sequence=config_for(server))
    app = orchestrator.svc("task").poke()

    def run(*steps: dict[str, Any], **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = app.tasks[run_sequence.name].run({"steps": list(steps)}, given)
        return found

    return run


# Running


def test_a_sequence_runs_in_a_worker(make_orchestrator: Make, redis_server: RedisServer, server: Web) -> None:
    orchestrator = make_orchestrator(redis_server.port, sequence=config_for(server))
    orchestrator.start()
    service = orchestrator.svc("task", TaskService)
    steps = [
        {"name": "fetch", "http": {"url": f"{server.url}/items"}},
        {
            "name": "sum",
            "task": {"name": "tests.task.jobs.add", "args": ["{{fetch.body.items.0.id}}", "{{input.more}}"]},
        },
    ]
    found = service.get_by_task_id(service.add_sequence({"steps": steps}, {"more": 5}), wait=True)
    assert found["status"] == "SUCCESS", found
    assert found["result"]["sum"] == {"result": 12}
    assert found["result"]["fetch"]["status"] == 200


def test_later_steps_use_what_earlier_ones_returned(run: Any, server: Web) -> None:
    found = run(
        {"name": "fetch", "http": {"url": f"{server.url}/items"}},
        {
            "name": "post",
            "http": {
                "method": "POST",
                "url": f"{server.url}/{{{{input.where}}}}/{{{{fetch.body.items.0.name}}}}",
                "body": {"whole": "{{fetch.body.items}}", "part": "id={{fetch.body.items.0.id}}"},
                "params": {"q": "{{fetch.status}}"},
            },
        },
        where="there",
    )
    assert server.asked[1] == (
        "POST",
        "/there/a%2Fb?q=200",
        {"whole": [{"id": 7, "name": "a/b"}], "part": "id=7"},
    )
    assert found["post"]["body"]["got"]["part"] == "id=7"


def test_a_text_is_returned_as_text(run: Any, server: Web) -> None:
    assert run({"name": "a", "http": {"url": f"{server.url}/text"}})["a"]["body"] == "plain"


def test_a_step_is_tried_again(run: Any, server: Web) -> None:
    server.failures = 2
    step = {"name": "a", "http": {"url": f"{server.url}/x"}, "retries": 2, "retry_delay": 0}
    assert run(step)["a"]["status"] == 200
    assert len(server.asked) == 3


def test_a_failed_step_ends_the_sequence(run: Any, server: Web) -> None:
    server.failures = 1
    with pytest.raises(StepFailed, match=r"step 'a' failed: .*503"):
        run(
            {"name": "a", "http": {"url": f"{server.url}/x"}},
            {"name": "b", "http": {"url": f"{server.url}/y"}},
        )
    assert len(server.asked) == 1


def test_a_failed_step_may_be_passed_over(run: Any, server: Web) -> None:
    server.failures = 1
    found = run(
        {"name": "a", "http": {"url": f"{server.url}/x"}, "on_error": "continue"},
        {"name": "b", "http": {"url": f"{server.url}/y"}},
    )
    assert "503" in found["a"]["error"]
    assert found["b"]["status"] == 200


def test_a_task_that_raises_fails_its_step(run: Any) -> None:
    with pytest.raises(StepFailed, match="ValueError: no milk"):
        run({"name": "a", "task": {"name": "tests.task.jobs.fail", "args": ["no milk"]}})


def test_what_is_missing_in_an_earlier_result_fails_the_step(run: Any, server: Web) -> None:
    with pytest.raises(StepFailed, match=r"no a\.body\.nothing"):
        run(
            {"name": "a", "http": {"url": f"{server.url}/x"}},
            {"name": "b", "task": {"name": "tests.task.jobs.add", "args": ["{{a.body.nothing}}", 1]}},
        )


# What is let out


def test_a_redirect_is_not_followed(run: Any, server: Web) -> None:
    with pytest.raises(StepFailed, match="redirects are not followed"):
        run({"name": "a", "http": {"url": f"{server.url}/moved"}})
    assert len(server.asked) == 1


def test_an_answer_that_never_ends_is_given_up_in_time(server: Web) -> None:
    with pytest.raises(StepFailed, match=r"longer than 0\.5 s"):
        asked(f"{server.url}/drip", config_for(server, timeout=0.5))


def test_an_answer_that_is_too_large_is_not_read(server: Web) -> None:
    with pytest.raises(StepFailed, match="more than 100 bytes"):
        asked(f"{server.url}/large", config_for(server, max_bytes=100))


def test_without_an_allow_list_nothing_is_let_out(server: Web) -> None:
    with pytest.raises(SequenceError, match="allowed_urls"):
        asked(f"{server.url}/x", {})


def test_a_private_address_is_refused_unless_it_is_listed(server: Web) -> None:
    with pytest.raises(SequenceError, match="no public address"):
        asked(f"{server.url}/x", config_for(server, allowed_addresses=[]))
    assert server.asked == []


def test_a_refused_url_is_not_passed_over(run: Any) -> None:
    with pytest.raises(SequenceError, match="refused"):
        run(
            {
                "name": "a",
                "http": {"url": "http://169.254.169.254/latest"},
                "on_error": "continue",
                "retries": 3,
            }
        )


def test_a_name_is_resolved_once_and_the_checked_address_connected_to(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.1", "169.254.169.254"])
    asked_for: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "rebinding.example":
            asked_for.append(host)
            host = next(answers)
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"http://rebinding.example:{server.port}/x"
    assert asked(url, config_for(server, allowed_urls=[url]))["status"] == 200
    assert asked_for == ["rebinding.example"]
    assert server.hosts == [f"rebinding.example:{server.port}"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2130706433", "0x7f.1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(SequenceError, match="no public address"):
        resolve(host, 80, [])


def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
        for address in ("93.184.216.34", "10.0.0.1")
    ]
    monkeypatch.setattr(guarded_http.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(SequenceError, match=r"10\.0\.0\.1"):
        resolve("both.example", 80, [])
    assert resolve("both.example", 80, ["10.0.0.0/8"]) == ipaddress.ip_address("93.184.216.34")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v12", "https://api.example.com/", "http://api.example.com/v1/x",
        "https://api.example.com:8443/v1/x", "https://api.example.com.evil.com/v1/x",
        "https://api.example.com@evil.com/v1/x", "https://user:pw@api.example.com/v1/x",
        "https://api.example.com/v1/../admin", "https://api.example.com/v1/%2e%2e/admin",
        "https://api.example.com/v1/%252e%252e/admin", "https://api.example.com/v1/..%5cadmin",
        "https://api.example.com\\@evil.com/v1/x", "file:///etc/passwd", "gopher://api.example.com/v1/",
        "//api.example.com/v1/", "https:///v1/x", "https://api.example.com:99999/v1/x", "",
    ],
)  # fmt: skip
def test_a_url_that_no_entry_covers_is_refused(url: str) -> None:
    with pytest.raises(SequenceError):
        check_url(url, ["https://api.example.com/v1"])


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com/v1", "https://api.example.com/v1/x?y=1", "https://API.example.com:443/v1/"],
)
def test_a_url_that_an_entry_covers_is_let_out(url: str) -> None:
    check_url(url, ["https://api.example.com/v1"])


@pytest.mark.parametrize(
    "headers", [{"Host": "evil"}, {"transfer-encoding": "chunked"}, {"X-A": "b\r\nX-C: d"}]
)
def test_headers_that_would_change_the_request_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SequenceError, match="header"):
        read_sequence(
            {"steps": [{"name": "a", "http": {"url": "https://api.example.com/", "headers": headers}}]}
        )


def asked(url: str, config: dict[str, Any]) -> dict[str, Any]:
    return send(method="GET", url=url, headers={}, params={}, body=None, config=config)


# What may be written

HTTP = {"url": "https://api.example.com/"}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (None, "no sequence"),
        ({"steps": []}, "no sequence"),
        ({"steps": [{"name": "a", "http": HTTP}], "more": 1}, "more"),
        ({"steps": [{"name": "a", "http": HTTP, "retry": 1}]}, "retry"),
        ({"steps": [{"name": "a", "http": {**HTTP, "method": "TRACE"}}]}, "TRACE"),
        ({"steps": [{"name": "a b", "http": HTTP}]}, "no sequence"),
        ({"steps": [{"name": "a", "http": HTTP, "retries": 11}]}, "no sequence"),
        ({"steps": [{"name": "a"}]}, "exactly one"),
        ({"steps": [{"name": "a", "http": HTTP, "task": {"name": "t"}}]}, "exactly one"),
        ({"steps": [{"name": "a", "http": HTTP}, {"name": "a", "http": HTTP}]}, "stands twice"),
        ({"steps": [{"name": "input", "http": HTTP}]}, "stands twice, or is"),
        ({"steps": [{"name": "a", "task": {"name": "t", "args": ["{{b.result}}"]}}]}, "refers to 'b'"),
        ({"steps": [{"name": "a", "task": {"name": "t", "args": ["{{a.result}}"]}}]}, "refers to 'a'"),
        ({"steps": [{"name": "a", "task": {"name": "t", "args": ["{{ nonsense"]}}]}, "begins no reference"),
        ({"steps": [{"name": "a", "task": {"name": "t", "args": [float("nan")]}}]}, "no sequence"),
    ],
    ids=str,
)
def test_what_is_no_sequence_is_refused(definition: Any, said: str) -> None:
    with pytest.raises(SequenceError, match=said):
        read_sequence(definition)
