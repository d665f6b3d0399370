"""The tables of the first version: objects and globals."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import jsorc_serv.fields


class Migration(migrations.Migration):
    """Makes both tables."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="StoredGlob",
            fields=[
                (
                    "id",
                    jsorc_serv.fields.NameField(
                        max_length=255, primary_key=True, serialize=False, verbose_name="name"
                    ),
                ),
                ("text", models.TextField()),
            ],
            options={"verbose_name": "stored global", "verbose_name_plural": "stored globals"},
        ),
        migrations.CreateModel(
            name="StoredObject",
            fields=[
                ("id", jsorc_serv.fields.NameField(max_length=255, primary_key=True, serialize=False)),
                ("text", models.TextField()),
            ],
            options={"verbose_name": "stored object", "verbose_name_plural": "stored objects"},
        ),
    ]
