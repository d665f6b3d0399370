"""Secrets are masked wherever a person or a log can see them: by the name of their key, and by value.

What counts as a secret, which values were seen, and how text, JSON-like values, errors and log records are
cleaned live here. Who shows them, and where the values come from, does not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

__all__ = ["MASK", "get_logger", "is_secret_key", "learn", "mask", "mask_text", "scrub"]

MASK = "********"

_SHORTEST = 4
_SHORTEST_NUMBER = 6
_DEEPEST = 100

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = frozenset(
    "accesskey apikey auth authkey authorization credential credentials key keys pass passphrase passwords"
    " privatekey pwd requirepass secretkey secrets tokens".split()
)
_SECRET_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "credential", "credentials")
# `routing_key` and `key_prefix` are names, not secrets; learning their values would black out ordinary words.
_PLAIN_QUALIFIERS = frozenset("foreign partition primary public routing sort".split())
_PLAIN_ENDINGS = frozenset("file method mode name path prefix type".split())
_USER_KEYS = frozenset({"login", "user", "username"})
# A secret that is one of these is none, and masking the word would make every message unreadable.
_ORDINARY = frozenset("basic bearer default false localhost none null password required true".split())

# The lengths are bounded so that no text makes the search slower than linear. A password with an unquoted
# slash is no valid URL, but the error that says so shows it.
_URL_CREDENTIALS = re.compile(
    r"""(?P<head>[A-Za-z0-9]://[^\s/?#@:\['"]{0,256}:)"""
    r"""(?P<password>[^\s/?#'"]{1,512}|(?!\d{0,5}[/?#])[^\s'"]{1,512})@"""
)
_ASSIGNMENT = re.compile(
    r"""(?P<head>(?P<before>^|[?&;\s,({\[])-{0,2}(?P<key>[A-Za-z][\w.\-]{0,255})=)"""
    r"""(?P<value>'[^']*'|"[^"]*"|[^&;\s#'"<>]+)"""
)
_REFERENCE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_RECORD_ATTRIBUTES = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_ERROR_ATTRIBUTES = ("strerror", "filename", "filename2", "msg", "text", "reason")


class _KnownSecrets:
    """The secret values seen in this process; without a lock, so that a fork cannot leave it held."""

    def __init__(self) -> None:
        self._forms: dict[str, None] = {}
        self._longest_first: tuple[str, ...] = ()

    def add(self, secret: str) -> None:
        if len(secret) < _SHORTEST or not secret.strip("* \t\r\n") or secret.lower() in _ORDINARY:
            return
        if secret in self._forms:
            return
        for form in _written_forms(secret):
            self._forms.setdefault(form)

    def longest_first(self) -> tuple[str, ...]:
        # The forms only ever grow, so their number tells whether the ordered copy is complete.
        if len(self._longest_first) != len(self._forms):
            self._longest_first = tuple(sorted(self._forms.copy(), key=lambda form: (-len(form), form)))
        return self._longest_first


# Process-wide on purpose: a secret of one orchestrator must not leave through the log of another.
_known = _KnownSecrets()


def is_secret_key(key: str, extra: Collection[str] = ()) -> bool:
    """Tell whether the value under this key is a secret.

    The key is taken apart at underscores, hyphens, dots and changes of case: `api_key`, `apiKey` and
    `SMTP-PASSWORD` are secret, `monkey` and `keyspace` are not.

    Args:
        key: The key of a setting, such as `password`.
        extra: Further keys that are secret, such as a service's `secret_keys`; case does not matter.

    Returns:
        Whether the value under the key must not be shown.
    """
    if extra and key.casefold() in {other.casefold() for other in extra}:
        return True
    return _has_secret_word(key)


def learn(config: object, secret_keys: Collection[str] = ()) -> None:
    """Remember the secret values in a configuration, so that they are masked wherever they turn up.

    Strings of at least four characters under a secret key, and the passwords in URLs, at any depth.

    Args:
        config: A JSON-like value.
        secret_keys: Further keys that are secret.
    """
    for secret in _secrets_in(config, frozenset(secret_keys), secret=False, inside=frozenset()):
        _known.add(secret)


