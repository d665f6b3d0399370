"""The service `task`: a Celery application, and the worker and the beat that belong to this process.

Both are child processes. What they do is Celery's; that they run, and answer, is looked after here.
"""

from __future__ import annotations

import os
import sys
import threading
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jsorc import CommonService
from jsorc.daemons import ChildProcess, ProcessSpec
from jsorc.errors import ConfigError, ServiceUnavailable
from jsorc.processes import describe_exit
from jsorc.redaction import mask_text
from jsorc_task.application import Application, celery_settings, inside_celery
from jsorc_task.brief import Brief, settings_for_children
from jsorc_task.config import Config, Endpoints, Role
from jsorc_task.discovery import import_tasks, module_name, modules_of, program_file
from jsorc_task.held import give_back
from jsorc_task.liveness import CanaryProbe
from jsorc_task.sharing import Shared, application_of, redis_endpoint, shared_of

if TYPE_CHECKING:
    from jsorc.provisioning import LocalProcess
    from jsorc_task.schedules import Schedules

__all__ = ["TaskService"]

WORKER, BEAT = "worker", "beat"
_MARGIN = 3.0
"""Seconds of a probe that are not the canary's."""


class TaskService(CommonService[Application]):
    """Celery as a service; `poke()` returns the Celery application itself.

    The started process that holds the lock of the broker runs a worker and a beat beside it; other processes
    only send. See `Config.role`.
    """

    Config = Config
    secret_keys: ClassVar[tuple[str, ...]] = ()
    callable_methods = ("get_by_task_id", "inspect_tasks")

    beat_scheduler: ClassVar[str] = "redbeat.RedBeatScheduler"
    """What `celery beat` gets its schedules from."""

    # On the class: a service whose settings are broken is not initialised, and yet it is asked and closed.
    _endpoints: Endpoints | None = None
    _settings: dict[str, Any] | None = None
    _probe: CanaryProbe | None = None
    _spawned_at: float = 0.0
    _shared_by_hand: Shared | None = None

    # -- the life cycle

    def run(self) -> None:
        """Finds the broker, connects to it once, and imports the modules with tasks.

        Raises:
            ConfigError: `TASK_CONFIG` contradicts itself, or a module that it names is not there.
            ServiceUnavailable: The broker or the result backend cannot be used.
        """
        self._settling = threading.RLock()
        self._check_config()
        self._endpoints = endpoints = self._find_endpoints()
        self._settings = celery_settings(self.config, endpoints, self.beat_scheduler)
        if not inside_celery():
            import_tasks(self.config.get("modules") or ())
        self._connect_once()
        self.app = self._application()

    def post_run(self) -> None:
        """Makes the application the default one, and starts the worker and the beat of this process."""
        app = self._application()
        app.adopt(self._settings or {}, self.config)
        app.on_unavailable = self.report
        app.set_default()
        self._settle()

    def ping(self) -> None:
        """Sees to it that the right processes run, and that the worker answers.

        Raises:
            ServiceUnavailable: A process has ended, the worker is deaf, or the broker is gone.
        """
        self._settle()
        self._look_at_processes()
        probe = self._probe
        if probe is None or self.config.get("pool") == "solo":
            # A solo worker that works cannot answer.
            self._connect_once()
            return
        try:
            probe.ask(self._look_at_processes)
        except ServiceUnavailable:
            if not probe.answered and self._age() < self.config.get("ready_timeout", 60.0):
                self._look_at_processes()
                self._connect_once()
                return
            worker = self.child_processes().get(WORKER)
            if worker is not None:
                worker.kill()  # one that is deaf would not hear a request to end either
            raise

    def failed(self) -> None:
        """Ends the worker and the beat."""
        super().failed()
        self._end_processes()

    def on_delete(self) -> None:
        """Ends the worker and the beat, and gives the lock of the broker up."""
        super().on_delete()
        self._end_processes()
        shared = self._shared()
        if shared.holder is self and self._endpoints is not None:
            shared.holder = None
            self._broker_lock().release()

    def local_process(self) -> LocalProcess | None:
        """How the Redis is run on this machine that is the broker.

        Returns:
            What the service `redis` would start; None when the broker is another.
        """
        if self.config.get("broker_url") or self.orchestrator is None:
            return None
        process: LocalProcess | None = self.orchestrator.svc("redis").local_process()
        return process

    def details(self) -> dict[str, Any]:
        """Facts for `JsOrc.info()`.

        Returns:
            A JSON-like dict: `broker` without credentials, `role`, `tasks`, and for each process of this
            service its process id and whether it has answered.
        """
        if self._endpoints is None:
            return {}
        facts: dict[str, Any] = {"broker": self._endpoints.shown, "role": self._present_role()}
        if self.app is not None:
            facts["tasks"] = sorted(name for name in self.app.tasks if not name.startswith("celery."))
        for name, child in self.child_processes().items():
            if child.poll() is None:
                facts[name] = {"pid": child.pid}
        if WORKER in facts and self._probe is not None:
            facts[WORKER] |= {"node": self._node, "answered": self._probe.answered}
        return facts

    # -- tasks

    def register_tasks(self, *tasks: Any) -> tuple[Any, ...]:
        """Adds tasks while running; a worker of this process is started again, so that it knows them.

        Args:
            tasks: Names of modules, classes of tasks, or tasks.

        Returns:
            The tasks that are registered now on that account.

        Raises:
            ConfigError: There is no such module.
        """
        from jsorc_task.tasks import register

        app = self.poke()
        shared = self._shared()
        known = (len(shared.modules), len(shared.classes))
        registered = register(app, shared, tasks)
        if known != (len(shared.modules), len(shared.classes)) and WORKER in self._running():
            with self._settling:
                self._end_processes({WORKER})
                self._settle()
        return registered

    def add_queue(self, task: Any, *args: Any, **kwargs: Any) -> str:
        """Sends a task.

        Args:
            task: The task, or its name.
            args: Its arguments.
            kwargs: Its named arguments.

        Returns:
            The id, for `get_by_task_id`.

        Raises:
            NotRegistered: No task has the name here. One that only a worker elsewhere knows is sent with
                `poke().send_task`.
            TaskArgumentError: An argument is not JSON.
            BrokerUnavailable: The broker did not take it in time.
        """
        from jsorc_task.tasks import find

        sent: str = find(self.poke(), task).apply_async(args=args, kwargs=kwargs).id
        return sent

    def add_sequence(self, definition: Any, input: Mapping[str, Any] | None = None) -> str:
        """Sends a sequence; as a schedule, it is the task `jsorc_task.sequence`.

        Args:
            definition: A `Sequence`, or JSON-like data in its shape.
            input: What steps refer to as `{{input.…}}`.

        Returns:
            The id, for `get_by_task_id`.

        Raises:
            SequenceError: It is no sequence.
            BrokerUnavailable: The broker did not take it in time.
        """
        from msgspec import to_builtins

        from jsorc_task.sequences import read_sequence

        plain = to_builtins(read_sequence(definition))
        return self.add_queue("jsorc_task.sequence", definition=plain, input=dict(input or {}))

    def get_by_task_id(self, task_id: str, wait: bool = False, timeout: float = 30.0) -> dict[str, Any]:
        """What became of a task.

        Args:
            task_id: What `add_queue` returned, or the `id` of a result of Celery.
            wait: Whether to wait for its end.
            timeout: Seconds to wait at most; what is known then is returned.

        Returns:
            `task_id`, Celery's `status`, `ready`, and `result` or `error` where there is one. A result that
            has expired looks like a task that waits; `detail` says so.

        Raises:
            ServiceUnavailable: The result backend does not answer.
        """
        from jsorc_task.tasks import describe

        return describe(
            self.poke(), task_id, timeout if wait else None, self.config.get("result_expires", 86400)
        )

    def inspect_tasks(self, timeout: float = 1.0) -> dict[str, dict[str, Any]]:
        """What the workers of this broker are at.

        Args:
            timeout: Seconds in which they must answer.

        Returns:
            Under `scheduled`, `active` and `reserved`, the tasks of each worker by its name.

        Raises:
            ServiceUnavailable: The broker does not answer.
        """
        from jsorc_task.tasks import inspect

        return inspect(self.poke(), timeout)

    # -- schedules

    @property
    def schedules(self) -> Schedules:
        """The schedules that beat goes by: add, list, get, delete, enable and disable them.

        Raises:
            ServiceUnavailable: The service is not running.
            ConfigError: There is no Redis to keep them in.
        """
        return self.open_schedules()

    def can_beat(self) -> bool:
        """Whether a beat could run here, with `beat_scheduler`.

        Raises:
            ConfigError: It could, but for something that is to be mended.
        """
        return self._endpoints is not None and self._endpoints.schedules is not None

    def open_schedules(self) -> Schedules:
        """The schedules of `beat_scheduler`; a service that has another one overrides all three."""
        from jsorc_task.redbeat_schedules import RedBeatSchedules

        endpoints = self._endpoints
        if endpoints is None or endpoints.schedules is None:
            self.poke()
            raise ConfigError(
                "Schedules are kept in a Redis, and neither the broker nor the results are on one: set "
                "TASK_CONFIG.schedule_url."
            )
        return RedBeatSchedules(self.poke(), endpoints.schedules)

    # -- where the broker is

    def _find_endpoints(self) -> Endpoints:
        redis = None
        if not self.config.get("broker_url"):
            if self.orchestrator is None:
                raise ConfigError("Without an orchestrator there is no service `redis`: set broker_url.")
            service = self.orchestrator.svc("redis")
            service.poke()
            redis = redis_endpoint(service.config)
        return Endpoints.of(self.config, redis)

    def _connect_once(self) -> None:
        """Connects to broker and results, and lets go again."""
        from jsorc_task.connecting import try_connection

        assert self._endpoints is not None
        assert self._settings is not None
        options = self._settings["broker_transport_options"]
        try_connection(
            self._endpoints.broker, options, "The broker", "CELERY_BROKER_URL (TASK_CONFIG.broker_url)"
        )
        if self._endpoints.results != self._endpoints.broker and self._endpoints.results.startswith("redis"):
            setting = "CELERY_RESULT_BACKEND (TASK_CONFIG.result_backend)"
            try_connection(self._endpoints.results, options, "The result backend", setting)

    def _check_config(self) -> None:
        from jsorc_task.guarded_http import check_lists

        check_lists(self.config.get("sequence") or {})
        canary = self.config.get("canary_timeout", 5.0)
        if "canary_timeout" in self.config and self.policy.ping_timeout < canary + _MARGIN:
            raise ConfigError(
                f"TASK_CONFIG.ping_timeout is {self.policy.ping_timeout:g} s; a probe waits canary_timeout, "
                f"{canary:g} s, for the canary task, so make it {canary + _MARGIN:g} s at least."
            )

    # -- which processes run

    def _settle(self) -> None:
        """Starts what this process should run and does not, and ends what it should not."""
        with self._settling:
            role = self._role()
            wanted = {WORKER} if role in ("worker", "all") else set()
            if role in ("beat", "all") and self.can_beat() and self._leads():
                wanted.add(BEAT)
            children = self.child_processes()
            running = self._running()
            self._end_processes(running - wanted)
            # One that has ended stays, so that the probe sees it; a fresh instance starts it again.
            for name in sorted(wanted - children.keys(), reverse=True):  # the worker first: tasks may wait
                self._spawn(name)

    def _role(self) -> Role:
        if inside_celery():
            return "client"
        configured: Role | None = self.config.get("role")
        if configured is not None:
            return configured
        if self.orchestrator is None or not self.orchestrator._started:
            return "client"
        if not self._broker_lock().acquire(self._endpoints.shown if self._endpoints is not None else ""):
            return "client"
        self._shared().holder = self
        return "all"

    def _present_role(self) -> Role:
        configured: Role | None = self.config.get("role")
        if inside_celery() or configured is not None:
            return "client" if inside_celery() or configured is None else configured
        return "all" if self._shared().holder is self else "client"

    def _leads(self) -> bool:
        if self.orchestrator is None:
            return True
        answers = self.orchestrator.call_plugins("jsorc_is_leader")
        return bool(next((answer for answer in answers if answer is not None), True))

    def _spawn(self, name: str) -> None:
        if name == WORKER:
            self._give_back()
            self._probe = CanaryProbe(
                self._application(),
                self._node,
                self.config.get("queues") or ["celery"],
                self.config.get("canary_timeout", 5.0),
                self.clock,
            )
            self._spawned_at = self.clock.monotonic()
        command = self._worker_command() if name == WORKER else self._beat_command()
        self.spawn_process(**{name: ProcessSpec(command, env=self._variables())})
        child = self.child_processes()[name]
        self.spawn_daemon(**{f"{name}_watch": self._watch(name, child)})

    def _worker_command(self) -> list[str]:
        config = self.config
        command = [
            *self._celery(WORKER),
            *("-n", self._node),
            *("-P", config.get("pool") or "prefork"),
            *("-Q", ",".join(config.get("queues") or ["celery"])),
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
        if config.get("concurrency"):
            command += ["-c", str(config["concurrency"])]
        return command

    def _beat_command(self) -> list[str]:
        return [*self._celery(BEAT), "-S", self.beat_scheduler, "--pidfile="]

    def _celery(self, command: str) -> list[str]:
        level = "WARNING" if self.quiet else "INFO"
        return [sys.executable, "-m", "celery", "-q", "-A", "jsorc_task.app", command, "-l", level]

    def _variables(self) -> dict[str, str]:
        assert self._endpoints is not None
        config = {
            **self.config,
            "broker_url": self._endpoints.broker,
            "result_backend": self._endpoints.results,
        }
        app, shared = self._application(), self._shared()
        modules = [*modules_of(app), *shared.modules, *(self.config.get("modules") or ())]
        program = program_file() if "__main__" in modules else None
        known = dict.fromkeys(module_name(module) for module in modules)
        if program is not None:
            known.pop(module_name("__main__"), None)
        elif known.pop("__main__", "") is None:
            self.log.warning("tasks of a program that has no file cannot run in a worker")
        held = self._held_folder()
        told = Brief(
            modules=list(known),
            classes=shared.classes,
            program=str(program) if program is not None else None,
            config=config,
            held=str(held / f"{os.getpid()}.held") if held is not None else None,
        )
        variables = told.variables()
        if self.orchestrator is not None:
            variables |= settings_for_children(self.orchestrator.settings, config)
        addresses = {
            "CELERY_BROKER_URL": self._endpoints.broker,
            "CELERY_RESULT_BACKEND": self._endpoints.results,
        }
        # Celery reads these before anything else.
        return variables | {name: url for name, url in addresses.items() if name in os.environ}

    def _give_back(self) -> None:
        folder = self._held_folder()
        if folder is None or not folder.is_dir():
            return
        done = give_back(self._application(), folder, acks_late=bool(self.config.get("acks_late", True)))
        if done.again:
            self.log.warning("tasks of a worker that died are in the queue again: %s", ", ".join(done.again))
        if done.lost:
            self.log.error("tasks are lost, since their worker died: %s", ", ".join(done.lost))

    # -- looking after them

    def _running(self) -> set[str]:
        return {name for name, child in self.child_processes().items() if child.poll() is None}

    def _watch(self, name: str, child: ChildProcess) -> Callable[..., None]:
        def watch(stop: threading.Event) -> None:
            child.wait(None)
            if not stop.is_set():
                self.report(_ended(name, child))

        return watch

    def _look_at_processes(self) -> None:
        for name, child in self.child_processes().items():
            if child.poll() is not None:
                raise _ended(name, child)

    def _end_processes(self, names: Collection[str] = (WORKER, BEAT)) -> None:
        if names:
            self.terminate_daemon(*names, *(f"{name}_watch" for name in names))
        if WORKER in names:
            self._probe = None

    def _age(self) -> float:
        return self.clock.monotonic() - self._spawned_at

    @property
    def _node(self) -> str:
        from celery.utils.nodenames import gethostname, nodename

        return str(nodename(f"jsorc-{os.getpid()}", gethostname()))

    # -- what outlives this instance

    def _shared(self) -> Shared:
        if self.orchestrator is not None:
            return shared_of(self.orchestrator)
        self._shared_by_hand = self._shared_by_hand or Shared()
        return self._shared_by_hand

    def _application(self) -> Application:
        if self.orchestrator is not None:
            return application_of(self.orchestrator)
        shared = self._shared()
        shared.app = shared.app or Application(lambda: self._settings or {}, lambda: self.config)
        return shared.app

    def _broker_lock(self) -> Any:
        assert self._endpoints is not None
        return self._shared().lock(Path(self.orchestrator.state_dir) / "locks", self._endpoints.shown)

    def _held_folder(self) -> Path | None:
        if self.orchestrator is None or self._endpoints is None:
            return None
        name = f"{zlib.crc32(self._endpoints.shown.encode()):08x}"
        return Path(self.orchestrator.state_dir) / "task" / name


def _ended(name: str, child: ChildProcess) -> ServiceUnavailable:
    lines = [line for line in child.last_lines() if line.strip()][-5:]
    said = "; its last lines: " + " | ".join(lines) if lines else ""
    return ServiceUnavailable(
        mask_text(f"the {name} (pid {child.pid}) {describe_exit(child.poll() or 0)}{said}")
    )
