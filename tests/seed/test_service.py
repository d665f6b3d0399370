"""The feature source, "Service"."""

from __future__ import annotations

import pytest

from tests.seed.programs import run
from tests.servers import RedisServer

DECLARATION = """
from jsorc import JsOrc

@JsOrc.service(
    # name of the service
    name="redis",

    # service config
    config="REDIS_CONFIG",

    # nullable
    # used for regeneration and spawning kube
    # from JsOrcSettings as default then db/redis later on
    manifest="REDIS_MANIFEST",

    # when you have multiple version of the class and have the same name
    # highest value will be used
    priority=0, # defaults to zero

    # allow to use proxy (Fake not running service) when trying to build a hook
    # this is to avoid error on startup since django are not yet fully initialized
    proxy=True,
)
class RedisService(JsOrc.CommonService):
    # your implementation
    ...
"""

RUN = """
from jsorc import JsOrc
from redis import Redis

@JsOrc.service(name="redis", config="REDIS_CONFIG")
class RedisService(JsOrc.CommonService):
    # redis_svc.py
    def run(self):
        self.app = Redis(**self.config, decode_responses=True)
        self.app.ping()
"""

CELERY = """
import threading
from jsorc import JsOrc

leave, entered = threading.Event(), []

class Blocking:
    def __init__(self, name):
        self.name = name

    def start(self):
        entered.append(self.name)
        both.release()
        while True:
            leave.wait(0.01)

    run = start

class Celery:
    def Worker(self, quiet):
        return Blocking(f"worker {quiet}")

    def Beat(self, socket_timeout, quiet):
        return Blocking(f"beat {quiet}")

both = threading.Semaphore(0)

def daemons():
    return sorted(t.name for t in threading.enumerate() if t.name in ("task worker", "task scheduler"))

@JsOrc.service(name="task", config="TASK_CONFIG")
class TaskService(JsOrc.CommonService):
    def run(self):
        self.app = Celery()

    # task_svc.py
    def post_run(self):
        self.spawn_daemon(
            worker=self.app.Worker(quiet=self.quiet).start,
            scheduler=self.app.Beat(socket_timeout=None, quiet=self.quiet).run,
        ) # spawn some threads for Celery worker and scheduler
        assert both.acquire(timeout=30) and both.acquire(timeout=30)
        if self.config.get("broken"):
            raise RuntimeError("broken after the daemons began")

    # task_svc.py
    def failed(self):
        super().failed()
        self.terminate_daemon("worker", "scheduler") # close some thread when error occurs (task.py example)

    # task_svc.py
    def on_delete(self): # will be trigger once garbage collected
        self.terminate_daemon("worker", "scheduler")
"""

RECORDING = """
from jsorc import JsOrc, ServiceState

steps = []

@JsOrc.service(name="thing", config="THING_CONFIG")
class Thing(JsOrc.CommonService):
    def run(self):
        steps.append(("run", self.state))
        if self.config.get("broken"):
            raise LookupError("cannot run")
        self.app = "app"

    def post_run(self):
        steps.append(("post_run", self.state))

    def failed(self):
        steps.append(("failed", self.state))
"""


def test_features_lazy_loading() -> None:
    """It is initialized when it is needed, unless its config says automated."""
    run(
        """
        from jsorc import JsOrc

        made = []

        class Base(JsOrc.CommonService):
            def run(self):
                made.append(self.name)
                self.app = "app"

        JsOrc.service(name="lazy")(type("Lazy", (Base,), {}))
        JsOrc.service(name="eager", config="EAGER_CONFIG")(type("Eager", (Base,), {}))
        JsOrc.configure(EAGER_CONFIG={"automated": True})
        JsOrc.start()
        assert made == ["eager"]
        JsOrc.svc("lazy")
        assert made == ["eager", "lazy"]
        JsOrc.stop()
        """
    )


def test_features_automation() -> None:
    """What is enabled and failed is included in the regeneration; what is not enabled is not."""
    run(
        """
        import threading
        from jsorc import JsOrc

        made, running = [], threading.Event()

        class Base(JsOrc.CommonService):
            def run(self):
                made.append(self.name)
                if made.count(self.name) == 1:
                    raise ConnectionError
                self.app = "app"

            def post_run(self):
                running.set()

        for name, enabled in (("one", True), ("two", False)):
            JsOrc.service(name=name, config=f"{name.upper()}_CONFIG")(type(name, (Base,), {}))
            JsOrc.configure(**{f"{name.upper()}_CONFIG": {"automated": True, "enabled": enabled}})
        JsOrc.start()
        assert running.wait(30)
        assert made == ["one", "one"], made
        assert JsOrc.svc("one").is_running()
        JsOrc.stop()
        """
    )


