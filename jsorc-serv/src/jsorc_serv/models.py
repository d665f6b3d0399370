"""The two tables of the hook: objects and globals, each a name and JSON text.

What is in them is the hook's business; change it through `JsOrc.src("hook")`.
"""

from __future__ import annotations

from django.db import models

from jsorc.encoding import MAX_NAME_LENGTH
from jsorc_serv.fields import NameField

__all__ = ["StoredGlob", "StoredObject"]


class StoredObject(models.Model):
    """An object of the hook.

    Attributes:
        id: Its id, at most 255 characters.
        text: Its value as JSON text: a jsonb column would be slower and would change numbers and keys.
    """

    id = NameField(primary_key=True, max_length=MAX_NAME_LENGTH)
    text: models.TextField[str, str] = models.TextField()

    class Meta:
        """Its names in Django's admin."""

        verbose_name = "stored object"
        verbose_name_plural = "stored objects"

    def __str__(self) -> str:
        return str(self.id)


class StoredGlob(models.Model):
    """A global of the hook.

    Attributes:
        id: Its name, at most 255 characters.
        text: Its value as JSON text.
    """

    id = NameField("name", primary_key=True, max_length=MAX_NAME_LENGTH)
    text: models.TextField[str, str] = models.TextField()

    class Meta:
        """Its names in Django's admin."""

        verbose_name = "stored global"
        verbose_name_plural = "stored globals"

    def __str__(self) -> str:
        return str(self.id)
