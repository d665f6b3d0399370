"""Who asks, by token or session, and what they may do: reading, or one of the roles of a change.

Pages ask `reader`; the operations of the API declare `READERS` or `CHANGERS`, which raise and throttle.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from jsorc.settings import JsOrcSettings
from jsorc_serv.api.models import Scope
from jsorc_serv.api.throttle import Throttles
from jsorc_serv.api.tokens import find_token
from jsorc_serv.config import Config, read_config
from jsorc_serv.current import orchestrator

__all__ = [
    "CHANGERS",
    "LOGGED_IN",
    "READERS",
    "Identity",
    "TooOften",
    "address_of",
    "identity_of",
    "need",
    "reader",
    "serv_config",
    "throttle",
]

FRESH = 1.0
"""Seconds that a config serves all requests."""
ROLES = ("restart_service", "change_config", "call_method", "apply_manifest", "regenerate")


class TooOften(Exception):
    """Somebody asks more often than `SERV_CONFIG.throttle` allows.

    Args:
        seconds: When to ask again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many requests; ask again in {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Attributes:
        user: The user; None for anybody, where the states are public.
        means: `session`, `token <name>` or `public`.
        may_change: Whether what it is known by allows changes at all.
    """

    user: Any
    means: str
    may_change: bool = False

    @property
    def name(self) -> str:
        """The user's name."""
        return self.user.get_username() if self.user is not None else "anybody"

    @property
    def is_public(self) -> bool:
        """Whether it is anybody."""
        return self.user is None

    def may(self, role: str) -> bool:
        """Whether it has a role, such as `restart_service`."""
        return bool(self.may_change and self.user.is_staff and self.user.has_perm(f"jsorc_api.{role}"))

    def roles(self) -> list[str]:
        """The roles that it has."""
        return [role for role in ROLES if self.may(role)]


PUBLIC = Identity(None, "public")


def serv_config() -> Config:
    """`SERV_CONFIG` as it is, or was a second ago: to resolve it takes longer than the rest of a request."""
    ours = orchestrator()
    return ours.shared(_Recent).config(ours.settings)


def address_of(request: HttpRequest) -> str:
    """Where a request came from; behind a trusted proxy, what that says."""
    return str(request.META.get("REMOTE_ADDR") or "")[:64]


def throttle(kind: str, who: str, *, take: bool = True) -> None:
    """Counts one request.

    Args:
        kind: `reads`, `changes` or `logins`.
        who: Who asks.
        take: False only looks whether there is one left.

    Raises:
        TooOften: There was none left.
    """
    limit: int = getattr(serv_config().throttle, kind)
    throttles = orchestrator().shared(Throttles)
    seconds = (throttles.take if take else throttles.wait)(kind, who, limit)
    if seconds > 0:
        raise TooOften(seconds)


def need(request: HttpRequest, role: str) -> Identity:
    """Gives who asks for a change, if they have its role.

    Raises:
        HttpError: 403, naming what is missing.
    """
    identity = identity_of(request)
    if not identity.may(role):
        if identity.user is not None and not identity.may_change:
            raise HttpError(403, "this token is for reading; a change needs one with the scope staff")
        raise HttpError(403, f"{identity.name} needs to be staff and to have the permission jsorc_api.{role}")
    return identity


def identity_of(request: HttpRequest) -> Identity:
    """Who was found to ask."""
    return cast("Identity", cast("Any", request).auth)


def reader(request: HttpRequest) -> Identity | None:
    """Finds who wants to read a page: a session or token, anybody where the states are public, else None.

    Raises:
        TooOften: They read too often.
    """
    if (bearer := _bearer(request)) is not None:
        identity = _by_token(request, bearer)
    else:
        identity = _by_session(request) or (PUBLIC if serv_config().public_status else None)
    if identity is not None:
        throttle("reads", _key_of(identity, request))
    return identity


def _key_of(identity: Identity, request: HttpRequest) -> str:
    """Who it is to a throttle: a token and a person are counted apart, and anybody by address."""
    if identity.is_public:
        return address_of(request)
    return f"user {identity.user.pk}" if identity.means == "session" else identity.means


def _bearer(request: HttpRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _by_token(request: HttpRequest, token: str) -> Identity | None:
    address = address_of(request)
    throttle("logins", address, take=False)
    record = find_token(token)
    if record is None:
        throttle("logins", address)
        return None
    return Identity(record.user, f"token {record.name}", record.scope == Scope.STAFF)


def _by_session(request: HttpRequest) -> Identity | None:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    return Identity(user, "session", may_change=True)


class _Recent:
    """The config of the last second; two threads that find it old both read it, which does no harm."""

    def __init__(self) -> None:
        self._read: tuple[float, Config] | None = None

    def config(self, settings: JsOrcSettings) -> Config:
        now = time.monotonic()
        recent = self._read
        if recent is None or now - recent[0] > FRESH:
            recent = self._read = (now, read_config(settings))
        return recent[1]


class Token(HttpBearer):
    """`Authorization: Bearer jsorc_…`."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def authenticate(self, request: HttpRequest, token: str) -> Identity | None:
        """Finds whose token it is; one that does not hold is refused, whatever else the request has.

        Raises:
            HttpError: 401.
            TooOften: Too many requests, or too many wrong tokens from one address.
        """
        identity = _by_token(request, token.strip())
        if identity is None:
            raise HttpError(401, "the token is unknown, has expired, or its user may not log in")
        throttle(self._kind, _key_of(identity, request))
        return identity


class Session(APIKeyCookie):
    """The session of somebody who has logged in; what changes something needs the CSRF token as well."""

    def __init__(self, kind: str) -> None:
        from django.conf import settings

        self.param_name = settings.SESSION_COOKIE_NAME
        super().__init__(csrf=True)
        self._kind = kind

    def __call__(self, request: HttpRequest) -> Identity | None:
        """Finds whose session it is, unless a token is given.

        Raises:
            HttpError: 403, the request is another site's.
            TooOften: Too many requests.
        """
        identity = _by_session(request)
        if identity is None:
            return None
        if check_csrf(request) is not None:
            raise HttpError(403, "the CSRF token is missing or wrong: send it as the header X-CSRFToken")
        throttle(self._kind, _key_of(identity, request))
        return identity

    def authenticate(self, request: HttpRequest, key: str | None) -> Identity | None:
        """See `__call__`."""
        return self(request)


class Public:
    """Anybody, where `SERV_CONFIG.public_status` is true."""

    def __call__(self, request: HttpRequest) -> Identity | None:
        """Lets anybody read.

        Raises:
            TooOften: Too many requests from one address.
        """
        if not serv_config().public_status:
            return None
        throttle("reads", _key_of(PUBLIC, request))
        return PUBLIC


LOGGED_IN = [Token("reads"), Session("reads")]
"""For reading what is not shown to the public."""
READERS = [*LOGGED_IN, Public()]
"""For reading."""
CHANGERS = [Token("changes"), Session("changes")]
"""For changes; each asks `need` for its role."""
