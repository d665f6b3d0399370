"""The demo: what `pip install` changes, in fresh environments with a real server; `scripts/demo` runs it.

This script only installs, starts processes and checks what they say; the application is records.py beside it.
It leaves nothing behind, and ends with status 1 and a plain sentence when anything does not hold.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPLICATION = ROOT / "examples" / "records.py"


class DoesNotHoldError(Exception):
    """Something that the demo promises is not so."""


class Demo:
    """One run, in a folder of its own with a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.port = free_port()
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JSORC_", "REDIS_", "PYTHON"))
        }
        self.variables = {
            **inherited,
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "REDIS_PORT": str(self.port),
            # The default of ten seconds would be fine, but the reader waits.
            "JSORC_REDIS_CONFIG__PING_INTERVAL": "2",
        }

    def run(self) -> None:
        """Every step, in order."""
        wheels = self.folder / "wheels"
        with step("build the wheels"):
            for name in ("jsorc-core", "jsorc-redis"):
                command("uv", "build", "--quiet", "--wheel", "--out-dir", str(wheels), str(ROOT / name))
        (core,) = wheels.glob("jsorc_core-*.whl")
        (redis,) = wheels.glob("jsorc_redis-*.whl")

        with step("a fresh environment with jsorc-core alone"):
            command(
                "uv", "venv", "--quiet", "--no-project", "--python", sys.executable, str(self.folder / "venv")
            )
            self.install(str(core))
        self.expect_winner("MemoryHook")

        with step("pip install jsorc-redis[embedded], and nothing else"):
            self.install(f"{redis}[embedded]")
        self.expect_winner("RedisHook")

        print("\n* JsOrc.start() in one process, the work in others", flush=True)
        with self.serving():
            self.tell("load")
            self.tell("verify")
        if answers(self.port):
            raise DoesNotHoldError("the server still answers after JsOrc.stop()")
        say("the server is stopped; nothing answers on its port")

        print("\n* started again, then killed", flush=True)
        with self.serving() as served:
            self.tell("verify")
            os.kill(served.server, signal.SIGKILL)
            say(f"the server (pid {served.server}) is killed with SIGKILL")
            say(f"redis is FAILED, noticed after {served.wait_for('FAILED'):.2f} s")
            say(f"redis is RUNNING again {served.wait_for('RUNNING'):.2f} s later (pid {served.server})")
            self.tell("verify")

    def install(self, *wheels: str) -> None:
        """Install into the environment of this run."""
        constraints = str(ROOT / "constraints.txt")
        options = ["--quiet", "--python", str(self.python), "--constraint", constraints]
        command("uv", "pip", "install", *options, *wheels)

    def expect_winner(self, wanted: str) -> None:
        """Let the application say which store it was given."""
        lines = self.application("who").splitlines()
        say(f'JsOrc.src("hook") is a {lines[-1]}')
        print("\n".join(lines[:-1]), flush=True)
        if lines[-1] != wanted:
            raise DoesNotHoldError(f"the winner should be {wanted}, and is {lines[-1]}")

    def tell(self, what: str) -> None:
        """Run one command of the application, in a process of its own, and show its last word."""
        say(f"{what}: {self.application(what).splitlines()[-1]}")

    def application(self, what: str) -> str:
        """What a command of the application prints."""
        return command(str(self.python), str(APPLICATION), what, variables=self.variables, folder=self.folder)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Served]:
        """The application's supervised process, with a server behind it, for as long as the block."""
        log = self.folder / "serve.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [str(self.python), str(APPLICATION), "serve"],
                env=self.variables,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        try:
            served = Served(process)
            say(f"redis is RUNNING after {served.wait_for('RUNNING'):.2f} s (pid {served.server})")
            yield served
            # The rest is read as well, so that the process never waits for a reader.
            process.communicate(timeout=30)
            if process.returncode != 0:
                raise DoesNotHoldError(f"the supervised process ended with status {process.returncode}")
        except DoesNotHoldError as problem:
            raise DoesNotHoldError(f"{problem}; its log:\n{log.read_text()}") from None
        finally:
            process.kill()
            process.wait()


class Served:
    """The supervised process, as heard through what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.server = 0

    def wait_for(self, state: str, timeout: float = 30) -> float:
        """Seconds until the service reached a state; `server` is then the process id behind it."""
        began = time.perf_counter()
        # Reading has no deadline of its own; an end of the process ends it.
        watchdog = threading.Timer(timeout, self.process.kill)
        watchdog.start()
        try:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                match line.split():
                    case ["redis", "RUNNING", pid]:
                        self.server = int(pid)
                        reached = "RUNNING"
                    case ["redis", reached]:
                        pass
                    case _:
                        continue
                if reached == state:
                    return time.perf_counter() - began
        finally:
            watchdog.cancel()
        raise DoesNotHoldError(f"redis did not become {state} within {timeout:.0f} s")


def command(*arguments: str, variables: dict[str, str] | None = None, folder: Path | None = None) -> str:
    """The output of a program; raises with what it said when it fails."""
    done = subprocess.run(arguments, env=variables, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        raise DoesNotHoldError(f"{' '.join(arguments)}\n{said}")
    return done.stdout


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether anything accepts connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def say(text: str) -> None:
    """One line of the story."""
    print(f"  {text}", flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, and say how long it took."""
    began = time.perf_counter()
    print(f"\n* {title} ", end="", flush=True)
    yield
    print(f"({time.perf_counter() - began:.1f} s)", flush=True)


def main() -> int:
    """Run the demo; 0 when everything holds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="jsorc-demo-") as folder:
        try:
            Demo(Path(folder)).run()
        except DoesNotHoldError as problem:
            print(f"\n\nThe demo failed: {problem}", file=sys.stderr)
            return 1
    print(f"\nEverything holds ({time.perf_counter() - began:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
