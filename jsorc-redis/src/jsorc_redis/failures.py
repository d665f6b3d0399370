"""What redis-py raises, turned into the errors of JsOrc with a sentence on what mends it.

Nothing is asked of a server here; a password, a stored value or a command never enters a message.
"""

from __future__ import annotations

from redis import exceptions

from jsorc.errors import DeadlineExceeded, JsOrcError, ServiceUnavailable
from jsorc.redaction import MASK
from jsorc_redis.config import Endpoint

__all__ = ["CLIENT_ERRORS", "explain", "is_disk_refusal", "lost_contact"]

CLIENT_ERRORS = (exceptions.RedisError, OSError)
"""What a redis-py client raises when a command fails."""

_TIMEOUTS = (exceptions.TimeoutError, TimeoutError)
_LOST = (exceptions.ConnectionError, *_TIMEOUTS, OSError)
_IN_PIPELINE = "caused error: "


def lost_contact(error: BaseException) -> bool:
    """Whether the error leaves open what the server did, since the connection failed or was too slow."""
    return isinstance(error, _LOST)


def is_disk_refusal(error: BaseException) -> bool:
    """Whether the server is alive and answers reads, but refuses writes that it cannot persist."""
    return isinstance(error, exceptions.ResponseError) and _text(error).startswith("MISCONF")


def explain(error: Exception, endpoint: Endpoint) -> JsOrcError:
    """The error to raise in place of one of the client's; raise it `from` the one given.

    The arguments of the one given are cleaned on the way: redis-py quotes the command, and so stored values,
    and old servers answer with the password they did not understand.

    Args:
        error: What redis-py raised, or what its parser raised on bytes that no Redis sends.
        endpoint: Where the client was connected to.

    Returns:
        ServiceUnavailable or DeadlineExceeded when Redis cannot be used, else a plain JsOrcError.
    """
    text = _text(error)
    if endpoint.password and len(endpoint.password) > 3:
        text = text.replace(endpoint.password, MASK)
    error.args = (text,)
    where = f"Redis at {endpoint.address}"
    if isinstance(error, exceptions.ResponseError) or _is_credential_error(error):
        return _refusal(error, text, where, endpoint)
    if isinstance(error, exceptions.BusyLoadingError):
        return ServiceUnavailable(f"{where} is still loading its data from disk; try again in a moment.")
    if isinstance(error, _TIMEOUTS):
        tls = "If it speaks no TLS, unset REDIS_CONFIG.ssl. " if endpoint.ssl else ""
        return DeadlineExceeded(
            f"{where} did not answer in time. {tls}If it is only slow, raise REDIS_CONFIG.socket_timeout; if "
            f"something else listens there, change {endpoint.setting}."
        )
    if isinstance(error, _LOST):
        return _no_connection(text, where, endpoint)
    return ServiceUnavailable(
        f"What answers at {endpoint.address} is not a Redis. Stop it or change {endpoint.setting}; "
        "JsOrc.start() runs a Redis on this machine where the port is free."
    )


def _no_connection(text: str, where: str, endpoint: Endpoint) -> JsOrcError:
    lower = text.lower()
    if "maximum number of connections" in lower or "too many connections" in lower:
        return ServiceUnavailable(
            f"All connections to {where} that this process may open are in use; raise "
            "REDIS_CONFIG.client.max_connections."
        )
    if "max number of clients" in lower:
        return ServiceUnavailable(f"{where} has as many clients as its maxclients allows.")
    if "invalid resp version" in lower or "protocol error" in lower:
        return ServiceUnavailable(
            f"What answers at {endpoint.address} is not a Redis; change {endpoint.setting}."
        )
    if "ssl" in lower or "certificate" in lower:
        return ServiceUnavailable(
            f"No TLS with {where}: {text} Set REDIS_CONFIG.ssl to what the server speaks, and the "
            "certificates in REDIS_CONFIG.client (ssl_ca_certs)."
        )
    if "closed by server" in lower or "reset by peer" in lower or "broken pipe" in lower:
        return ServiceUnavailable(
            f"{where} closed the connection. It has stopped, wants TLS (REDIS_CONFIG.ssl), or is not a Redis "
            f"(then change {endpoint.setting})."
        )
    if endpoint.is_local:
        mend = f"Start one there, or call JsOrc.start(), which runs one here, or change {endpoint.setting}."
    else:
        mend = (
            f"Start it there or change {endpoint.setting}; JsOrc.start() keeps trying, and runs a Redis "
            "itself only on a loopback host."
        )
    return ServiceUnavailable(f"No {where}: {_sentence(text)} {mend}")


