"""Layer 4: settings that are kept in the hook's globals, and shared by every orchestrator over one store."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jsorc import MemoryHook, Orchestrator, ProvisionResult, hookimpl
from jsorc.daemons import Call
from jsorc.errors import ConfigError, ServiceUnavailable, StaleRevision
from jsorc.stored_settings import KEPT, PREFIX
from jsorc.testing.clock import FakeClock
from jsorc.unit_of_work import MemoryStore
from tests.services import LONG, Listener, Recorded, await_deadline, recorded


class SharedHook(MemoryHook):
    """A hook whose store outlives the orchestrator, as a server would."""

    persistent = True


class Replicas:
    """Makes orchestrators over one store, each as another process would be."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.made: list[Orchestrator] = []
        self.environ: dict[str, str] = {}

    def __call__(
        self, cls: type[Recorded] | None = None, clock: FakeClock | None = None, **options: Any
    ) -> Orchestrator:
        store = self.store

        class Hook(SharedHook):
            @classmethod
            def bind(cls, orchestrator: Any) -> Any:
                return functools.partial(cls, store)

        extra = {} if clock is None else {"clock": clock}
        orchestrator = Orchestrator(discover=False, environ=self.environ, **extra)  # type: ignore[arg-type]
        orchestrator.repository("hook", **options)(Hook)
        orchestrator.service("thing", config="THING_CONFIG", proxy=True)(cls or recorded())
        orchestrator.configure(THING_CONFIG={"automated": True, "size": 1, "nested": {"a": 1, "b": 2}})
        self.made.append(orchestrator)
        return orchestrator

    def globs(self) -> list[str]:
        return MemoryHook(self.store).list_glob(PREFIX)


@pytest.fixture
def replicas() -> Iterator[Replicas]:
    replicas = Replicas()
    yield replicas
    for orchestrator in replicas.made:
        orchestrator.stop()


def boom_if_big(service: Recorded) -> None:
    if service.config["size"] > 100:
        raise ValueError("too big")
    service.app = f"app of size {service.config['size']}"


# Setting and unsetting


def test_what_is_set_is_merged_deeply_and_the_service_runs_with_it(replicas: Replicas) -> None:
    orchestrator = replicas()
    assert orchestrator.svc("thing").config["size"] == 1
    change = orchestrator.svc_config_set("thing", {"size": 2, "nested": {"b": 3}})
    assert (change.revision, change.persisted) == (1, True)
    assert orchestrator.svc("thing").config == {"size": 2, "nested": {"a": 1, "b": 3}}
    assert orchestrator.svc_config("thing")["size"] == 2
    assert orchestrator.svc_config_set("thing", {"nested": {"a": 9}}).revision == 2
    assert orchestrator.svc("thing").config == {"size": 2, "nested": {"a": 9, "b": 3}}


def test_what_is_unset_falls_back_to_the_layers_below(replicas: Replicas) -> None:
    orchestrator = replicas()
    orchestrator.svc_config_set("thing", {"size": 2})
    assert orchestrator.svc_config_unset("thing").revision == 2
    assert orchestrator.svc("thing").config["size"] == 1


def test_explain_names_the_stored_layer(replicas: Replicas) -> None:
    orchestrator = replicas()
    orchestrator.svc_config_set("thing", {"size": 2})
    origins = orchestrator.settings.explain("THING_CONFIG")
    assert origins["size"].layer == "stored"
    assert origins["nested.a"].layer == "application"


def test_on_a_memory_hook_it_says_that_it_is_not_persisted() -> None:
    orchestrator = Orchestrator(discover=False, environ={})
    orchestrator.repository("hook")(MemoryHook)
    orchestrator.service("thing", config="THING_CONFIG")(recorded())
    assert orchestrator.svc_config_set("thing", {"size": 2}).persisted is False
    orchestrator.stop()


