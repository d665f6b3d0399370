"""Django's SECRET_KEY: the one that is set, or one that is made once and kept beside the data.

The file is its owner's alone. Nothing of Django is imported here.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from jsorc import redaction
from jsorc.errors import ConfigError
from jsorc_serv.config import Config, data_folder

__all__ = ["secret_key"]

log = redaction.get_logger("jsorc.serv")

_SHORTEST = 50
"""Characters below which Django's own check calls a key insecure."""


def secret_key(config: Config, namespace: str) -> str:
    """Gives the key that signs sessions and one-time links.

    Args:
        config: `SERV_CONFIG`, which may hold one; several replicas need the same.
        namespace: `JSORC_CONFIG.namespace`, which keeps the keys of applications apart.

    Returns:
        The key; the redaction knows it.

    Raises:
        ConfigError: The key that is set is too short, or one that is made cannot be kept.
    """
    if config.secret_key is not None:
        redaction.learn({"secret_key": config.secret_key})
        if len(config.secret_key) < _SHORTEST:
            raise ConfigError(
                f"SERV_CONFIG.secret_key (DJANGO_SECRET_KEY) has {len(config.secret_key)} characters; it "
                f"needs {_SHORTEST} random ones, or unset it: one is then made and kept"
            )
        return config.secret_key
    path = data_folder() / f"{namespace}.secret-key"
    try:
        key = _read(path) or _make(path)
    except OSError as error:
        raise ConfigError(
            f"the secret key cannot be kept in {path}: {error.strerror or error}. Give the user the right to "
            "write there, or set SERV_CONFIG.secret_key (DJANGO_SECRET_KEY)"
        ) from error
    redaction.learn({"secret_key": key})
    return key


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                log.warning("others could read the secret key %s; they no longer can", path)
                os.fchmod(file.fileno(), 0o600)
            key = file.read().strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        key = ""
    if len(key) < _SHORTEST:
        raise ConfigError(
            f"{path} holds no secret key of {_SHORTEST} characters; remove the file, and a new one is made. "
            "Everybody must then log in again"
        )
    return key


def _make(path: Path) -> str:
    """Makes the file under its name only when it is complete; of several, the first one's stands."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(
        dir=path.parent, prefix=".secret-key-"
    )  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(64) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    made = _read(path)
    assert made is not None, "the file was there a moment ago"
    return made
