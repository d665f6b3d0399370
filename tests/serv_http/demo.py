"""The application of the tests: services that echo, fail and hold a secret; `jsorc serve --app` loads it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from jsorc import CommonService, JsOrc, ProvisionResult, hookimpl

JsOrc.configure(
    ECHO_CONFIG={"automated": True, "greeting": "hello", "api_key": {"$env": "ECHO_API_KEY"}},
    BROKEN_CONFIG={"automated": True, "ping_interval": 1.0},
    ECHO_MANIFEST={"kind": "Demo", "registered": True},
    IDLE_CONFIG={},
)


@dataclass
class EchoConfig:
    greeting: str = "hello"
    limit: int = 3
    api_key: str | None = None
    refuses: bool = False


@JsOrc.service("echo", config="ECHO_CONFIG", manifest="ECHO_MANIFEST")
class Echo(CommonService[Any]):
    """Runs, and offers methods."""

    Config = EchoConfig
    callable_methods: ClassVar = ["say", "fail", "tell_secret", "unspeakable"]

    def run(self) -> None:
        if self.config["refuses"]:
            raise RuntimeError(f"refused with {self.config['api_key']}")
        self.app = object()

    def say(self, what: str, *, times: int = 1) -> list[str]:
        """Repeat something after a greeting."""
        return [f"{self.config['greeting']}, {what}"] * times

    def fail(self) -> None:
        raise ValueError(f"failed with {self.config['api_key']}")

    def tell_secret(self) -> dict[str, Any]:
        return {"api_key": self.config["api_key"], "text": f"it is {self.config['api_key']}"}

    def unspeakable(self) -> object:
        return object()

    def not_offered(self) -> str:
        return "nobody may call this"

    def details(self) -> dict[str, Any]:
        return {"address": f"https://user:{self.config.get('api_key')}@example.org"}


@JsOrc.service("broken", config="BROKEN_CONFIG")
class Broken(CommonService[Any]):
    """Never runs, and says a secret when it fails."""

    def run(self) -> None:
        raise RuntimeError(f"cannot reach https://user:{os.environ.get('ECHO_API_KEY', 'none')}@example.org")


@JsOrc.service("idle", config="IDLE_CONFIG")
class Idle(CommonService[Any]):
    """Runs once it is asked for."""

    def run(self) -> None:
        self.app = object()


class Provisioner:
    """Answers for manifests where the tests ask it to."""

    @hookimpl
    def jsorc_provision(self, service: CommonService[Any] | None, manifest: Any) -> ProvisionResult | None:
        kind = manifest.get("kind") if isinstance(manifest, dict) else None
        if kind == "Crash":
            raise RuntimeError(f"the cluster refused https://me:{os.environ['ECHO_API_KEY']}@cluster")
        if kind == "Demo":
            return ProvisionResult(True, f"applied for {service.name if service else 'nobody'}")
        return None


JsOrc.listen(Provisioner(), "demo-provisioner")
