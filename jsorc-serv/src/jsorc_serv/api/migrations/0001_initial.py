"""The tables of the first version: tokens and the log of changes."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes both tables."""

    initial = True
    dependencies: ClassVar = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations: ClassVar = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ("actor", models.CharField(max_length=150)),
                ("means", models.CharField(max_length=120)),
                ("address", models.CharField(blank=True, max_length=64)),
                ("action", models.CharField(max_length=40)),
                ("target", models.CharField(blank=True, max_length=300)),
                ("detail", models.TextField(blank=True)),
                ("outcome", models.TextField(default="begun")),
            ],
            options={
                "verbose_name": "change",
                "verbose_name_plural": "log of changes",
                "ordering": ("-id",),
                "permissions": (
                    ("restart_service", "Can restart services"),
                    ("change_config", "Can change the config of services"),
                    ("call_method", "Can call the methods that services offer"),
                    ("apply_manifest", "Can load and apply manifests"),
                    ("regenerate", "Can regenerate"),
                ),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
                (
                    "scope",
                    models.CharField(
                        choices=[("read", "read only"), ("staff", "what its user may do")],
                        default="read",
                        max_length=10,
                    ),
                ),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("expires", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "API token",
                "verbose_name_plural": "API tokens",
                "ordering": ("name",),
            },
        ),
    ]
