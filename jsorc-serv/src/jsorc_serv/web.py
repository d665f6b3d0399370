"""The settings of the embedded project as a web site: accounts, admin, API and page on top of `project`.

A Django project has settings of its own and needs none of this; what it includes is in `urls`.
"""

from __future__ import annotations

from typing import Any

from jsorc.settings import JsOrcSettings
from jsorc_serv.config import Config, read_config
from jsorc_serv.project import django_settings
from jsorc_serv.secret_key import secret_key

__all__ = ["LOOPBACK_NAMES", "web_settings"]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
HEALTH = (r"^livez$", r"^readyz$", r"^metrics$")

_PASSWORDS = "django.contrib.auth.password_validation"


def web_settings(settings: JsOrcSettings) -> dict[str, Any]:
    """Makes the settings of the embedded project with everything that `jsorc serve` shows.

    Args:
        settings: The settings of the orchestrator that is shown.

    Returns:
        Name to value, as `django.conf.settings.configure` takes them.

    Raises:
        ConfigError: `SERV_CONFIG` or `JSORC_CONFIG` does not validate, or the secret key cannot be kept.
    """
    config = read_config(settings)
    base = django_settings(settings)
    # Under ASGI a thread serves one request: a connection that outlives it is one that nobody uses again.
    databases = {alias: {**entry, "CONN_MAX_AGE": 0} for alias, entry in base["DATABASES"].items()}
    return {
        **base,
        "DATABASES": databases,
        "SECRET_KEY": secret_key(config, settings.core().namespace),
        "ALLOWED_HOSTS": [*LOOPBACK_NAMES, *config.allowed_hosts],
        "ROOT_URLCONF": "jsorc_serv.site",
        "ASGI_APPLICATION": "jsorc_serv.asgi.application",
        "WSGI_APPLICATION": "jsorc_serv.wsgi.application",
        "INSTALLED_APPS": [
            *base["INSTALLED_APPS"],
            "jsorc_serv.api",
            "jsorc_serv.status",
            "ninja",
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
        ],
        "MIDDLEWARE": [
            # First, since an orchestrator of containers asks by address, and without HTTPS.
            "jsorc_serv.status.health.health_middleware",
            "django.middleware.security.SecurityMiddleware",
            "jsorc_serv.security.policy_middleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        # What the admin of schedules asks, to warn where they would not be read.
        "CELERY_BEAT_SCHEDULER": "django",
        "STATIC_URL": "static/",
        "LOGIN_URL": "login",
        "LOGIN_REDIRECT_URL": "jsorc_status:page",
        "LOGOUT_REDIRECT_URL": "jsorc_status:page",
        "PASSWORD_RESET_TIMEOUT": 24 * 3600,
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"{_PASSWORDS}.UserAttributeSimilarityValidator"},
            {"NAME": f"{_PASSWORDS}.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
            {"NAME": f"{_PASSWORDS}.CommonPasswordValidator"},
            {"NAME": f"{_PASSWORDS}.NumericPasswordValidator"},
        ],
        "SESSION_COOKIE_NAME": "jsorc_session",
        "SESSION_COOKIE_AGE": 12 * 3600,
        "CSRF_COOKIE_NAME": "jsorc_csrf",
        "CSRF_COOKIE_HTTPONLY": True,
        "X_FRAME_OPTIONS": "DENY",
        "SECURE_REFERRER_POLICY": "same-origin",
        "DATA_UPLOAD_MAX_MEMORY_SIZE": config.max_body_bytes,
        **(_https(config) if config.https else {}),
    }


def _https(config: Config) -> dict[str, Any]:
    return {
        "SECURE_SSL_REDIRECT": True,
        "SECURE_REDIRECT_EXEMPT": list(HEALTH),
        "SECURE_HSTS_SECONDS": config.hsts_seconds,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "SECURE_HSTS_PRELOAD": True,
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "CSRF_TRUSTED_ORIGINS": [
            f"https://{'*' if name.startswith('.') else ''}{name}"
            for name in config.allowed_hosts
            if name != "*"
        ],
    }