def mask(value: object, secret_keys: Collection[str] = ()) -> Any:
    """Copy a JSON-like value for showing it.

    Args:
        value: A JSON-like value; anything else in it becomes its masked text.
        secret_keys: Further keys that are secret.

    Returns:
        A deep copy in which the values under secret keys, credentials in URLs and known secrets inside any
        string are replaced by `MASK`. None, booleans, empty values and `{"$env": "NAME"}` stay as they are.
    """
    return _masked(value, frozenset(secret_keys), secret=False, inside=frozenset())


def mask_text(text: str) -> str:
    """Mask the known secrets, the credentials in URLs and what is assigned as in `password=…`, in free text.

    Args:
        text: Any text, such as a log line.

    Returns:
        The text with `MASK` in the place of each secret.
    """
    if "://" in text:
        text = _URL_CREDENTIALS.sub(lambda match: f"{match['head']}{MASK}@", text)
    if "=" in text:
        text = _ASSIGNMENT.sub(_masked_assignment, text)
    for secret in _known.longest_first():
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def scrub(error: BaseException) -> BaseException:
    """Mask the secrets in an exception, in place, and in everything it was caused by or holds.

    The message of an exception group cannot be changed after it was made; its members are scrubbed.

    Args:
        error: The exception about to be shown or kept.

    Returns:
        The same exception.
    """
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        _scrub_one(current)
        waiting.extend(linked for linked in (current.__cause__, current.__context__) if linked is not None)
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
    return error


def get_logger(name: str) -> logging.Logger:
    """Return the logger of this name, whose records are masked before any handler sees them.

    Args:
        name: The logger's name, such as `jsorc.settings`.

    Returns:
        `logging.getLogger(name)` with one filter, added once, that masks message, traceback and extras.
    """
    logger = logging.getLogger(name)
    logger.addFilter(_FILTER)
    return logger


class _MaskingFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = mask_text(_message(record))
        record.args = None
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            written = logging.Formatter().formatException(record.exc_info)
            record.exc_text = mask_text(written)
            if record.exc_text != written:
                # Formatters of structured logs write the exception themselves; they may only get clean text.
                record.exc_info = None
        elif record.exc_text:
            record.exc_text = mask_text(record.exc_text)
        if record.stack_info:
            record.stack_info = mask_text(record.stack_info)
        for attribute in record.__dict__.keys() - _RECORD_ATTRIBUTES:
            record.__dict__[attribute] = mask({attribute: record.__dict__[attribute]})[attribute]
        return True


_FILTER = _MaskingFilter()


def _message(record: logging.LogRecord) -> str:
    if isinstance(record.args, dict):
        record.args = mask(record.args)
    elif record.args:
        record.args = tuple(mask(arg) if isinstance(arg, dict | list) else arg for arg in record.args)
    try:
        return record.getMessage()
    except Exception as error:
        # The handler would print the arguments of a message that does not fit them, unmasked.
        return f"{record.msg} (this log message could not be formatted: {error})"


@lru_cache(maxsize=4096)
def _has_secret_word(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    if not any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in words):
        return False
    named = len(words) > 1 and words[-1] in _PLAIN_ENDINGS
    qualified = len(words) > 1 and words[-1] in ("key", "keys") and words[-2] in _PLAIN_QUALIFIERS
    return not (named or qualified)


def _is_reference(value: object) -> bool:
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    name = value.get("$env")
    return isinstance(name, str) and _REFERENCE.fullmatch(name) is not None


