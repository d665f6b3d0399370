"""Row 26: a secret in every setting that can hold one; it is looked for wherever a person or a log can see.

Here: logs, `info`, `explain`, errors and their tracebacks, plugins, command lines of child processes, and
files that others may read. The command line of `jsorc` has a test of its own.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jsorc import Orchestrator, hookimpl
from jsorc.errors import JsOrcError
from jsorc.provisioning import ProvisionResult
from tests.faults.conftest import server_pid
from tests.servers import RedisServer
from tests.services import Listener, Recorded, orchestrator_with, recorded

SECRET = "Zq7-Vn4-seeded-secret"


class Shown:
    """Everything that a person could have seen."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._texts: list[tuple[str, str]] = []

    def error(self, error: BaseException | None) -> None:
        """Its message, its representation, and the traceback with all causes."""
        if error is not None:
            self._texts.append(("error", f"{error} {error!r} {''.join(traceback.format_exception(error))}"))

    def raised_by(self, ask: Callable[[], object]) -> None:
        with pytest.raises(JsOrcError) as raised:
            ask()
        self.error(raised.value)

    def orchestrator(self, orchestrator: Orchestrator) -> None:
        """What an orchestrator tells of itself and of its services."""
        self._texts.append(("info", json.dumps(orchestrator.info())))
        for name in orchestrator.settings.names():
            self._texts.append(("explain", str(orchestrator.settings.explain(name))))
            self._texts.append(("explain", " ".join(map(str, orchestrator.settings.explain(name).values()))))
        self._texts.append(("plugins", repr(orchestrator.plugins())))
        for slot in orchestrator._supervisor.slots():
            if slot.service is not None:
                self._texts.append(("service", repr(slot.service)))
                self.error(slot.service.error)

    def process(self, pid: int) -> None:
        self._texts.append(("command line", Path(f"/proc/{pid}/cmdline").read_bytes().decode()))

    def files(self, folder: Path) -> None:
        """Files that somebody else may read, and all logs."""
        for path in folder.rglob("*"):
            others = path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
            if path.is_file() and (others or path.suffix in (".log", ".lock", ".conf")):
                self._texts.append((f"file {path.name}", path.read_bytes().decode(errors="replace")))

    def holds(self, secret: str) -> list[str]:
        """Where the secret can be seen; what is looked for in nothing is not there."""
        log = "\n".join(
            f"{record.getMessage()} {record.exc_text or ''} {record.__dict__}"
            for record in self._caplog.records
        )
        assert self._texts
        return [what for what, text in [*self._texts, ("log", log + self._caplog.text)] if secret in text]


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Shown:
    caplog.set_level(logging.DEBUG)
    return Shown(caplog)


@pytest.fixture(
    params=[
        {"password": SECRET},
        {"url": f"redis://:{SECRET}@127.0.0.1:{{port}}/0"},
        {"client": {"credential_provider": None}, "password": SECRET, "username": "default"},
    ],
    ids=["password", "url", "user"],
)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


def at(config: dict[str, Any], port: int) -> dict[str, Any]:
    return {
        "port": port,
        **{key: value.format(port=port) if key == "url" else value for key, value in config.items()},
    }


def test_of_a_redis_that_runs(
    config: dict[str, Any],
    shown: Shown,
    make_redis: Callable[..., RedisServer],
    make_orchestrator: Callable[..., Orchestrator],
) -> None:
    server = make_redis(password=SECRET)
    orchestrator = make_orchestrator(**at(config, server.port))
    orchestrator.start()
    assert orchestrator.ready().ok
    shown.orchestrator(orchestrator)
    server.kill()
    shown.raised_by(lambda: orchestrator.src("hook").get_obj("any"))
    orchestrator.svc_reset("redis")
    shown.orchestrator(orchestrator)
    assert shown.holds(SECRET) == []


def test_of_a_redis_that_refuses_it(
    config: dict[str, Any],
    shown: Shown,
    make_redis: Callable[..., RedisServer],
    make_orchestrator: Callable[..., Orchestrator],
) -> None:
    server = make_redis(password="another-one")
    orchestrator = make_orchestrator(**at(config, server.port))
    service = orchestrator.svc("redis")
    assert service.has_failed()
    shown.raised_by(service.poke)
    shown.raised_by(lambda: orchestrator.src("hook").get_obj("any"))
    shown.orchestrator(orchestrator)
    assert shown.holds(SECRET) == []


