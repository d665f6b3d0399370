"""The feature source, "Repository", "Context" and "Additional Feature"."""

from __future__ import annotations

from tests.seed.programs import run

REPOSITORY = """
from jsorc import JsOrc

@JsOrc.repository(
    name="hook",
    priority=0
)
class MemoryHook():
    # your implementation
    ...

@JsOrc.repository(
    name="hook",
    priority=1
)
class RedisHook():
    # your implementation
    ...

@JsOrc.repository(
    name="hook",
    priority=2
)
class OrmHook():
    # your implementation
    ...
"""

CONTEXT = """
from jsorc import JsOrc

@JsOrc.context(
    name="master",
    priority=0
)
class Master():
    # your implementation
    ...

@JsOrc.context(
    name="master",
    priority=1
)
class Master2():
    # your implementation
    ...

@JsOrc.context(
    name="master",
    priority=2
)
class Master3():
    # your implementation
    ...
"""

SERVICES = """
class Service(JsOrc.CommonService):
    def run(self):
        self.app = self.name

JsOrc.service(name="mail")(type("MailService", (Service,), {}))
JsOrc.service(name="task")(type("TaskService", (Service,), {}))
"""


def test_repository_features() -> None:
    """The highest priority is given, though the code that asks was written before it was there."""
    run(
        """
        from jsorc import JsOrc, MemoryHook

        def written_in_core():
            return JsOrc.src("hook"), JsOrc.hook()

        assert {type(hook) for hook in written_in_core()} == {MemoryHook}

        @JsOrc.repository(name="hook", priority=1)
        class RedisHook:
            pass

        assert {type(hook) for hook in written_in_core()} == {RedisHook}

        @JsOrc.repository(name="hook", priority=2)
        class OrmHook:
            pass

        assert {type(hook) for hook in written_in_core()} == {OrmHook}
        assert type(JsOrc.src("hook", OrmHook)) is OrmHook
        """
    )


def test_repository_syntax_declaration() -> None:
    run(
        REPOSITORY,
        """
        rows = JsOrc.explain("hook")
        assert [row.target for row in rows[:3]] == [
            "__main__:OrmHook", "__main__:RedisHook", "__main__:MemoryHook"
        ]
        """,
    )


def test_repository_syntax_accessing() -> None:
    run(
        REPOSITORY,
        """
        from jsorc import JsOrc

        def anywhere_any_method():
            hook = JsOrc.src("hook") # or JsOrc.hook()
            hook # == OrmHook instance as long as it's class is loaded
            return hook

        assert type(anywhere_any_method()) is OrmHook
        assert type(JsOrc.hook()) is OrmHook
        assert anywhere_any_method() is not anywhere_any_method()
        """,
    )


def test_context_features() -> None:
    """There is no restriction on the class."""
    run(
        """
        from jsorc import JsOrc
        from dataclasses import dataclass

        @JsOrc.context(name="point")
        @dataclass(frozen=True)
        class Point:
            x: int = 0

        JsOrc.context(name="numbers")(dict)
        assert JsOrc.ctx("point", Point, 3) == Point(3)
        assert JsOrc.ctx("point", None, x=4) == Point(4)
        assert JsOrc.ctx("numbers", None, one=1) == {"one": 1}
        """
    )


def test_context_syntax_declaration() -> None:
    run(
        CONTEXT,
        """
        assert [row.target for row in JsOrc.explain("master")[:3]] == [
            "__main__:Master3", "__main__:Master2", "__main__:Master"
        ]
        """,
    )


def test_context_syntax_accessing() -> None:
    run(
        CONTEXT,
        """
        from jsorc import JsOrc

        def anywhere_any_method():
            master1 = JsOrc.ctx("master") # always new instance
            master1 # == Master3 instance as long as it's class is loaded
            assert type(master1) is Master3

            master2 = JsOrc.get("master") # will use persisting instance
            assert type(master2) is Master3
            assert master1 != master2 # True
            assert master2 == JsOrc.get("master") # True
            assert JsOrc.destroy("master") is True # destroy persisting instance
            assert JsOrc.destroy("master") is False
            renewed = JsOrc.renew("master") # destroy if existing then create another persisting instance
            assert renewed != master2
            assert renewed == JsOrc.get("master")
            assert JsOrc.renew("master") == JsOrc.get("master") != renewed

        anywhere_any_method()
        """,
    )


def test_additional_feature() -> None:
    run(
        REPOSITORY,
        CONTEXT,
        SERVICES,
        """
        from jsorc import JsOrc

        @JsOrc.inject(
            services = [
                "mail", # mail service
                ("task", "task_alias") # task service with alias
            ],
            repositories = [
                "hook", # OrmHook and always new instance
                ("hook", "any_alias") # OrmHook but with alias
            ],
            context = [
                "master", # always new instance
            ]
        )
        def anywhere_any_method(mail, task_alias, hook, any_alias, master):
            # your testing or implementation
            return mail, task_alias, hook, any_alias, master

        mail, task, hook, alias, master = anywhere_any_method()
        assert (mail.poke(), task.poke()) == ("mail", "task")
        assert type(hook) is type(alias) is OrmHook
        assert hook is not alias
        assert type(master) is Master3
        again = anywhere_any_method()
        assert again[0] is mail and again[2] is not hook and again[4] is not master
        """,
    )
