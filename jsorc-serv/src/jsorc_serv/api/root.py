"""The API itself: reading and changing under one root, with its OpenAPI document and `docs`."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.openapi.docs import Swagger
from ninja.parser import Parser

from jsorc_serv.api import changing, problems
from jsorc_serv.api.access import LOGGED_IN

__all__ = ["api"]


class StrictParser(Parser):
    """Reads JSON as it is specified: without NaN and infinity, which no answer could give back."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Reads a body."""
        return json.loads(request.body, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _build() -> NinjaAPI:
    made = NinjaAPI(
        title="JsOrc",
        version="1",
        description=(
            "The services of this process, what stands behind their names, and changes to them. Send "
            "`Authorization: Bearer <token>`, or log in at the status page; a change by a session needs the "
            "header X-CSRFToken."
        ),
        urls_namespace="jsorc_api",
        docs=Swagger(settings={"persistAuthorization": False, "validatorUrl": None}),
        auth=LOGGED_IN,
        parser=StrictParser(),
    )
    problems.handle(made)
    made.add_router("", changing.router)
    return made


api = _build()
