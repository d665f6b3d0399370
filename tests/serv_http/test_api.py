"""What the API says of services, and what its changes do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.serv_http.conftest import Shared
from tests.serv_http.site import SECRET, Site


@pytest.fixture
def client(shared: Shared) -> Iterator[httpx.Client]:
    """Somebody who may change everything; what was stored of echo's config is taken back afterwards."""
    with shared.site.client(shared.tokens["operator"]["staff"]) as client:
        yield client
        client.delete("/api/services/echo/config")


def test_services_are_listed_with_state_and_error(client: httpx.Client) -> None:
    services = {service["name"]: service for service in client.get("/api/services").json()}
    assert services["echo"]["state"] == "RUNNING"
    assert services["echo"]["winner"] == "tests.serv_http.demo:Echo"
    assert services["broken"]["state"] == "FAILED"
    assert "cannot reach" in services["broken"]["error"]
    assert services["broken"]["attempts"] >= 1
    assert services["idle"]["state"] in {"NOT_STARTED", "RUNNING"}


def test_looking_at_a_config_starts_nothing(client: httpx.Client) -> None:
    before = client.get("/api/services/idle").json()["state"]
    assert client.get("/api/services/idle/config").status_code == 200
    assert client.get("/api/services/idle").json()["state"] == before


def test_candidates_explain_who_won_and_why(client: httpx.Client) -> None:
    hook = client.get("/api/candidates/repository/hook").json()
    assert [row["status"] for row in hook["candidates"]][:2] == ["selected", "outranked"]
    assert hook["candidates"][0]["target"] == "jsorc_serv.hook:OrmHook"
    names = {(row["pillar"], row["name"]) for row in client.get("/api/candidates").json()}
    assert {("repository", "hook"), ("service", "echo")} <= names


def test_plugins_are_listed_with_their_state(client: httpx.Client) -> None:
    states = {plugin["distribution"]: plugin["state"] for plugin in client.get("/api/plugins").json()}
    assert states["jsorc-serv"] == "loaded"
    assert states.get("jsorc-redis", "blocked") == "blocked"


def test_info_has_everything_at_once(client: httpx.Client) -> None:
    info = client.get("/api/info").json()
    assert info["schema"] == 1
    assert info["started"] is True
    assert "broken" in info["waiting"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "services/nobody"),
        ("GET", "services/nobody/config"),
        ("PATCH", "services/nobody/config"),
        ("DELETE", "services/nobody/config"),
        ("POST", "services/nobody/refresh"),
        ("POST", "services/nobody/call/say"),
        ("POST", "services/nobody/manifest"),
        ("DELETE", "services/nobody/manifest"),
        ("GET", "candidates/service/nobody"),
        ("GET", "settings/NOBODY_CONFIG"),
        ("GET", "services/'; DROP TABLE auth_user; --"),
        ("GET", "services/%00"),
        ("GET", "services/ech"),
    ],
)
def test_an_unknown_name_is_not_found(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(
        method, f"/api/{path}", json={} if "manifest" not in path else {"manifest": "a: 1"}
    )
    assert answer.status_code == 404, answer.text
    assert answer.json()["error"] in {"NotRegistered", "NotFound"}


def test_a_restart_gives_a_fresh_instance(client: httpx.Client) -> None:
    before = client.get("/api/services/echo").json()
    answer = client.post("/api/services/echo/refresh")
    assert answer.status_code == 200
    after = answer.json()
    assert after["state"] == "RUNNING"
    assert after["attempts"] == before["attempts"] + 1


def test_a_config_is_changed_and_taken_back(client: httpx.Client) -> None:
    assert client.get("/api/services/echo/config").json()["config"]["greeting"] == "hello"
    answer = client.patch("/api/services/echo/config", json={"greeting": "good day"})
    assert answer.status_code == 200
    assert answer.json()["persisted"] is True
    assert client.get("/api/services/echo/config").json()["config"]["greeting"] == "good day"
    said = client.post("/api/services/echo/call/say", json={"args": ["Ada"]}).json()
    assert said == {"result": ["good day, Ada"]}
    keys = {key["key"]: key for key in client.get("/api/settings/ECHO_CONFIG").json()["keys"]}
    assert keys["greeting"]["layer"] == "stored"
    assert client.delete("/api/services/echo/config").status_code == 200
    assert client.get("/api/services/echo/config").json()["config"]["greeting"] == "hello"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"greting": "x"}, 422),
        ({"limit": "many"}, 422),
        ({"limit": 2**80}, 422),
        ({"api_key": "a-secret-as-a-value"}, 422),
        ({"greeting": "\ud800"}, 422),
        ({"refuses": True}, 503),
        ({"enabled": "yes"}, 422),
        ([], 422),
        ("text", 422),
        (None, 422),
    ],
)
def test_a_config_that_will_not_do_changes_nothing(client: httpx.Client, change: Any, status: int) -> None:
    import json

    before = client.get("/api/services/echo/config").json()
    answer = client.patch("/api/services/echo/config", content=json.dumps(change))
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text
    assert client.get("/api/services/echo/config").json() == before
    assert client.get("/api/services/echo").json()["state"] == "RUNNING"


