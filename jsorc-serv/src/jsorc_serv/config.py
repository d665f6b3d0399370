"""The settings of `SERV_CONFIG` as types, and the entry of Django's DATABASES that is made of them.

They hold where nothing else has configured Django; a Django project has DATABASES of its own. Nothing is
connected to here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Meta, convert

from jsorc.errors import ConfigError
from jsorc.settings import JsOrcSettings, validate

__all__ = ["Config", "Database", "Throttle", "data_folder", "database_settings", "read_config"]

_URL_FORM = (
    "It looks like postgresql://user:password@host:5432/name or sqlite:////path/of/the.sqlite3, with special "
    "characters percent-encoded."
)


@dataclass(kw_only=True)
class Database:
    """`SERV_CONFIG.database`: PostgreSQL where `url` or `host` is set, else an SQLite file.

    Attributes:
        url: `postgresql://user:password@host:port/name?sslmode=require` or `sqlite:///path`; what it says
            wins over the keys below.
        host: Host name, address, or folder of the Unix socket of PostgreSQL.
        port: Its TCP port.
        user: The role; None for the operating system's user.
        password: Its password.
        name: The name of the database.
        path: The SQLite file; None for one a namespace in the user's data folder.
        connect_timeout: Seconds that a connection to PostgreSQL may take; libpq rounds 1 up to 2.
        statement_timeout: Seconds that one statement may take on PostgreSQL.
        lock_timeout: Seconds that a write waits for another's: a row of PostgreSQL, the file of SQLite.
        migrate_timeout: Seconds that a process waits for another one that migrates.
    """

    url: str | None = None
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = 5432
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    name: Annotated[str, Meta(min_length=1)] = "postgres"
    path: str | None = None
    connect_timeout: Annotated[int, Meta(ge=1, le=3600)] = 3
    statement_timeout: Annotated[float, Meta(gt=0, le=86400)] = 30.0
    lock_timeout: Annotated[float, Meta(gt=0, le=86400)] = 5.0
    migrate_timeout: Annotated[float, Meta(gt=0, le=86400)] = 600.0


@dataclass(kw_only=True)
class Throttle:
    """`SERV_CONFIG.throttle`: what one user, token or address may ask for in a minute; 0 sets no limit.

    Attributes:
        reads: Requests that change nothing.
        changes: Requests that change something.
        logins: Attempts to log in, and refused tokens, of one address.
    """

    reads: Annotated[int, Meta(ge=0)] = 600
    changes: Annotated[int, Meta(ge=0)] = 60
    logins: Annotated[int, Meta(ge=0)] = 10


@dataclass(kw_only=True)
class Config:
    """`SERV_CONFIG`.

    Attributes:
        database: The database of the embedded Django.
        host: The address that `jsorc serve` binds; without `https` only a loopback one.
        port: The port that it binds.
        https: Whether people reach it by HTTPS: by a proxy of `trusted_proxies`, or by the TLS files below.
        tls_certificate_file: The certificate chain, as PEM, where the server itself speaks TLS.
        tls_key_file: The key of the certificate.
        allowed_hosts: The names that people reach it by, besides the loopback ones.
        trusted_proxies: The addresses whose X-Forwarded-For and -Proto are believed.
        secret_key: Django's SECRET_KEY; None for one that is generated and kept in the data folder.
        public_status: Whether the states may be read without a login.
        max_body_bytes: The longest body of a request.
        hsts_seconds: How long a browser shall insist on HTTPS, where `https` is true.
        audit_days: Days that an entry of the log of changes is kept; 0 keeps it for ever.
        throttle: Limits of how often.
    """

    database: Database = field(default_factory=Database)
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    https: bool = False
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None
    allowed_hosts: list[str] = field(default_factory=list)
    trusted_proxies: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    secret_key: str | None = field(default=None, repr=False)
    public_status: bool = False
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 1 << 20
    hsts_seconds: Annotated[int, Meta(ge=1)] = 3600
    audit_days: Annotated[int, Meta(ge=0, le=36500)] = 365
    throttle: Throttle = field(default_factory=Throttle)


def read_config(settings: JsOrcSettings) -> Config:
    """Reads `SERV_CONFIG`, without stored settings, since those are kept in the database it names.

    Args:
        settings: The settings of an orchestrator.

    Returns:
        The validated config; secrets in it are known to the redaction.

    Raises:
        ConfigError: A key is unknown, of a wrong type or out of range.
    """
    if "SERV_CONFIG" not in settings:
        return Config()
    return convert(validate(settings.resolve("SERV_CONFIG", stored=False), Config), Config)


def database_settings(database: Database, namespace: str) -> dict[str, Any]:
    """Makes an entry of Django's DATABASES.

    Args:
        database: The config.
        namespace: `JSORC_CONFIG.namespace`, which keeps the SQLite files of applications apart.

    Returns:
        The entry.

    Raises:
        ConfigError: The URL cannot be read.
    """
    if database.url:
        return _from_url(database, database.url)
    if database.host:
        return _postgresql(
            database,
            {
                "HOST": database.host,
                "PORT": database.port,
                "USER": database.user or "",
                "PASSWORD": database.password or "",
                "NAME": database.name,
            },
        )
    return _sqlite(database, database.path or str(_default_path(namespace)))


def _from_url(database: Database, url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The parser's own message may hold a piece of the password.
        raise ConfigError(f"SERV_CONFIG.database.url (DATABASE_URL) is not a URL. {_URL_FORM}") from None
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ConfigError(
                f"SERV_CONFIG.database.url (DATABASE_URL) names no file after sqlite:///. {_URL_FORM}"
            )
        return _sqlite(database, unquote(parts.path[1:]))
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ConfigError(
            f"SERV_CONFIG.database.url (DATABASE_URL) begins with {parts.scheme or 'nothing'}://; wanted "
            f"postgresql:// or sqlite://. {_URL_FORM}"
        )
    options = dict(parse_qsl(parts.query))
    host = unquote(parts.hostname or options.pop("host", "") or database.host or "")
    return _postgresql(
        database,
        {
            "HOST": host,
            "PORT": port or database.port,
            "USER": unquote(parts.username or database.user or ""),
            "PASSWORD": unquote(parts.password or database.password or ""),
            "NAME": unquote(parts.path[1:]) or database.name,
        },
        options,
    )


def _postgresql(
    database: Database, entry: Mapping[str, Any], options: Mapping[str, str] | None = None
) -> dict[str, Any]:
    given = dict(options or {})
    session = (
        f"-c statement_timeout={round(database.statement_timeout * 1000)}"
        f" -c lock_timeout={round(database.lock_timeout * 1000)}"
    )
    # What the URL says comes last, and so wins.
    session = f"{session} {given.pop('options', '')}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        **entry,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "connect_timeout": database.connect_timeout,
            # A connection whose other end is gone without a word ends within seconds, not after two hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            "application_name": "jsorc",
            **given,
            "options": session,
        },
    }


def _sqlite(database: Database, path: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(path).expanduser().absolute()),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # A transaction that begins by reading cannot wait for the lock when it comes to write.
            "transaction_mode": "IMMEDIATE",
            "timeout": database.lock_timeout,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        },
    }


def data_folder() -> Path:
    """The folder of the SQLite files and of the secret key, one a user."""
    from platformdirs import user_data_path

    return user_data_path("jsorc", appauthor=False) / "serv"


def _default_path(namespace: str) -> Path:
    return data_folder() / f"{namespace}.sqlite3"