def test_a_config_that_cannot_start_is_not_stored(replicas: Replicas) -> None:
    orchestrator = replicas(recorded(run=boom_if_big))
    before = orchestrator.svc("thing")
    with pytest.raises(ServiceUnavailable, match="nothing was stored: too big"):
        orchestrator.svc_config_set("thing", {"size": 101})
    assert replicas.globs() == []
    assert orchestrator.svc("thing") is before
    assert before.poke() == "app of size 1"
    assert orchestrator.svc_config("thing")["size"] == 1


def test_a_post_run_that_fails_takes_the_stored_settings_back(replicas: Replicas) -> None:
    def post_run(service: Recorded) -> None:
        if service.config["size"] > 100:
            raise ValueError("too big")

    orchestrator = replicas(recorded(post_run=post_run))
    orchestrator.svc("thing")
    with pytest.raises(ServiceUnavailable, match="the old one is back"):
        orchestrator.svc_config_set("thing", {"size": 101})
    assert orchestrator.svc_config("thing")["size"] == 1
    assert replicas().svc("thing").config["size"] == 1


def test_a_config_that_does_not_validate_is_refused(replicas: Replicas) -> None:
    orchestrator = replicas()
    with pytest.raises(ConfigError, match="ping_failures"):
        orchestrator.svc_config_set("thing", {"ping_failures": 0})
    assert replicas.globs() == []


def test_old_revisions_are_cleared_away(replicas: Replicas) -> None:
    orchestrator = replicas()
    for size in range(1, 31):
        orchestrator.svc_config_set("thing", {"size": size})
    assert len(replicas.globs()) == KEPT + 1
    assert replicas().svc_config("thing")["size"] == 30


# Several orchestrators


def test_of_two_writers_one_is_told_to_read_again(replicas: Replicas) -> None:
    first, second = replicas(), replicas()
    trying, go_on = threading.Event(), threading.Event()

    def hold(service: Recorded) -> None:
        if service.config["size"] == 3:
            trying.set()
            go_on.wait(LONG)
        service.app = "app"

    second = replicas(recorded(run=hold))
    late = Call(lambda: second.svc_config_set("thing", {"size": 3}), name="late")
    assert trying.wait(LONG)
    first.svc_config_set("thing", {"size": 2})
    go_on.set()
    assert late.wait(LONG)
    with pytest.raises(StaleRevision, match="read them again"):
        late.result()
    assert replicas().svc_config("thing")["size"] == 2
    assert second.svc_config_set("thing", {"size": 3}).revision == 2


def test_a_pass_that_reads_meanwhile_does_not_let_a_change_undo_anothers(replicas: Replicas) -> None:
    trying, go_on = threading.Event(), threading.Event()

    def hold(service: Recorded) -> None:
        if service.config["size"] == 3:
            trying.set()
            go_on.wait(LONG)
        service.app = "app"

    first, second = replicas(), replicas(recorded(run=hold))
    late = Call(lambda: second.svc_config_set("thing", {"size": 3}), name="late")
    assert trying.wait(LONG)
    first.svc_config_set("thing", {"nested": {"a": 7}})
    assert second._stored.refresh()
    go_on.set()
    assert late.wait(LONG)
    with pytest.raises(StaleRevision, match="read them again"):
        late.result()
    assert replicas().svc_config("thing")["nested"] == {"a": 7, "b": 2}


def test_a_change_over_a_revision_that_was_cleared_away_is_refused(replicas: Replicas) -> None:
    first, second = replicas(), replicas()
    old, values = second._stored.snapshot()
    for size in range(KEPT + 5):
        first.svc_config_set("thing", {"size": size})
    with pytest.raises(StaleRevision, match="read them again"):
        second._stored.store(values, over=old)


def test_others_pick_a_change_up_at_their_next_pass_and_use_it_at_their_next_start(
    replicas: Replicas, clock: FakeClock
) -> None:
    listener = Listener()
    writer, reader = replicas(), replicas(recorded(run=boom_if_big), clock)
    reader.listen(listener)
    reader.start()
    writer.svc_config_set("thing", {"size": 2})
    assert reader.svc("thing").config["size"] == 1
    read = threading.Event()
    reader.settings.set_stored = _then(reader.settings.set_stored, read)  # type: ignore[method-assign]
    clock.await_waiters()
    clock.advance(10)
    assert read.wait(LONG)
    assert reader.svc_config("thing")["size"] == 2
    assert reader.svc("thing").config["size"] == 1  # a running one keeps what it has
    assert reader.svc_reset("thing").poke() == "app of size 2"