def test_only_methods_that_are_offered_can_be_called(client: httpx.Client) -> None:
    for method in ("not_offered", "run", "__init__", "config", "start"):
        answer = client.post(f"/api/services/echo/call/{method}", json={})
        assert answer.status_code == 404
        assert "say" in answer.json()["detail"]


def test_a_method_takes_the_arguments_it_has(client: httpx.Client) -> None:
    sent = {"args": ["x"], "kwargs": {"times": 2}}
    answer = client.post("/api/services/echo/call/say", json=sent)
    assert answer.json() == {"result": ["hello, x", "hello, x"]}
    assert client.post("/api/services/echo/call/say", json={"kwargs": {"wrong": 1}}).status_code == 422


def test_a_method_that_fails_is_no_error_of_the_server(client: httpx.Client) -> None:
    answer = client.post("/api/services/echo/call/fail", json={})
    assert answer.status_code == 502
    assert "failed with ********" in answer.json()["detail"]
    assert client.post("/api/services/echo/call/unspeakable", json={}).status_code == 502


def test_a_manifest_is_applied_by_whoever_answers(client: httpx.Client) -> None:
    loaded = client.post("/api/manifests", json={"manifest": {"kind": "Demo"}})
    assert loaded.json() == {"provided": True, "detail": "applied for nobody", "kept": False}
    applied = client.post("/api/services/echo/manifest", json={"manifest": {"kind": "Demo"}})
    assert applied.json() == {"provided": True, "detail": "applied for echo", "kept": False}
    assert _manifest_of_echo(client) == {"kind": "Demo", "registered": True}


def test_a_manifest_is_kept_when_it_is_asked_for_and_taken_back(client: httpx.Client) -> None:
    sent = {"manifest": {"kind": "Demo", "size": 3}, "keep": True}
    assert client.post("/api/services/echo/manifest", json=sent).json()["kept"] is True
    assert _manifest_of_echo(client) == {"kind": "Demo", "size": 3}
    assert client.get("/api/changes", params={"limit": 1}).json()[0]["detail"] == '{"size": 2, "keep": true}'
    assert client.delete("/api/services/echo/manifest").json()["persisted"] is True
    assert _manifest_of_echo(client) == {"kind": "Demo", "registered": True}


@pytest.mark.parametrize(
    ("manifest", "status"),
    [
        ({"kind": "Secret", "stringData": {"a": "b"}}, 422),
        ("spec:\n  password: hunter22", 422),
        ({"kind": "Crash"}, 502),
        ("kind: Deployment", 501),
    ],
)
def test_a_manifest_that_will_not_do_is_not_kept(client: httpx.Client, manifest: Any, status: int) -> None:
    answer = client.post("/api/services/echo/manifest", json={"manifest": manifest, "keep": True})
    assert answer.status_code == status, answer.text
    assert "hunter22" not in answer.text
    assert _manifest_of_echo(client) == {"kind": "Demo", "registered": True}


