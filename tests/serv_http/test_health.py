"""What a machine that watches the process is told."""

from __future__ import annotations

from collections.abc import Callable

from tests.serv_http.conftest import Shared
from tests.serv_http.site import Site


def test_liveness_is_this_process_alone(shared: Shared) -> None:
    with shared.site.client() as client:
        assert client.get("/livez").json() == {"alive": True}  # though `broken` is FAILED
        assert client.get("/livez", headers={"Host": "10.1.2.3:8000"}).status_code == 200
        assert client.head("/livez").status_code == 200


def test_readiness_names_what_is_not_ready(shared: Shared) -> None:
    with shared.site.client() as client:
        answer = client.get("/readyz", headers={"Host": "10.1.2.3:8000"})
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "waiting": ["broken"]}


def test_a_site_where_everything_runs_is_ready(make_site: Callable[..., Site]) -> None:
    site = make_site(JSORC_BROKEN_CONFIG__ENABLED="false")
    with site.client() as client:
        assert client.get("/api/docs").status_code == 200
        _until_ready(site)
        assert client.get("/readyz").json() == {"ready": True, "waiting": []}


def test_metrics_name_what_to_install(shared: Shared) -> None:
    with shared.site.client() as client:
        answer = client.get("/metrics")
    assert answer.status_code == 404
    assert "pip install jsorc-prome" in answer.text


def test_metrics_come_from_whoever_exposes_them(make_site: Callable[..., Site]) -> None:
    site = make_site("--app", "tests.serv_http.demo_metrics")
    with site.client() as client:
        answer = client.get("/metrics")
    assert (answer.status_code, answer.text) == (200, "up 1\n")
    assert answer.headers["Content-Type"].startswith("text/plain")


def _until_ready(site: Site) -> None:
    """Watch the site's own stream until it says that it is ready."""
    import json

    tokens = site.accounts(("watcher", False, []))
    with (
        site.client(tokens["watcher"]["read"]) as client,
        client.stream("GET", "/events") as stream,
    ):
        for line in stream.iter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["ready"]:
                return
