"""The tables of the API: tokens, of which only the digest is kept, and the log of changes.

How tokens are made and found is in `tokens`; when the log is written, in `audit`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.timezone import now

__all__ = ["ApiToken", "AuditEntry", "Scope"]


class Scope(models.TextChoices):
    """What a token may be used for."""

    READ = "read", "read only"
    STAFF = "staff", "what its user may do"


class ApiToken(models.Model):
    """A token of the API.

    Attributes:
        name: What it is for.
        user: Whose it is; it may do no more than the user.
        scope: Whether it may change anything.
        digest: SHA-256 of the token, which is long and random, so that no salt is needed.
        created: When it was made.
        expires: When it ends; None: never.
    """

    name: models.CharField[str, str] = models.CharField(max_length=100, unique=True)
    user: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    scope: models.CharField[str, str] = models.CharField(
        max_length=10, choices=Scope.choices, default=Scope.READ
    )
    digest: models.CharField[str, str] = models.CharField(max_length=64, unique=True, editable=False)
    created: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=now, editable=False)
    expires: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        null=True, blank=True
    )

    class Meta:
        """Its names in Django's admin."""

        verbose_name = "API token"
        verbose_name_plural = "API tokens"
        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.name)


class AuditEntry(models.Model):
    """A change that somebody asked for.

    Attributes:
        at: When.
        actor: The user's name.
        means: How the user was known: `session`, or `token <name>`.
        address: Where the request came from.
        action: Which change.
        target: What was to be changed.
        detail: What was sent, as JSON, with secrets masked.
        outcome: `begun`, `done`, or what went wrong.
    """

    at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=now, db_index=True)
    actor: models.CharField[str, str] = models.CharField(max_length=150)
    means: models.CharField[str, str] = models.CharField(max_length=120)
    address: models.CharField[str, str] = models.CharField(max_length=64, blank=True)
    action: models.CharField[str, str] = models.CharField(max_length=40)
    target: models.CharField[str, str] = models.CharField(max_length=300, blank=True)
    detail: models.TextField[str, str] = models.TextField(blank=True)
    outcome: models.TextField[str, str] = models.TextField(default="begun")

    class Meta:
        """Its names in Django's admin, and the role of each change."""

        verbose_name = "change"
        verbose_name_plural = "log of changes"
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (
            ("restart_service", "Can restart services"),
            ("change_config", "Can change the config of services"),
            ("call_method", "Can call the methods that services offer"),
            ("apply_manifest", "Can load and apply manifests"),
            ("regenerate", "Can regenerate"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.target} by {self.actor}"
