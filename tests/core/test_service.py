"""The life of one service: its states, its deadlines, what `poke` gives, and what is called once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from jsorc import CommonService
from jsorc.daemons import Call
from jsorc.errors import CastError, Closed, DeadlineExceeded, ServiceUnavailable
from jsorc.redaction import MASK
from jsorc.service import ServiceState
from jsorc.testing.clock import FakeClock
from tests.services import LONG, Recorded, boom, orchestrator_with, recorded


def by_hand(cls: type[Recorded], clock: FakeClock | None = None, **config: Any) -> Recorded:
    service = cls(config, {})
    service.name = "thing"
    if clock is not None:
        service.clock = clock
    return service


# Starting by hand


def test_a_service_is_used_without_an_orchestrator() -> None:
    service = by_hand(recorded())
    assert service.is_ready()
    assert service.state is ServiceState.NOT_STARTED
    assert service.start() is service
    assert service.is_running()
    assert service.poke() == "app 1"
    assert service.journal == ["init", "run", "post_run"]
    service.report(ValueError("a client met it"))  # nobody supervises, and that is no error


def test_it_is_started_during_run_and_running_during_post_run() -> None:
    seen: list[ServiceState] = []

    def run(service: Recorded) -> None:
        seen.append(service.state)
        service.app = "app"

    by_hand(recorded(run=run, post_run=lambda service: seen.append(service.state))).start()
    assert seen == [ServiceState.STARTED, ServiceState.RUNNING]


def test_a_second_start_does_nothing() -> None:
    service = by_hand(recorded()).start().start()
    assert isinstance(service, Recorded)
    assert service.journal.count("run") == 1


def test_one_that_is_not_enabled_does_not_start_and_says_so() -> None:
    service = by_hand(recorded(), enabled=False).start()
    assert service.is_ready()
    with pytest.raises(ServiceUnavailable, match="thing is not enabled"):
        service.poke()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ({"run": boom}, "boom"),
        ({"post_run": boom}, "boom"),
        ({"run": lambda _: None}, "without setting self.app"),
        ({"run": lambda _: exit(3)}, "3"),
    ],
)
def test_a_start_that_raises_or_leaves_no_app_is_a_failure(steps: dict[str, Any], reason: str) -> None:
    service = by_hand(recorded(**steps)).start()
    assert service.has_failed()
    assert service.app is None
    assert service.error is not None
    assert reason in str(service.error)
    assert isinstance(service, Recorded)
    assert service.journal.count("failed") == 1
    with pytest.raises(ServiceUnavailable, match="thing is FAILED"):
        service.poke()


def test_a_class_without_run_fails_with_what_to_write() -> None:
    class Empty(CommonService[str]):
        pass

    assert "override run()" in str(Empty({}, {}).start().error)


def test_the_run_sees_the_context_variables_of_who_starts_it() -> None:
    from contextvars import ContextVar

    request: ContextVar[str] = ContextVar("request")
    request.set("42")
    service = by_hand(recorded(run=lambda service: setattr(service, "app", request.get()))).start()
    assert service.poke() == "42"


# Deadlines


def test_a_run_that_hangs_fails_at_its_deadline_and_its_late_return_is_discarded(
    clock: FakeClock, gate: threading.Event
) -> None:
    def run(service: Recorded) -> None:
        gate.wait(LONG)
        service.app = "late"

    service = by_hand(recorded(run=run), clock, start_timeout=7)
    starting = Call(service.start, name="start")
    clock.await_waiters()
    clock.advance(6.9)
    assert service.state is ServiceState.STARTED
    clock.advance(0.1)
    assert starting.wait(LONG)
    assert service.has_failed()
    assert isinstance(service.error, DeadlineExceeded)
    assert "start_timeout, 7 s" in str(service.error)
    assert service._hangs()
    gate.set()
    assert service._attempt is not None
    assert service._attempt.wait(LONG)
    assert not service._hangs()
    assert service.app is None
    assert service.has_failed()


def test_a_post_run_that_hangs_is_within_the_same_deadline(clock: FakeClock, gate: threading.Event) -> None:
    service = by_hand(recorded(post_run=lambda _: gate.wait(LONG)), clock, start_timeout=5)
    starting = Call(service.start, name="start")
    clock.await_waiters()
    clock.advance(5)
    assert starting.wait(LONG)
    assert service.has_failed()
    assert service.app is None


def test_a_daemon_of_a_start_that_returns_late_is_refused(clock: FakeClock, gate: threading.Event) -> None:
    refused: list[Exception] = []

    def run(service: Recorded) -> None:
        gate.wait(LONG)
        try:
            service.spawn_daemon(late=lambda stop: stop.wait(LONG))
        except Closed as error:
            refused.append(error)

    service = by_hand(recorded(run=run), clock, start_timeout=1)
    starting = Call(service.start, name="start")
    clock.await_waiters()
    clock.advance(1)
    assert starting.wait(LONG)
    service._release()
    gate.set()
    assert service._attempt is not None
    assert service._attempt.wait(LONG)
    assert len(refused) == 1


@pytest.mark.parametrize("handler", ["failed", "on_delete"])
def test_a_handler_that_hangs_is_given_up(handler: str, clock: FakeClock, gate: threading.Event) -> None:
    service = by_hand(recorded(**{handler: lambda _: gate.wait(LONG)}), clock).start()
    end = service._release if handler == "on_delete" else lambda: service._fail(ValueError("boom"))
    ending = Call(end, name="end")
    clock.await_waiters()
    clock.advance(5)
    assert ending.wait(LONG)
    ending.result()


@pytest.mark.parametrize("raised", [ValueError("no"), SystemExit(3)])
def test_a_handler_that_raises_is_logged_and_hurts_nobody(
    raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise raised

    service = by_hand(recorded(run=boom, failed=fail, on_delete=fail)).start()
    service._release()
    assert service.has_failed()
    for handler in ("failed", "on_delete"):
        assert f"thing: {handler}() raised {type(raised).__name__}" in caplog.text


# Ending


def test_failed_is_called_once_for_a_failure_and_never_under_a_lock() -> None:
    locked: list[bool] = []
    service = by_hand(recorded(failed=lambda service: locked.append(service._lock.locked()))).start()
    assert service._fail(ValueError("first"))
    assert not service._fail(ValueError("second"))
    assert str(service.error) == "first"
    assert locked == [False]


def test_on_delete_is_called_once_however_many_ask_and_never_under_a_lock() -> None:
    locked: list[bool] = []
    service = by_hand(recorded(on_delete=lambda service: locked.append(service._lock.locked()))).start()
    threads = [threading.Thread(target=service._release) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert locked == [False]
    assert service.app is None
    assert service.is_ready()


def test_on_delete_still_has_the_app() -> None:
    seen: list[object] = []
    by_hand(recorded(on_delete=lambda service: seen.append(service.app))).start()._release()
    assert seen == ["app 1"]


def test_a_start_that_is_under_way_ends_when_the_service_is_deleted(gate: threading.Event) -> None:
    begun = threading.Event()

    def run(service: Recorded) -> None:
        begun.set()
        gate.wait(LONG)
        service.app = "late"

    service = by_hand(recorded(run=run))
    starting = Call(service.start, name="start")
    assert begun.wait(LONG)
    service._release()
    assert starting.wait(LONG)
    assert service.app is None
    assert service.is_ready()
    assert not service.start().is_running()


def test_its_daemons_end_with_it() -> None:
    ended = threading.Event()

    def daemon(stop: threading.Event) -> None:
        stop.wait(LONG)
        ended.set()

    service = by_hand(recorded(post_run=lambda service: service.spawn_daemon(watcher=daemon))).start()
    assert service._release() == []
    assert ended.is_set()
    with pytest.raises(Closed):
        service.spawn_daemon(another=daemon)


def test_a_daemon_is_ended_by_name() -> None:
    service = by_hand(recorded()).start()
    service.spawn_daemon(one=lambda stop: stop.wait(LONG), other=lambda stop: stop.wait(LONG))
    assert service.terminate_daemon("one", "nobody") == []
    assert service._own_daemons().alive() == ["other"]
    service._release()


# Poking


def test_poke_casts_to_the_app_or_to_the_service_itself() -> None:
    service = by_hand(recorded()).start()
    assert service.poke(str) == "app 1"
    assert service.poke(CommonService) is service
    assert service.poke(type(service)) is service
    with pytest.raises(CastError, match="its app is str, not int"):
        service.poke(int)


def test_poke_says_what_it_is_told_to_say() -> None:
    with pytest.raises(ServiceUnavailable, match=r"^no mail today$"):
        by_hand(recorded()).poke(msg="no mail today")


def test_poke_is_raised_from_the_last_error() -> None:
    service = by_hand(recorded(run=boom)).start()
    with pytest.raises(ServiceUnavailable, match="boom") as raised:
        service.poke()
    assert raised.value.__cause__ is service.error


def test_what_poke_says_is_masked() -> None:
    from jsorc.redaction import learn

    learn({"password": "correcthorse"})

    def run(_: object) -> None:
        raise ValueError("login with correcthorse at redis://me:batterystaple@host failed")

    service = by_hand(recorded(run=run)).start()
    with pytest.raises(ServiceUnavailable) as raised:
        service.poke()
    for text in (str(raised.value), str(service.error)):
        assert MASK in text
        assert "correcthorse" not in text
        assert "batterystaple" not in text


def test_the_poke_of_a_replaced_instance_says_that_it_was_replaced() -> None:
    orchestrator = orchestrator_with({"thing": recorded()})
    old = orchestrator.svc("thing")
    assert orchestrator.svc_reset("thing").poke() == "app 2"
    with pytest.raises(ServiceUnavailable, match=r"replaced; ask JsOrc\.svc\('thing'\)"):
        old.poke()
    orchestrator.stop()
    with pytest.raises(ServiceUnavailable, match="stopped with its orchestrator"):
        orchestrator._supervisor.slots()[0].service.poke()  # type: ignore[union-attr]