def _then(function: Callable[..., Any], event: threading.Event) -> Callable[..., Any]:
    def call(*arguments: Any) -> None:
        function(*arguments)
        event.set()

    return call


def test_a_script_reads_what_is_stored_before_it_starts_a_service(replicas: Replicas) -> None:
    replicas().svc_config_set("thing", {"size": 2})
    assert replicas().svc("thing").config["size"] == 2


def test_what_is_asked_while_start_still_waits_for_what_the_hook_needs_has_what_is_stored(
    replicas: Replicas,
) -> None:
    replicas().svc_config_set("thing", {"size": 2})
    gate, begun = threading.Event(), threading.Event()

    def wait(service: Recorded) -> None:
        begun.set()
        gate.wait(LONG)
        service.app = "app"

    orchestrator = replicas(needs=["first"])
    orchestrator.service("first")(recorded(run=wait))
    starting = Call(orchestrator.start, name="start")
    try:
        assert begun.wait(LONG)
        assert orchestrator.svc_config("thing")["size"] == 2
        assert orchestrator.svc("thing").config["size"] == 2
    finally:
        gate.set()
        assert starting.wait(LONG)


def test_a_store_that_was_emptied_is_noticed(replicas: Replicas) -> None:
    orchestrator = replicas()
    orchestrator.svc_config_set("thing", {"size": 2})
    with MemoryHook(replicas.store) as hook:
        for name in hook.list_glob():
            hook.destroy_glob(name)
    assert orchestrator.svc_reset("thing").config["size"] == 1


def test_a_read_that_began_earlier_does_not_undo_a_later_one(replicas: Replicas) -> None:
    orchestrator = replicas()
    stored = orchestrator._stored
    early = next(stored._tickets)
    orchestrator.svc_config_set("thing", {"size": 2})
    stored._take(early, 0, {})
    assert stored.revision == 1
    assert orchestrator.svc_config("thing")["size"] == 2


def test_what_is_stored_may_be_ignored(replicas: Replicas) -> None:
    replicas().svc_config_set("thing", {"size": 2})
    replicas.environ["JSORC_IGNORE_STORED"] = "1"
    assert replicas().svc("thing").config["size"] == 1


