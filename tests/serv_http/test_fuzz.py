"""The API under requests that a machine makes up from its document: no 500, no answer it does not name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.serv_http.conftest import ROLES
from tests.serv_http.site import SECRET, Site

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = int(os.environ.get("JSORC_FUZZ_EXAMPLES", "8"))
"""Requests an operation; a night may have more."""


PRESENT = {"name": "echo", "method": "say", "pillar": "service"}
"""What there is; by itself a machine would hardly guess it."""


SELDOM = {
    "POST /api/manifests",
    "POST /api/services/{name}/manifest",
    "POST /api/services/{name}/call/{method}",
}
"""What succeeds only with a body that a machine does not guess."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that choose each kind of database in turn."""
    if request.param == "sqlite":
        return {}
    pytest.importorskip("psycopg")
    return {"DATABASE_URL": request.getfixturevalue("make_postgres")().url}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", ["operator", "nobody"])
def test_no_request_gets_a_500(make_site: Callable[..., Site], database: dict[str, str], who: str) -> None:
    from schemathesis import GenerationMode

    unlimited = {f"JSORC_SERV_CONFIG__THROTTLE__{kind}": "0" for kind in ("READS", "CHANGES", "LOGINS")}
    # Without `broken`, so that what is restarted runs at once.
    site = make_site(JSORC_BROKEN_CONFIG__ENABLED="false", **unlimited, **database)
    token = site.accounts(("operator", True, [*ROLES, "view_auditentry"]))["operator"]["staff"]
    headers = {"Authorization": f"Bearer {token}"} if who == "operator" else {}
    examples = EXAMPLES if who == "operator" else (EXAMPLES + 1) // 2  # nobody is refused at once
    schema = schemathesis.openapi.from_url(f"{site.base}/api/openapi.json")
    answers: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        present = {each.name: PRESENT[each.name] for each in operation.path_parameters}
        if "/settings/" in operation.label:
            present["name"] = "ECHO_CONFIG"
        for mode in GenerationMode:
            statuses = _ask(operation, headers, examples, generation_mode=mode)
            answers.setdefault(operation.label, set()).update(statuses)
            if present:
                answers[operation.label].update(
                    _ask(operation, headers, examples, generation_mode=mode, path_parameters=present)
                )
    assert len(answers) >= 19
    if who == "operator":
        never = {label for label, statuses in answers.items() if 200 not in statuses}
        assert never <= SELDOM, answers
    else:
        assert all(statuses <= {401, 404} for statuses in answers.values()), answers
    assert "Traceback" not in site.log
    assert SECRET not in site.log


def _ask(operation: Any, headers: dict[str, str], examples: int, **how: Any) -> set[int]:
    """Make requests of one kind, check the answers against the document, and give their statuses."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    statuses: set[int] = set()

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(case=operation.as_strategy(**how))
    def each(case: Any) -> None:
        response = case.call(headers=headers)
        assert response.status_code != 500, response.text
        assert SECRET not in response.text
        assert "Traceback" not in response.text
        if (
            response.status_code == 404
            and "json" not in response.headers.get("content-type", ["text/html"])[0]
        ):
            return  # the path has a slash in a name, and so is another one
        statuses.add(response.status_code)
        case.validate_response(
            response, checks=[content_type_conformance, response_schema_conformance, status_code_conformance]
        )

    try:
        each()
    except Unsatisfiable:
        return statuses  # an operation without parameters has no request that breaks their rules
    return statuses
