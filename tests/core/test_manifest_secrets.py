"""What counts as a secret in a manifest that is to be stored, as a table and as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jsorc.manifest_secrets import secret_in

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "manifest",
    [
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n",
        'kind: "Secret"\n',
        "{kind: Secret, data: {a: aHVudGVyMjI=}}",
        '{"kind": "Secret", "data": {"a": "aHVudGVyMjI="}}',
        "  password: hunter22\n",
        "  env:\n    - name: DB_PASSWORD\n      value: hunter22\n",
        "  env: [{name: DB_PASSWORD, value: hunter22}]\n",
        "  url: postgres://me:hunter22@db\n",
        "  args: [--password=hunter22]\n",
        {"kind": "Secret", "stringData": {"a": "hunter22"}},
        {"items": [{"kind": "Secret"}]},
        {"spec": {"password": "hunter22"}},
        {"spec": {"tokens": ["hunter22"]}},
        {"spec": {"pin_number": "hunter22"}},
        {"env": [{"value": "hunter22", "name": "DB_PASSWORD"}]},
        {"env": [{"name": "URL", "value": "postgres://me:hunter22@db"}]},
    ],
)
def test_a_secret_is_found_and_not_repeated(manifest: Any) -> None:
    found = secret_in(manifest, ["pin_number"])
    assert found is not None
    assert "hunter22" not in found


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "env:\n- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      name: db\n      key: password\n",
        "env:\n  - name: SIZE\n    value: '3'\n  - name: DB_PASSWORD\n    value: $j{db.password}\n",
        "automountServiceAccountToken: false\nvolumes:\n  - secret:\n      secretName: db\n",
        {"secretKeyRef": {"name": "db", "key": "password"}, "imagePullSecrets": [{"name": "registry"}]},
        {"password": {"$env": "DB_PASSWORD"}, "tolerations": [{"key": "role", "value": "db"}]},
        {"kind": "List", "items": []},
    ],
)
def test_the_name_of_a_secret_is_none(manifest: Any) -> None:
    assert secret_in(manifest) is None


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("jsorc-*/src/*/manifest.yaml")), ids=lambda path: path.parent.name
)
def test_the_manifests_that_come_with_plugins_hold_none(path: Path) -> None:
    assert secret_in(path.read_text()) is None