def test_what_cannot_be_read_leaves_what_is_known(
    replicas: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    orchestrator = replicas()
    orchestrator.svc_config_set("thing", {"size": 2})
    with MemoryHook(replicas.store) as hook:
        hook.save_glob(f"{PREFIX}000000000002", "nonsense")
    for _ in range(2):
        assert orchestrator.svc_reset("thing").config["size"] == 2
    assert caplog.text.count("stored settings were not read") == 1


# Secrets


@pytest.mark.parametrize(
    "change",
    [
        {"password": "hunter22"},
        {"nested": {"api_key": "hunter22"}},
        {"servers": [{"token": "hunter22"}]},
        {"url": "redis://me:hunter22@host"},
        {"servers": ["redis://me:hunter22@host"]},
    ],
)
def test_a_secret_is_refused_and_not_shown(change: dict[str, Any], replicas: Replicas) -> None:
    with pytest.raises(ConfigError, match="secrets are not stored") as refused:
        replicas().svc_config_set("thing", change)
    assert "hunter22" not in str(refused.value)
    assert "$env" in str(refused.value)
    assert replicas.globs() == []


def test_a_secret_is_referred_to_in_the_environment(replicas: Replicas) -> None:
    replicas.environ["THING_PASSWORD"] = "hunter22"
    replicas().svc_config_set("thing", {"password": {"$env": "THING_PASSWORD"}})
    assert replicas().svc("thing").config["password"] == "hunter22"
    kept = MemoryHook(replicas.store).get_glob(replicas.globs()[-1])
    assert "hunter22" not in str(kept)


# Manifests


DONE = ProvisionResult(True, "done")


class Provisioner:
    """Notes the manifests that it is given, and what it says of each is told by a test."""

    def __init__(self, result: ProvisionResult | None = DONE) -> None:
        self.result = result
        self.given: list[Any] = []

    @hookimpl
    def jsorc_provision(self, manifest: Any) -> ProvisionResult | None:
        self.given.append(manifest)
        return self.result


def with_manifest(replicas: Replicas, provisioner: Provisioner | None = None, **options: Any) -> Orchestrator:
    orchestrator = replicas(**options)
    orchestrator.service("thing", config="THING_CONFIG", manifest="THING_MANIFEST")(recorded())
    orchestrator.configure(THING_MANIFEST={"kind": "List", "registered": True})
    if provisioner is not None:
        orchestrator.listen(provisioner)
    return orchestrator


@pytest.mark.parametrize("manifest", [{"kind": "Deployment"}, "kind: Deployment\n---\nkind: Service"])
def test_a_manifest_that_is_kept_takes_the_place_of_the_registered_one(
    manifest: Any, replicas: Replicas
) -> None:
    provisioner = Provisioner()
    orchestrator = with_manifest(replicas, provisioner)
    result = orchestrator.provision(orchestrator.svc("thing"), manifest, keep=True)
    assert result == provisioner.result
    assert provisioner.given == [manifest]
    assert orchestrator.svc_reset("thing").manifest == manifest
    assert with_manifest(replicas).svc("thing").manifest == manifest
    orchestrator.svc_config_set("thing", {"size": 2})
    assert orchestrator.svc("thing").manifest == manifest
    assert orchestrator.svc_manifest_unset("thing").revision == 3
    assert orchestrator.svc_reset("thing").manifest == {"kind": "List", "registered": True}
    assert orchestrator.svc("thing").config["size"] == 2


def test_a_manifest_is_not_kept_unless_it_is_asked_for_and_provided(replicas: Replicas) -> None:
    orchestrator = with_manifest(replicas, Provisioner())
    orchestrator.provision(orchestrator.svc("thing"), {"kind": "Pod"})
    for result in (None, ProvisionResult(False, "no room")):
        other = with_manifest(replicas, Provisioner(result))
        assert other.provision(other.svc("thing"), {"kind": "Pod"}, keep=True) == result
    assert replicas.globs() == []


def test_a_reference_in_a_manifest_that_is_kept_stays_one(replicas: Replicas) -> None:
    replicas.environ["SIZE"] = "3Gi"
    provisioner = Provisioner()
    orchestrator = with_manifest(replicas, provisioner)
    orchestrator.provision(orchestrator.svc("thing"), {"storage": {"$env": "SIZE"}}, keep=True)
    assert provisioner.given == [{"storage": "3Gi"}]
    kept = MemoryHook(replicas.store).get_glob(replicas.globs()[-1])
    assert kept["values"] == {"THING_MANIFEST": {"storage": {"$env": "SIZE"}}}


def test_a_manifest_is_kept_though_what_is_stored_is_ignored(replicas: Replicas) -> None:
    replicas.environ["JSORC_IGNORE_STORED"] = "1"
    provisioner = Provisioner()
    orchestrator = with_manifest(replicas, provisioner)
    orchestrator.provision(orchestrator.svc("thing"), {"kind": "Pod"}, keep=True)
    assert provisioner.given == [{"kind": "Pod"}]
    assert len(replicas.globs()) == 1


def test_a_manifest_with_a_secret_is_neither_provisioned_nor_kept(replicas: Replicas) -> None:
    provisioner = Provisioner()
    orchestrator = with_manifest(replicas, provisioner)
    with pytest.raises(ConfigError, match="secretKeyRef") as refused:
        orchestrator.provision(orchestrator.svc("thing"), {"env": {"password": "hunter22"}}, keep=True)
    assert "hunter22" not in str(refused.value)
    assert provisioner.given == replicas.globs() == []


def test_what_has_no_place_for_a_manifest_cannot_keep_one(replicas: Replicas) -> None:
    orchestrator = replicas()
    with pytest.raises(ConfigError, match="no manifest setting"):
        orchestrator.provision(orchestrator.svc("thing"), {}, keep=True)
    with pytest.raises(ConfigError, match="for which"):
        orchestrator.provision(None, {}, keep=True)
    needed = with_manifest(replicas, needs=["thing"])
    with pytest.raises(ConfigError, match="JSORC_THING_MANIFEST"):
        needed.provision(needed.svc("thing"), {}, keep=True)
    with pytest.raises(ConfigError, match="JSORC_THING_MANIFEST"):
        needed.svc_manifest_unset("thing")


# The bootstrap


def test_a_service_that_the_hook_needs_is_not_stored(replicas: Replicas) -> None:
    orchestrator = replicas(needs=["thing"])
    with pytest.raises(ConfigError, match=r"jsorc\.toml.*JSORC_THING_CONFIG__"):
        orchestrator.svc_config_set("thing", {"size": 2})


class Asking(MemoryHook):
    """A hook that asks for a service at each read of a global."""

    ask: Callable[[], object]
    answers: list[Any]

    def list_glob(self, prefix: str = "") -> list[str]:
        service = type(self).ask()
        self.answers.append(service)
        service.poke()  # type: ignore[attr-defined]
        return super().list_glob(prefix)


def asking(proxy: bool, needs: list[str]) -> tuple[Orchestrator, type[Asking], type[Recorded]]:
    cls = recorded()
    orchestrator = Orchestrator(discover=False, environ={})
    hook = type("Hook", (Asking,), {"answers": [], "ask": staticmethod(lambda: orchestrator.svc("thing"))})
    orchestrator.repository("hook", needs=needs)(hook)
    orchestrator.service("thing", config="THING_CONFIG", proxy=proxy)(cls)
    orchestrator.configure(THING_CONFIG={"automated": True})
    return orchestrator, hook, cls


def test_a_stand_in_takes_the_place_of_the_service_that_is_being_started() -> None:
    orchestrator, hook, cls = asking(proxy=True, needs=[])
    service = orchestrator.svc("thing")
    assert service.is_running()
    assert cls.journal.count("run") == 1
    assert len(hook.answers) == 1
    assert hook.answers[0] is not service
    with pytest.raises(ServiceUnavailable, match="stored settings are read without it"):
        hook.answers[0].poke()
    # Now that it runs, the hook gets it.
    assert orchestrator.svc_config_set("thing", {"size": 2}).revision == 1
    assert hook.answers[1] is service
    orchestrator.stop()


def test_without_a_stand_in_the_circle_is_noticed_and_the_service_starts_with_what_is_known() -> None:
    orchestrator, hook, cls = asking(proxy=False, needs=[])
    starting = Call(lambda: orchestrator.svc("thing"), name="start")
    assert starting.wait(4)  # it does not wait for the deadline of the read
    assert starting.result().is_running()
    assert hook.answers == []
    assert cls.journal.count("run") == 1
    orchestrator.stop()


def test_what_the_hook_needs_is_started_before_what_is_stored_is_read() -> None:
    orchestrator, hook, cls = asking(proxy=True, needs=["thing"])
    orchestrator.start()
    assert cls.journal.count("run") == 1
    assert hook.answers
    assert all(answer is orchestrator.svc("thing") for answer in hook.answers)
    orchestrator.stop()


def test_a_hook_that_hangs_is_given_up_and_the_service_starts(clock: FakeClock) -> None:
    gate, reading = threading.Event(), threading.Event()

    class Hanging(MemoryHook):
        def list_glob(self, prefix: str = "") -> list[str]:
            reading.set()
            gate.wait(LONG)
            return super().list_glob(prefix)

    orchestrator = Orchestrator(discover=False, environ={}, clock=clock)
    orchestrator.repository("hook")(Hanging)
    orchestrator.service("thing", config="THING_CONFIG")(recorded())
    starting = Call(lambda: orchestrator.svc("thing"), name="start")
    assert reading.wait(LONG)
    await_deadline(clock, 5)
    clock.advance(5)
    assert starting.wait(LONG)
    assert starting.result().is_running()
    gate.set()
    orchestrator.stop()
