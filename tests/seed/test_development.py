"""The feature source, "JsOrc Development": settings, config and regeneration."""

from __future__ import annotations

from tests.seed.programs import run

SERVICE = """
import threading
from jsorc import JsOrc, hookimpl

class Provider:
    provisioned = []

    @hookimpl
    def jsorc_provision(self, service, manifest):
        self.provisioned.append((service and service.name, manifest))
        return self.provide(service)

    @staticmethod
    def provide(service):
        from jsorc import ProvisionResult
        return ProvisionResult(True, "there")
"""


def test_settings() -> None:
    """They hold the default configuration of services, and their manifests."""
    run(
        """
        from jsorc import JsOrc

        JsOrc.configure(MAIL_CONFIG={"host": "localhost"}, MAIL_MANIFEST={"Deployment": {}})
        assert JsOrc.settings["MAIL_CONFIG"] == {"host": "localhost"}
        assert JsOrc.settings["MAIL_MANIFEST"] == {"Deployment": {}}

        @JsOrc.service(name="mail", config="MAIL_CONFIG", manifest="MAIL_MANIFEST")
        class Mail(JsOrc.CommonService):
            def run(self):
                self.app = "app"

        mail = JsOrc.svc("mail")
        assert mail.config == {"host": "localhost"}
        assert mail.manifest == {"Deployment": {}}
        """
    )


def test_config() -> None:
    """JSORC_CONFIG has the interval, and what the initial regeneration starts."""
    run(
        """
        from jsorc import JsOrc

        seed = {
            # this will be the interval for regeneration
            "backoff_interval": 10,

            # preloaded services is included on initial JsOrc regenerate
            "pre_loaded_services": ["kube", "redis", "prome", "mail", "task", "elastic"],
        }
        assert JsOrc.settings["JSORC_CONFIG"].items() >= seed.items()
        JsOrc.start()  # names that nobody registered are no mistake
        JsOrc.stop()
        """
    )


def test_regeneration_when_the_database_is_connected() -> None:
    run(
        SERVICE,
        """
        class Database:
            @hookimpl
            def jsorc_database_ready(self):
                return True

        @JsOrc.service(name="redis")
        class Redis(JsOrc.CommonService):
            def run(self):
                self.app = "app"

        @JsOrc.service(name="unlisted")
        class Unlisted(Redis):
            pass

        provider = Provider()
        JsOrc.listen(provider)
        JsOrc.listen(Database())
        JsOrc.configure(
            DB_REGEN_CONFIG={"enabled": True}, DB_REGEN_MANIFEST={"Deployment": {"name": "jaseci-db"}}
        )
        JsOrc.start()
        assert provider.provisioned == []
        services = JsOrc.info()["services"]
        assert services["redis"]["state"] == "RUNNING", "every preloaded service is loaded"
        assert services["unlisted"]["state"] == "NOT_STARTED"
        JsOrc.stop()
        """,
    )


def test_regeneration_when_the_database_is_not_connected() -> None:
    """It is spawned from its manifest, waited for, and then the process ends, so that it can migrate."""
    run(
        SERVICE,
        """
        class Database:
            answers = [False, False, True]

            @hookimpl
            def jsorc_database_ready(self):
                return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

        @JsOrc.service(name="redis")
        class Redis(JsOrc.CommonService):
            def run(self):
                raise AssertionError("services come after the database")

        provider = Provider()
        JsOrc.listen(provider)
        JsOrc.listen(Database())
        JsOrc.configure(
            DB_REGEN_CONFIG={"enabled": True}, DB_REGEN_MANIFEST={"Deployment": {"name": "jaseci-db"}}
        )
        try:
            JsOrc.start()
        except SystemExit:
            assert provider.provisioned == [(None, {"Deployment": {"name": "jaseci-db"}})]
            assert JsOrc.info()["services"]["redis"]["state"] == "NOT_STARTED"
            raise
        """,
        status=75,
    )


def test_regeneration_provisions_what_failed_and_starts_it_again() -> None:
    run(
        SERVICE,
        """
        there = threading.Event()

        @JsOrc.service(name="redis", config="REDIS_CONFIG", manifest="REDIS_MANIFEST")
        class Redis(JsOrc.CommonService):
            def run(self):
                if not there.is_set():
                    raise ConnectionError("nothing is there")
                self.app = "app"

        provider = Provider()
        provider.provide = lambda service: there.set() or Provider.provide(service)
        JsOrc.listen(provider)
        JsOrc.configure(REDIS_CONFIG={"automated": True}, REDIS_MANIFEST={"Service": {}})
        JsOrc.start()
        assert provider.provisioned == [("redis", {"Service": {}})]
        assert JsOrc.svc("redis").is_running()
        JsOrc.stop()
        """,
    )


def test_interval_regeneration_starts_what_failed_again() -> None:
    run(
        SERVICE,
        """
        attempts, running = [], threading.Event()

        @JsOrc.service(name="redis", config="REDIS_CONFIG")
        class Redis(JsOrc.CommonService):
            def run(self):
                attempts.append(1)
                if len(attempts) < 3:
                    raise ConnectionError("nothing is there")
                self.app = "app"

            def post_run(self):
                running.set()

        JsOrc.configure(JSORC_CONFIG={"backoff_interval": 0.1}, REDIS_CONFIG={"automated": True})
        JsOrc.start()
        assert JsOrc.svc("redis").has_failed(), "one failure is no reason to end"
        assert running.wait(30)
        assert JsOrc.svc("redis").is_running()
        JsOrc.stop()
        """,
    )


def test_a_regeneration_is_ignored_while_the_one_before_is_still_happening() -> None:
    run(
        SERVICE,
        """
        inside, leave = threading.Event(), threading.Event()

        @JsOrc.service(name="redis", config="REDIS_CONFIG")
        class Redis(JsOrc.CommonService):
            def run(self):
                inside.set()
                assert leave.wait(30)
                self.app = "app"

        JsOrc.configure(REDIS_CONFIG={"automated": True})
        answers = []
        first = threading.Thread(target=lambda: answers.append(JsOrc.regenerate()))
        first.start()
        assert inside.wait(30)
        assert JsOrc.regenerate() is False
        leave.set()
        first.join()
        assert answers == [True]
        """,
    )
