"""Tokens of the API: they are shown once, when they are made, and found by their digest.

Who may do what with one is in `access`.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any

from django.utils.timezone import now

from jsorc_serv.api.models import ApiToken, Scope

__all__ = ["find_token", "make_token"]

PREFIX = "jsorc_"
"""By which a token is known where it does not belong, as in a repository."""


def make_token(
    name: str, user: Any, scope: str = Scope.READ, expires: datetime | None = None
) -> tuple[ApiToken, str]:
    """Makes and stores a token.

    Args:
        name: What it is for; no other token has the name.
        user: Whose it is.
        scope: `read` or `staff`.
        expires: When it ends; None: never.

    Returns:
        What was stored, and the token, which nobody can show again.
    """
    token = PREFIX + secrets.token_urlsafe(32)
    record = ApiToken(name=name, user=user, scope=Scope(scope), expires=expires, digest=_digest(token))
    record.full_clean(exclude=["digest"])
    record.save(force_insert=True)
    return record, token


def find_token(token: str) -> ApiToken | None:
    """Finds a token that holds: known, not expired, and of a user who may log in.

    Args:
        token: What the request has.

    Returns:
        The record with its user, or None.
    """
    if not token.startswith(PREFIX):
        return None
    record = ApiToken.objects.select_related("user").filter(digest=_digest(token)).first()
    if (
        record is None
        or not record.user.is_active
        or (record.expires is not None and record.expires <= now())
    ):
        return None
    return record


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
