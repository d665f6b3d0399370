"""The column of ids and names, which both databases compare by code point; no table is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["NameField"]

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField


class NameField(_CharField):
    """A string compared by code point, whatever the locale of the database.

    On PostgreSQL the collation is "C", which compares bytes, and UTF-8 keeps the order of code points in its
    bytes. SQLite does so by default and knows no collation of that name, so `db_collation` would not do.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Returns the type of the column."""
        if connection.vendor == "postgresql":
            # The long spelling of varchar: for the short one Django adds an index for LIKE, which costs every
            # write and which the collation makes superfluous.
            return f"character varying({self.max_length})"
        return super().db_type(connection)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Returns type, check and collation of the column."""
        parameters = super().db_parameters(connection)
        return {**parameters, "collation": "C" if connection.vendor == "postgresql" else None}