def test_prerequisite() -> None:
    """The class is decorated as a service and extends JsOrc.CommonService."""
    run(
        """
        from jsorc import JsOrc, RegistrationError

        try:
            @JsOrc.service(name="redis")
            class RedisService:
                pass
        except RegistrationError as error:
            assert "CommonService" in str(error)
        else:
            raise AssertionError("a class that is no service was accepted")
        """
    )


def test_syntax_declaration() -> None:
    run(
        DECLARATION,
        """
        JsOrc.configure(REDIS_CONFIG={"port": 1}, REDIS_MANIFEST={"Service": {}})
        redis = JsOrc.svc("redis")
        assert type(redis) is RedisService
        assert (redis.name, redis.config, redis.manifest) == ("redis", {"port": 1}, {"Service": {}})

        @JsOrc.service(name="redis", config="REDIS_CONFIG", priority=1)
        class Better(RedisService):
            def run(self):
                self.app = "better"

        assert type(JsOrc.svc_reset("redis")) is Better, "the highest value is used"
        """,
    )


def test_syntax_declaration_proxy() -> None:
    """While a hook is built in order to start the service, a fake that is not running takes its place."""
    run(
        DECLARATION.replace("    ...", "    def run(self):\n        self.app = 'app'"),
        """
        given = []

        @JsOrc.repository(name="hook", priority=9)
        class Hook:
            persistent = True

            def __init__(self):
                redis = JsOrc.svc("redis")
                given.append((type(redis) is RedisService, redis.is_running()))

            def get_glob(self, name, default=None):
                return default

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

        redis = JsOrc.svc("redis")
        assert redis.is_running(), redis.error
        assert given and set(given) == {(False, False)}, given
        given.clear()
        JsOrc.src("hook")
        assert given == [(True, True)]
        """,
    )


def test_syntax_accessing() -> None:
    run(
        DECLARATION.replace("    ...", "    def run(self):\n        self.app = 'app'"),
        """
        from jsorc import JsOrc

        def any_method():
            redis = JsOrc.svc("redis")
            return redis

        assert type(any_method()) is RedisService
        assert any_method() is any_method()
        """,
    )


def test_common_attributes() -> None:
    run(
        RECORDING,
        """
        JsOrc.configure(THING_CONFIG={"automated": True, "quiet": True, "own": 1})
        thing = JsOrc.svc("thing")
        assert thing.app == "app"
        assert thing.enabled is True
        assert thing.automated is True
        assert thing.quiet is True
        assert thing.state == ServiceState.RUNNING == "RUNNING"
        assert thing.config == {"own": 1}

        # The service can be available but not enabled.
        JsOrc.configure(THING_CONFIG={"enabled": False})
        thing = JsOrc.svc_reset("thing")
        assert (thing.enabled, thing.app, thing.state) == (False, None, "NOT_STARTED")
        """,
    )


def test_common_methods_poke() -> None:
    run(
        RECORDING,
        """
        from jsorc import ServiceUnavailable

        thing = JsOrc.svc("thing")
        assert JsOrc.svc("thing").poke() == "app"
        assert JsOrc.svc("thing").poke(str) == "app"
        assert JsOrc.svc("thing").poke(Thing) is thing, "the service itself when cast to its class"

        JsOrc.configure(THING_CONFIG={"broken": True})
        JsOrc.svc_reset("thing")
        for msg, says in ((None, "cannot run"), ("no thing today", "no thing today")):
            try:
                JsOrc.svc("thing").poke(msg=msg)
            except ServiceUnavailable as error:
                assert says in str(error)
            else:
                raise AssertionError
        """,
    )


def test_common_methods_states() -> None:
    run(
        RECORDING,
        """
        thing = Thing({}, {})
        assert (thing.is_ready(), thing.is_running(), thing.has_failed()) == (True, False, False)
        thing.start()
        assert (thing.is_ready(), thing.is_running(), thing.has_failed()) == (False, True, False)
        failing = Thing({"broken": True}, {})
        failing.start()
        assert (failing.is_ready(), failing.is_running(), failing.has_failed()) == (False, False, True)
        """,
    )