def _refusal(error: Exception, text: str, where: str, endpoint: Endpoint) -> JsOrcError:
    """An answer of the server itself."""
    code = text.split(" ", 1)[0]
    if _is_credential_error(error):
        return ServiceUnavailable(f"{where} {_credentials(text, endpoint)}")
    if code in {"NOPERM", "NOPERMISSION"} or isinstance(error, exceptions.NoPermissionError):
        return ServiceUnavailable(
            f"{where} does not let user {endpoint.username or 'default'!r} do this: {_sentence(text)} Give "
            "the user the rights (ACL SETUSER), or set REDIS_CONFIG.username and .password of another."
        )
    if code == "MISCONF":
        cause = "its disk is full" if "no space left" in text.lower() else "it cannot write to its disk"
        return ServiceUnavailable(
            f"{where} refuses writes, since {cause}: {_sentence(text)} Free space in its data folder; it "
            "takes writes again by itself, and nothing of this write was stored."
        )
    if isinstance(error, exceptions.OutOfMemoryError) or code == "OOM":
        return ServiceUnavailable(
            f"{where} refuses writes, since its maxmemory is reached; nothing of this write was stored. "
            "Raise maxmemory or remove data."
        )
    if isinstance(error, exceptions.ReadOnlyError) or code == "READONLY":
        return ServiceUnavailable(
            f"{where} is a read-only replica; change {endpoint.setting} to its primary."
        )
    if "DB index is out of range" in text:
        return ServiceUnavailable(
            f"{where} has no database {endpoint.db}; lower REDIS_DB (REDIS_CONFIG.db) or raise `databases` "
            "in the server's configuration."
        )
    if code == "DENIED":
        return ServiceUnavailable(
            f"{where} is in protected mode and takes no clients from other machines; give it a password."
        )
    if "WRONGTYPE" in text:
        return JsOrcError(
            f"A key of JsOrc at {endpoint.address} holds what JsOrc did not write. Remove it, or set another "
            "JSORC_CONFIG.namespace."
        )
    return ServiceUnavailable(f"{where} refused the command: {_sentence(text)}")


def _credentials(text: str, endpoint: Endpoint) -> str:
    setting = "REDIS_CONFIG.password (REDIS_PASSWORD)"
    if not endpoint.password:
        return f"wants a password and none is set; set {setting}."
    if "without any password configured" in text:
        return f"has no password, but one is set; unset {setting}."
    user = f" for user {endpoint.username!r}" if endpoint.username else ""
    return (
        f"refuses the password{user}; correct {setting} and REDIS_CONFIG.username, or the part in REDIS_URL."
    )


def _is_credential_error(error: Exception) -> bool:
    return isinstance(
        error,
        (
            exceptions.AuthenticationError,
            exceptions.AuthorizationError,
            exceptions.AuthenticationWrongNumberOfArgsError,
        ),
    ) or _text(error).startswith(("WRONGPASS", "NOAUTH", "ERR AUTH"))


def _text(error: BaseException) -> str:
    """What the server or the socket said, without the command that redis-py puts before it in a pipeline."""
    text = str(error)
    return text.rsplit(_IN_PIPELINE, 1)[-1] if text.startswith("Command #") else text


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