def test_only_a_service_with_a_setting_for_it_keeps_a_manifest(client: httpx.Client) -> None:
    sent = {"manifest": {"kind": "Demo"}, "keep": True}
    answer = client.post("/api/services/idle/manifest", json=sent)
    assert answer.status_code == 422
    assert "no manifest setting" in answer.json()["detail"]


def _manifest_of_echo(client: httpx.Client) -> dict[str, Any]:
    keys = client.get("/api/settings/ECHO_MANIFEST").json()["keys"]
    return {key["key"]: key["value"] for key in keys}


def test_a_manifest_that_nobody_answers_names_what_to_install(client: httpx.Client) -> None:
    for path in ("/api/manifests", "/api/services/echo/manifest"):
        answer = client.post(path, json={"manifest": "kind: Deployment"})
        assert answer.status_code == 501
        assert "pip install jsorc-kube" in answer.json()["detail"]


def test_a_provisioner_that_raises_is_told_from_nobody(client: httpx.Client) -> None:
    for path in ("/api/manifests", "/api/services/echo/manifest"):
        answer = client.post(path, json={"manifest": {"kind": "Crash"}})
        assert answer.status_code == 502
        assert answer.json()["error"] == "ProvisionError"
        assert "demo-provisioner raised RuntimeError: the cluster refused" in answer.json()["detail"]
        assert "pip install" not in answer.text
        assert SECRET not in answer.text


@pytest.mark.parametrize(
    "body", ["{", "", "null", "[" * 100_000, '{"manifest": NaN}', '{"manifest": 1}', "\x00"]
)
def test_a_malformed_body_is_refused(client: httpx.Client, body: str) -> None:
    answer = client.post("/api/manifests", content=body)
    assert answer.status_code in {400, 422}, answer.text


def test_a_change_is_logged_with_who_what_and_the_outcome(client: httpx.Client) -> None:
    client.post("/api/services/echo/call/say", json={"args": ["hello"]})
    client.patch("/api/services/echo/config", json={"api_key": SECRET})
    refused, called = client.get("/api/changes", params={"limit": 2}).json()
    assert (called["actor"], called["means"]) == ("operator", "token operator-staff")
    assert (called["action"], called["target"], called["outcome"]) == ("call", "echo.say", "done")
    assert called["address"] == "127.0.0.1"
    assert refused["outcome"].startswith("ConfigError")
    assert refused["detail"] == '{"api_key": "********"}'
    older = client.get("/api/changes", params={"before": called["id"], "limit": 500}).json()
    assert all(entry["id"] < called["id"] for entry in older)


def test_regenerate_begins_a_pass(client: httpx.Client) -> None:
    assert client.post("/api/regenerate").json()["begun"] in {True, False}


def test_refresh_restarts_everything_that_was_started(client: httpx.Client) -> None:
    answer = client.post("/api/refresh")
    assert answer.status_code == 200
    assert {service["name"] for service in answer.json()} >= {"echo", "broken"}


def test_the_document_and_its_page_need_nobody_elses_server(shared: Shared) -> None:
    with shared.site.client() as client:
        document = client.get("/api/openapi.json").json()
        assert document["info"]["title"] == "JsOrc"
        page = client.get("/api/docs").text
        assert "//cdn" not in page
        assert "https://" not in page
        assert client.get("/static/ninja/swagger-ui-bundle.js").status_code == 200


def test_a_change_outlives_the_process(make_site: Callable[..., Site]) -> None:
    site = make_site()
    tokens = site.accounts(("operator", True, ["change_config"]))
    with site.client(tokens["operator"]["staff"]) as client:
        assert client.patch("/api/services/echo/config", json={"limit": 7}).json()["persisted"] is True
    site.stop()
    again = make_site()
    with again.client(tokens["operator"]["staff"]) as client:
        assert client.get("/api/services/echo/config").json()["config"]["limit"] == 7