def test_common_methods_daemons() -> None:
    run(
        """
        import threading
        from jsorc import JsOrc

        began, ended, stopped = threading.Event(), threading.Event(), threading.Event()

        class Service(JsOrc.CommonService):
            def run(self):
                self.app = "app"
                self.spawn_daemon(jsorc=self.interval_check)
                self.spawn_daemon(other_daemon_name=self.until_told)

            def interval_check(self):
                began.set()
                try:
                    while True:
                        threading.Event().wait(0.01)
                finally:
                    ended.set()

            def until_told(self, stop):
                stop.wait(30)
                stopped.set()

        service = Service({}).start()
        assert service.is_running(), service.error
        assert began.wait(30)
        assert service.terminate_daemon("jsorc", "other_daemon_name") == []
        assert ended.is_set() and stopped.is_set()
        """
    )


def test_life_cycle_init() -> None:
    run(
        """
        from jsorc import JsOrc

        class Service(JsOrc.CommonService):
            def __init__(self, config: dict, manifest: dict):
                super().__init__(config, manifest) # run CommonService init
                # ... your other code here ...
                self.more = 1

        service = Service({"a": 1}, {"b": 2})
        assert service.state == "NOT_STARTED"
        assert (service.config, service.manifest, service.more) == ({"a": 1}, {"b": 2}, 1)
        """
    )


def test_life_cycle_run() -> None:
    """Ignored unless enabled and NOT_STARTED; STARTED before it; RUNNING after it, or FAILED."""
    run(
        RECORDING,
        """
        disabled = Thing({"enabled": False}, {})
        disabled.start()
        assert (steps, disabled.state) == ([], "NOT_STARTED")

        thing = Thing({}, {})
        thing.start()
        thing.start()
        assert steps == [("run", "STARTED"), ("post_run", "RUNNING")], "run is ignored when not NOT_STARTED"

        steps.clear()
        failing = Thing({"broken": True}, {})
        failing.start()
        failing.start()
        assert steps == [("run", "STARTED"), ("failed", "FAILED")]
        assert (failing.state, str(failing.error)) == ("FAILED", "cannot run")
        """,
    )


def test_life_cycle_run_with_redis(redis_server: RedisServer) -> None:
    pytest.importorskip("redis")
    run(
        RUN,
        f"""
        JsOrc.configure(REDIS_CONFIG={{"host": "{redis_server.host}", "port": {redis_server.port}}})
        redis = JsOrc.svc("redis")
        assert redis.is_running(), redis.error
        redis.poke(Redis).set("key", "value")
        assert redis.poke().get("key") == "value"
        """,
    )


def test_life_cycle_run_without_redis(free_port: int) -> None:
    pytest.importorskip("redis")
    run(
        RUN,
        f"""
        JsOrc.configure(REDIS_CONFIG={{"host": "127.0.0.1", "port": {free_port}}})
        redis = JsOrc.svc("redis")
        assert redis.has_failed()
        assert "{free_port}" in str(redis.error)
        """,
    )


def test_life_cycle_post_run() -> None:
    run(
        CELERY,
        """
        JsOrc.configure(TASK_CONFIG={"quiet": True})
        task = JsOrc.svc("task")
        assert task.is_running(), task.error
        assert sorted(entered) == ["beat True", "worker True"]
        assert daemons() == ["task scheduler", "task worker"]
        """,
    )


def test_life_cycle_failed() -> None:
    run(
        CELERY,
        """
        JsOrc.configure(TASK_CONFIG={"broken": True})
        task = JsOrc.svc("task")
        assert task.has_failed()
        assert len(entered) == 2
        assert daemons() == []
        """,
    )


def test_life_cycle_on_delete() -> None:
    """It is triggered by a reset."""
    run(
        CELERY,
        """
        first = JsOrc.svc("task")
        assert first.is_running(), first.error
        before = {t for t in threading.enumerate() if t.name.startswith("task ")}
        second = JsOrc.svc_reset("task")
        assert second is not first and second.is_running()
        assert not any(t.is_alive() for t in before)
        assert daemons() == ["task scheduler", "task worker"]
        JsOrc.stop()
        assert daemons() == []
        """,
    )
