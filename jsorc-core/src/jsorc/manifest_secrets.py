"""What in a manifest is a secret, so that it is not stored: found by key and by value, in tables and in YAML.

Manifests belong to the plugins that provision, and core reads no YAML: a text is looked through line by line,
and what looks like a secret counts as one. Names of secrets, as in `secretKeyRef`, are no secrets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from jsorc.redaction import is_secret_key, mask_text

__all__ = ["secret_in"]

_PAIR = re.compile(
    r"""(?:^|[{,\-])[ \t]*["']?(?P<key>[A-Za-z_][\w.\-/]{0,255})["']?[ \t]*:[ \t]+"""
    r"""(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s{\[#,}][^\n,}]*)""",
    re.MULTILINE,
)
_NO_SECRETS = frozenset({"", "true", "false", "null", "~", "|", ">", "|-", ">-"})


def secret_in(manifest: Any, secret_keys: Collection[str] = ()) -> str | None:
    """Finds a secret in a manifest.

    Args:
        manifest: A table, or YAML or anything else as text.
        secret_keys: Further keys that are secret.

    Returns:
        Where it is, without its value; None where nothing looks like one.
    """
    if isinstance(manifest, str) and mask_text(manifest) != manifest:
        return "its text, by value"
    name = ""
    for key, value in _pairs(manifest):
        if key == "kind" and value == "Secret":
            return "an object of the kind Secret"
        if value.startswith("$") or value in _NO_SECRETS:
            name = ""
            continue  # a reference, or the beginning of something longer
        if mask_text(value) != value:
            return f"{key}, by value"
        if key != "key" and is_secret_key(key, secret_keys):
            return key
        if key == "value" and is_secret_key(name, secret_keys):
            return f"{name}, a variable"  # as containers are given them: {"name": …, "value": …}
        name = value if key == "name" else ""
    return None


def _pairs(manifest: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text under its key, in order; of a variable the name comes before the value."""
    if isinstance(manifest, Mapping):
        for each, item in sorted(manifest.items(), key=lambda pair: pair[0] != "name"):
            yield from _pairs(item, str(each))
    elif isinstance(manifest, Sequence) and not isinstance(manifest, str):
        for item in manifest:
            yield from _pairs(item, key)
    elif isinstance(manifest, str) and not key:
        for pair in _PAIR.finditer(manifest):
            yield pair["key"], pair["value"].strip().strip("\"'")
    elif manifest is not None and not isinstance(manifest, bool):
        yield key, str(manifest)