def test_of_a_redis_that_jsorc_runs_itself(
    shown: Shown, home: Path, make_embedded: Callable[..., Orchestrator]
) -> None:
    orchestrator = make_embedded(password=SECRET)
    orchestrator.start()
    assert orchestrator.ready().ok
    shown.orchestrator(orchestrator)
    shown.process(server_pid(orchestrator))
    orchestrator.stop()
    shown.files(home)
    assert shown.holds(SECRET) == []


def test_from_the_environment(
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
    make_redis: Callable[..., RedisServer],
    make_orchestrator: Callable[..., Orchestrator],
) -> None:
    server = make_redis(password=SECRET)
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    orchestrator = make_orchestrator(port=server.port)
    orchestrator.start()
    assert orchestrator.ready().ok
    shown.orchestrator(orchestrator)
    assert shown.holds(SECRET) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": [SECRET]},
        {"port": f"redis://me:{SECRET}@here"},
        {"passwrod": SECRET, "password": SECRET},
        {"url": f"nonsense://:{SECRET}@"},
        {"embedded": {"api_key": SECRET}},
        {"client": {"passwd": SECRET}},
    ],
)
def test_in_settings_that_do_not_validate(
    wrong: dict[str, Any], shown: Shown, make_orchestrator: Callable[..., Orchestrator]
) -> None:
    orchestrator = make_orchestrator(**wrong)
    service = orchestrator.svc("redis")
    assert service.has_failed()
    shown.raised_by(service.poke)
    shown.orchestrator(orchestrator)
    assert shown.holds(SECRET) == []


@pytest.fixture
def careless() -> Iterator[Orchestrator]:
    """An orchestrator whose service, provisioner and listener tell their secret to everyone who listens."""

    def tell(service: Recorded) -> None:
        secret = service.config["deep"]["api_key"]
        service.log.info("connecting with %s", secret, extra={"credentials": secret})
        raise ConnectionError(f"nobody at https://me:{secret}@host, tried {secret}") from ValueError(secret)

    class Plugin:
        @hookimpl
        def jsorc_provision(self, service: Any, manifest: Any) -> ProvisionResult:
            secret = manifest["stringData"]["password"]
            logging.getLogger("jsorc.of.a.plugin").info("applying")
            raise RuntimeError(f"applying {manifest} with {secret} was refused")

        @hookimpl
        def jsorc_state_changed(self, service: Any, new: Any, error: BaseException | None) -> None:
            raise ValueError(f"{service.config} {error}")

        @hookimpl
        def jsorc_is_leader(self) -> None:
            return None

    orchestrator = orchestrator_with(JSORC_CONFIG={"control": False})
    cls = recorded(run=tell, failed=tell, on_delete=tell)
    orchestrator.service("thing", config="THING_CONFIG", manifest="THING_MANIFEST")(cls)
    orchestrator.configure(
        THING_CONFIG={"automated": True, "deep": {"api_key": SECRET}, "proxy": f"http://me:{SECRET}@proxy"},
        THING_MANIFEST={"kind": "Secret", "stringData": {"password": SECRET}},
        DB_REGEN_MANIFEST={"auth": {"token": SECRET}},
    )
    orchestrator.listen(Plugin())
    yield orchestrator
    orchestrator.stop()


def test_of_code_that_tells_it_to_everyone(careless: Orchestrator, shown: Shown) -> None:
    listener = Listener()
    careless.listen(listener)
    careless.start()
    listener.await_state("thing", "FAILED")
    service = careless.svc("thing")
    shown.raised_by(service.poke)
    shown.orchestrator(careless)
    careless.stop()
    shown.orchestrator(careless)
    for error in listener.errors:
        shown.error(error)
    assert shown.holds(SECRET) == []


def test_in_a_change_of_stored_settings(careless: Orchestrator, shown: Shown) -> None:
    for change in ({"deep": {"api_key": SECRET}}, {"proxy": f"http://me:{SECRET}@proxy"}, {"size": SECRET}):
        shown.raised_by(lambda change=change: careless.svc_config_set("thing", change))  # type: ignore[misc]
    shown.orchestrator(careless)
    assert shown.holds(SECRET) == []


def test_the_seed_is_found_where_nothing_hides_it(shown: Shown) -> None:
    # The test of the tests: a text that was shown is looked through.
    assert os.getpid()
    logging.getLogger("somebody.else").warning("the password is %s", SECRET)
    shown.error(ValueError(SECRET))
    assert shown.holds(SECRET) == ["error", "log"]
