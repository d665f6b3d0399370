"""One connection to a broker or a result backend, tried with a deadline, and what its failure means.

Messages travel over the connections that Celery keeps; these are only for finding out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.connection import Connection
from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError

from jsorc.errors import ServiceUnavailable
from jsorc.redaction import learn, mask_text

__all__ = ["try_connection"]


def try_connection(url: str, options: Mapping[str, Any], what: str, setting: str) -> None:
    """Connects, and lets go again.

    Args:
        url: Where to.
        options: Options of the transport, its deadlines among them.
        what: What it is, for the error.
        setting: What mends it, for the error.

    Raises:
        ServiceUnavailable: It did not answer in time, or lets nobody in.
    """
    learn({"url": url})
    connection: Any = Connection(  # type: ignore[no-untyped-call]
        url, connect_timeout=1, transport_options=dict(options)
    )
    where = mask_text(connection.as_uri())
    try:
        connection.connect()
        # The transport over Redis connects only here.
        connection.default_channel.close()
    except (OperationalError, KombuError, RedisError, OSError, ValueError, KeyError, ImportError) as error:
        text = mask_text(str(error) or type(error).__name__).rstrip(".")
        if any(word in text.upper() for word in ("AUTH", "PASS", "ACCESS_REFUSED")):
            raise ServiceUnavailable(
                f"{what} at {where} refuses the credentials: {text}. Correct {setting}."
            ) from error
        raise ServiceUnavailable(
            f"{what} at {where} cannot be used: {text}. Start it, or change {setting}."
        ) from error
    finally:
        connection.release()
