"""Stored objects and globals in Django's admin: to be found, read and removed.

They are changed by the application, through the hook; what a person sees of them is masked as everywhere.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from jsorc.redaction import mask, mask_text
from jsorc_serv.models import StoredGlob, StoredObject

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin

__all__ = ["StoredAdmin"]

_SHORT = 100
_RESERVED = "jsorc."
"""What the names of JsOrc's own globals begin with; removing one would confuse every replica."""


@admin.register(StoredObject, StoredGlob)
class StoredAdmin(Base):
    """The rows of the hook."""

    list_display = ("id", "beginning")
    search_fields = ("id__startswith",)
    search_help_text = "the beginning of an id or name"
    fields = ("id", "value")
    readonly_fields = ("id", "value")
    show_full_result_count = False
    actions = None

    @admin.display(description="value")
    def beginning(self, row: StoredObject | StoredGlob) -> str:
        """The beginning of the value."""
        text = _shown(row.text, None)
        return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"

    @admin.display(description="value")
    def value(self, row: StoredObject | StoredGlob) -> str:
        """The value as JSON over several lines."""
        return _shown(row.text, 2)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The application adds, through the hook."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The application changes, through the hook."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever has the permission may remove what is not JsOrc's own."""
        reserved = obj is not None and isinstance(obj, StoredGlob) and str(obj.id).startswith(_RESERVED)
        return not reserved and super().has_delete_permission(request, obj)


def _shown(text: str, indent: int | None) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return mask_text(text)
    return json.dumps(mask(value), indent=indent, ensure_ascii=False)
