"""How services are typed: checked by mypy, strict, and never run.

An ignored error is an expectation too: mypy complains when there is nothing to ignore.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, assert_type

import msgspec

from jsorc import CommonService, JsOrc, ServiceState

if TYPE_CHECKING:
    from jsorc.provisioning import LocalProcess


class Client:
    """Stands for the client library of a service."""

    def get(self, key: str) -> str:
        return key


class ByNamespace(JsOrc.CommonService):
    """Without the type of the app."""

    def run(self) -> None:
        self.app = Client()


class Imported(CommonService):
    """The same, as the guide writes it."""

    def run(self) -> None:
        self.app = Client()


@JsOrc.service(name="typed", config="TYPED_CONFIG", manifest="TYPED_MANIFEST", priority=1, needs=["other"])
class Typed(CommonService[Client]):
    @dataclass
    class Config:
        host: str = "localhost"
        port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 6379

    secret_keys = ("salt",)

    def __init__(self, config: dict[str, Any], manifest: dict[str, Any]) -> None:
        super().__init__(config, manifest)
        self.more = 1

    def run(self) -> None:
        self.app = Client()
        self.spawn_daemon(jsorc=self.check)

    def check(self) -> None:
        assert_type(self.poke(), Client)

    def ping(self) -> bool:
        return True

    def local_process(self) -> LocalProcess | None:
        return None


class WithTypedDict(CommonService[Client]):
    class Config(TypedDict, total=False):
        host: str


class WithStruct(CommonService[Client]):
    class Config(msgspec.Struct):
        host: str = "localhost"


class WrongApp(CommonService[Client]):
    def run(self) -> None:
        self.app = "a text"  # type: ignore[assignment]


def the_decorator_keeps_the_type_of_the_class() -> None:
    assert_type(Typed, type[Typed])
    assert_type(Typed({}, {}).more, int)
    Typed.Config(port="a text")  # type: ignore[arg-type]


def poke_gives_the_app_or_what_it_is_cast_to(service: Typed) -> None:
    assert_type(service.poke(), Client)
    assert_type(service.poke(Typed), Typed)
    assert_type(service.poke(msg="not there"), Client)
    assert_type(service.poke(str, "not there"), str)
    service.poke().absent  # type: ignore[attr-defined]  # noqa: B018
    assert_type(service.app, Client | None)
    assert_type(service.state, ServiceState)
    assert_type(service.start(), CommonService[Client])


def an_app_without_a_type_is_any(service: ByNamespace) -> None:
    assert_type(service.poke(), Any)
    assert_type(service.poke(Client), Client)


def svc_gives_a_service_or_what_it_is_cast_to() -> None:
    assert_type(JsOrc.svc("typed"), CommonService[Any])
    assert_type(JsOrc.svc("typed", Typed), Typed)
    assert_type(JsOrc.svc("typed", Typed).poke(), Client)
    assert_type(JsOrc.svc("typed").poke(Client).get("a"), str)
    assert_type(JsOrc.svc_reset("typed"), CommonService[Any])
    JsOrc.svc(3)  # type: ignore[call-overload]
