"""Tokens and the log of changes in Django's admin: a token is shown once, the log is never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.http import HttpRequest

from jsorc_serv.api.models import ApiToken, AuditEntry
from jsorc_serv.api.tokens import make_token

if TYPE_CHECKING:
    TokenBase = admin.ModelAdmin[ApiToken]
    EntryBase = admin.ModelAdmin[AuditEntry]
else:
    TokenBase = EntryBase = admin.ModelAdmin

__all__ = ["ApiTokenAdmin", "AuditEntryAdmin"]


@admin.register(ApiToken)
class ApiTokenAdmin(TokenBase):
    """Tokens; to change one, revoke it and make another."""

    list_display = ("name", "user", "scope", "created", "expires")
    list_filter = ("scope",)
    list_select_related = ("user",)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Makes the token and shows it, this once; only a superuser makes one for somebody else."""
        if not _is_superuser(request):
            obj.user = request.user
        record, token = make_token(obj.name, obj.user, obj.scope, obj.expires)
        obj.pk = record.pk
        messages.warning(request, f"The token is {token}. Keep it now: nobody can show it again.")

    def get_exclude(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        """Only a superuser chooses whose a token is."""
        return () if _is_superuser(request) else ("user",)

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Nobody changes a token."""
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(EntryBase):
    """The log of changes, to be read."""

    list_display = ("at", "actor", "means", "action", "target", "outcome")
    list_filter = ("action",)
    search_fields = ("actor", "target")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds to it by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Nobody changes it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Nobody takes from it."""
        return False


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
