"""`ServiceContract`: what every service does, as tests that its own test class inherits.

What only one service does, such as what its client can do, is tested beside that service.
"""

# ruff: noqa: D102 - the name of a test is the sentence that says what it holds

from __future__ import annotations

import copy
import json
import os
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import pytest

from jsorc import CommonService, Orchestrator, hookimpl
from jsorc.errors import JsOrcError, ServiceUnavailable
from jsorc.redaction import is_secret_key
from jsorc.testing.forking import in_child

__all__ = ["ServiceContract"]

_NAME = "under_contract"
_SETTING = "UNDER_CONTRACT_CONFIG"
_STOP = 5.0
_GRACE = 1.0
"""Seconds that a busy machine may add to a deadline."""


class ServiceContract:
    """The conformance suite of services.

    Inherit it in a class that pytest collects, say which class is meant, and how its server comes and goes:

        class TestThingService(ServiceContract):
            service_class = ThingService

            @pytest.fixture(autouse=True)
            def server(self, thing_server):
                self.thing = thing_server

            def make_config(self):
                return {"port": self.thing.port, "password": "hunter22"}

            def stop_server(self):
                self.thing.kill()

            def start_server(self):
                self.thing.start()

    Needs the extra `testing` (pytest).
    """

    service_class: type[CommonService[Any]]
    """The service."""

    @abstractmethod
    def make_config(self) -> dict[str, Any]:
        """Say with which config it reaches its server, which runs when a test begins.

        Returns:
            The config; with a secret in it, it is tested that nobody sees that.
        """

    @abstractmethod
    def stop_server(self) -> None:
        """End the server as a crash would, and return when it is gone."""

    @abstractmethod
    def start_server(self) -> None:
        """Start the server again after `stop_server`, and return when it serves."""

    @pytest.fixture(autouse=True)
    def _orchestrators(self) -> Iterator[None]:
        self._made: list[Orchestrator] = []
        yield
        for orchestrator in self._made:
            orchestrator.stop()

    # Starting

    def test_it_starts_and_its_app_is_there(self) -> None:
        service = self.start()
        assert service.is_running(), service.error
        assert service.poke() is service.app is not None
        assert service.poke(type(service)) is service

    def test_it_is_made_by_hand_and_started_without_an_orchestrator(self) -> None:
        service = self.service_class(self.full_config(), {})
        try:
            assert service.is_ready()
            service.start()
            assert service.is_running(), service.error
        finally:
            service._release()

    def test_it_changes_no_dict_of_its_caller(self) -> None:
        config, manifest = self.full_config(), {"kind": "List", "items": [{"kind": "Pod"}]}
        before = copy.deepcopy((config, manifest))
        service = self.service_class(config, manifest)
        service.start()
        service._release()
        assert (config, manifest) == before

    def test_making_it_neither_connects_nor_starts_a_thread(self) -> None:
        self.stop_server()
        before = threading.active_count()
        assert self.service_class(self.full_config(), {}).is_ready()
        assert threading.active_count() == before

    def test_one_that_is_not_enabled_starts_nothing(self) -> None:
        service = self.start(enabled=False)
        assert service.is_ready()
        with pytest.raises(ServiceUnavailable, match="enabled"):
            service.poke()

    def test_what_it_says_of_itself_is_json(self) -> None:
        service = self.start()
        assert json.loads(json.dumps(service.details())) == service.details()
        json.dumps(self._made[-1].info())

    # Probes and failures

    def test_it_answers_a_ping_within_its_time(self) -> None:
        service = self.start()
        began = time.monotonic()
        assert service.ping() is not False
        assert time.monotonic() - began < service.policy.ping_timeout

    def test_a_ping_fails_within_its_time_and_says_why_when_the_server_is_gone(self) -> None:
        service = self.start()
        self.stop_server()
        began = time.monotonic()
        with pytest.raises(JsOrcError) as failure:
            _ping(service)
        assert time.monotonic() - began < service.policy.ping_timeout + _GRACE
        assert str(failure.value)

    def test_a_start_without_its_server_fails_in_time_with_a_clear_error(self) -> None:
        self.stop_server()
        began = time.monotonic()
        service = self.start()
        assert time.monotonic() - began < service.policy.start_timeout + _GRACE
        assert service.has_failed()
        assert service.app is None
        assert isinstance(service.error, JsOrcError), f"{service.error!r} says nothing to a person"
        with pytest.raises(ServiceUnavailable) as failure:
            service.poke()
        assert str(service.error) in str(failure.value)

    def test_it_is_found_dead_by_a_report_and_runs_again_once_its_server_does(self) -> None:
        listening = _Listening()
        orchestrator = self.orchestrate()
        orchestrator.listen(listening)
        orchestrator.start()
        service = orchestrator.svc(_NAME)
        assert service.is_running(), service.error
        self.stop_server()
        service.report(ConnectionError("a client met it"))
        listening.wait_for("FAILED")
        assert service.app is None
        self.start_server()
        listening.wait_for("RUNNING", after="FAILED")
        assert orchestrator.svc(_NAME).ping() is not False

    def test_its_handlers_may_come_at_any_time_and_twice(self) -> None:
        service = self.service_class(self.full_config(), {})
        for _ in range(2):
            service.failed()
            service.on_delete()
        started = self.start()
        for _ in range(2):
            started.on_delete()
            started.failed()

    # Ending

    def test_it_stops_in_time_and_leaves_no_thread_and_no_process(self) -> None:
        before = set(threading.enumerate())
        service = self.start()
        orchestrator = self._made[-1]
        daemons = service._own_daemons()
        began = time.monotonic()
        assert orchestrator.stop() == []
        assert time.monotonic() - began < _STOP + _GRACE
        assert service.app is None
        assert daemons.alive() == []
        for thread in set(threading.enumerate()) - before:
            # The one that starts child processes lives as long as the process.
            if thread.name != "jsorc spawner":
                thread.join(_STOP)
                assert not thread.is_alive(), f"{thread.name} outlives its service"

    def test_a_reset_gives_a_fresh_one_that_runs(self) -> None:
        old = self.start()
        fresh = self._made[-1].svc_reset(_NAME)
        assert fresh is not old
        assert fresh.is_running(), fresh.error
        assert fresh.ping() is not False
        with pytest.raises(ServiceUnavailable, match="replaced"):
            old.poke()

    # Secrets

    def test_no_secret_of_its_config_is_seen(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        secrets = set(_secrets_in(self.make_config(), tuple(self.service_class.secret_keys)))
        service = self.start()
        orchestrator = self._made[-1]
        shown = [repr(service), json.dumps(orchestrator.info()), str(orchestrator.settings.explain(_SETTING))]
        self.stop_server()
        failed = orchestrator.svc_reset(_NAME)
        shown += [repr(failed), str(failed.error), json.dumps(orchestrator.info()), caplog.text]
        for secret in secrets:
            assert not [text for text in shown if secret in text], f"{secret!r} is seen"

    # Forks

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_forked_child_starts_its_own_and_the_parents_goes_on(self) -> None:
        service = self.start()
        orchestrator = self._made[-1]

        def ask() -> list[Any]:
            own = orchestrator.svc(_NAME)
            answer = [own is service, own.is_running(), own.ping() is not False, service.app is None]
            orchestrator.stop()
            return answer

        assert in_child(ask) == [False, True, True, True]
        assert service.is_running()
        assert service.ping() is not False

    # What the tests above share

    def full_config(self) -> dict[str, Any]:
        """The config with the defaults of the class's model, as an orchestrator would give it."""
        return self.orchestrate().svc_config(_NAME)

    def orchestrate(self, **policy: Any) -> Orchestrator:
        """An orchestrator of this service alone; stopped after the test."""
        orchestrator = Orchestrator(discover=False, environ={})
        # A class of its own, since the decorator leaves its mark on the class.
        cls = type(self.service_class.__name__, (self.service_class,), {"__module__": __name__})
        orchestrator.service(_NAME, config=_SETTING)(cls)
        config = {"automated": True, **self.make_config(), **policy}
        orchestrator.configure(**{_SETTING: config}, JSORC_CONFIG={"control": False})
        self._made.append(orchestrator)
        return orchestrator

    def start(self, **policy: Any) -> CommonService[Any]:
        """The service, asked of an orchestrator of its own."""
        return self.orchestrate(**policy).svc(_NAME)


class _Listening:
    """Hears of states, and waits for one."""

    def __init__(self) -> None:
        self._states: list[str] = []
        self._changed = threading.Condition()

    @hookimpl
    def jsorc_state_changed(self, new: Any) -> None:
        with self._changed:
            self._states.append(str(new))
            self._changed.notify_all()

    def wait_for(self, state: str, after: str = "", timeout: float = 30.0) -> None:
        def there() -> bool:
            begin = self._states.index(after) if after in self._states else 0
            return state in self._states[begin:] and (not after or after in self._states)

        with self._changed:
            assert self._changed.wait_for(there, timeout), f"{state} was not seen, only {self._states}"


def _ping(service: CommonService[Any]) -> None:
    if service.ping() is False:
        raise ServiceUnavailable("ping() returned False")


def _secrets_in(value: Any, secret_keys: tuple[str, ...], *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets_in(item, secret_keys, secret=secret or is_secret_key(key, secret_keys))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets_in(item, secret_keys, secret=secret)
    elif secret and isinstance(value, str) and value:
        yield value
