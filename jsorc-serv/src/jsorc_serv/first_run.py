"""The first superuser, and the link by which its password is chosen; nobody needs to know one before."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.db import IntegrityError
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

__all__ = ["NAME", "first_link"]

NAME = "admin"
"""The first superuser's name."""


def first_link(base: str) -> str | None:
    """Makes the first superuser where there is none, and the link that sets its password.

    Args:
        base: The address of the site, without a slash at the end.

    Returns:
        A link that works once and for a day; None where a superuser with a password exists.
    """
    users: Any = get_user_model().objects  # whose own methods a custom user may have, too
    superusers = list(users.filter(is_superuser=True, is_active=True))
    if any(user.has_usable_password() for user in superusers):
        return None
    if not superusers:
        try:
            superusers = [users.create_superuser(NAME, password=None)]
        except IntegrityError:  # another process was first, or somebody else has the name
            superusers = list(users.filter(is_superuser=True, is_active=True))
    if not superusers:
        return None
    user = superusers[0]
    arguments = {
        "uidb64": urlsafe_base64_encode(force_bytes(user.pk)),
        "token": default_token_generator.make_token(user),
    }
    return base + reverse("welcome", kwargs=arguments)