def _secrets_in(
    value: object, secret_keys: frozenset[str], *, secret: bool, inside: frozenset[int]
) -> Iterator[str]:
    if isinstance(value, str):
        yield from _secrets_of_text(value, secret=secret)
    elif secret and isinstance(value, int) and not isinstance(value, bool):
        # A hexadecimal literal of a settings file can be longer than Python converts to decimal digits.
        if value.bit_length() <= 1024 and len(str(value)) >= _SHORTEST_NUMBER:
            yield str(value)
    elif id(value) in inside or len(inside) > _DEEPEST or _is_reference(value):
        return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            under = is_secret_key(str(key), secret_keys) or (secret and str(key).lower() not in _USER_KEYS)
            yield from _secrets_in(item, secret_keys, secret=under, inside=inside | {id(value)})
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for position, item in enumerate(value):
            # ["user", "password"], as HTTP clients take basic authentication
            user = secret and len(value) == 2 and position == 0
            yield from _secrets_in(item, secret_keys, secret=secret and not user, inside=inside | {id(value)})


def _secrets_of_text(text: str, *, secret: bool) -> Iterator[str]:
    credentials = list(_URL_CREDENTIALS.finditer(text)) if "://" in text else []
    yield from (match["password"] for match in credentials)
    for match in _ASSIGNMENT.finditer(text) if "=" in text else ():
        if _assigns_secret(match):
            yield match["value"].strip("'\"")
    if secret:
        yield text
        user, colon, password = text.partition(":")
        if colon and user and not credentials:
            yield password


def _written_forms(secret: str) -> set[str]:
    """How a secret looks where it was quoted: by repr, as JSON, in a URL."""
    import json
    from urllib.parse import quote, unquote

    forms = {secret, secret.strip(), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    forms.add(json.dumps(secret, ensure_ascii=False)[1:-1])
    with suppress(UnicodeEncodeError):
        forms |= {quote(secret), quote(secret, safe=""), unquote(secret)}
    return {form for form in forms if len(form) >= _SHORTEST}


def _masked(value: object, secret_keys: frozenset[str], *, secret: bool, inside: frozenset[int]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if id(value) in inside or len(inside) > _DEEPEST:
            return "…"
        if secret and value:
            return dict(value) if isinstance(value, Mapping) and _is_reference(value) else MASK
        inside = inside | {id(value)}
        if isinstance(value, Mapping):
            return {
                _masked_key(key): _masked(
                    item, secret_keys, secret=is_secret_key(str(key), secret_keys), inside=inside
                )
                for key, item in value.items()
            }
        return [_masked(item, secret_keys, secret=False, inside=inside) for item in value]
    if secret:
        return MASK if value != "" else ""
    if isinstance(value, int | float):
        return value
    if isinstance(value, bytes | bytearray):
        return mask_text(bytes(value).decode("utf-8", "replace"))
    return mask_text(str(value))


def _masked_key(key: object) -> str:
    # Other keys stay as they are: a password that happens to be "host" must not rename the key `host`.
    text = str(key)
    return mask_text(text) if "://" in text else text


def _assigns_secret(match: re.Match[str]) -> bool:
    if match["before"] in ("?", "&", ";"):
        return _has_secret_word(match["key"])
    # Outside a URL `key=hook` is ordinary prose of a log; only what is unmistakable counts.
    return match["key"].lower().endswith((*_SECRET_ENDINGS, "pwd"))


def _masked_assignment(match: re.Match[str]) -> str:
    return f"{match['head']}{MASK}" if _assigns_secret(match) else match[0]


def _scrub_one(error: BaseException) -> None:
    # Not every exception lets its parts be replaced; those that do not keep what they had.
    with suppress(AttributeError, TypeError):
        error.args = tuple(_scrubbed(arg) for arg in error.args)
    for attribute in {*_ERROR_ATTRIBUTES, *getattr(error, "__dict__", {})}:
        with suppress(AttributeError, TypeError):
            current = getattr(error, attribute, None)
            cleaned = _scrubbed(current)
            if cleaned != current:
                setattr(error, attribute, cleaned)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bytes):
        text = value.decode("utf-8", "surrogateescape")
        cleaned = mask_text(text)
        return value if cleaned == text else cleaned.encode("utf-8", "surrogateescape")
    if type(value) is tuple:
        return tuple(_scrubbed(item) for item in value)
    if type(value) is list:
        return [_scrubbed(item) for item in value]
    if type(value) is dict:
        return mask(value) if mask(value) != value else value
    return value
