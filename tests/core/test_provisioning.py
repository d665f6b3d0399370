"""Local servers shared by real processes: who starts them, who waits, who takes over, and what is said."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsorc.addresses import is_taken
from jsorc.clock import SYSTEM
from jsorc.daemons import Call, Daemons
from jsorc.errors import Closed, ProvisionError
from jsorc.locks import FileLock
from jsorc.provisioning import LocalProcess, LocalProvisioner, OwnedProcess, ProvisionResult
from jsorc.redaction import get_logger
from jsorc.testing.clock import FakeClock

LONG = 30.0
"""Real seconds after which a broken test gives up."""

posix_only = pytest.mark.skipif(not hasattr(os, "killpg"), reason="local servers take Linux or macOS")
pytestmark = posix_only

SERVER = """
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
server = socket.create_server((host, int(port)))
while True:
    client, _ = server.accept()
    client.sendall(b"ready")
    client.close()
"""

APPLICATION = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.core import test_provisioning
test_provisioning.application(Path(sys.argv[2]), sys.argv[3])
"""


def application(folder: Path, address: str) -> None:
    """One of several applications: provisions for each line that it reads and says what became of it."""
    provisioner = LocalProvisioner(folder / "state", SYSTEM, Daemons("application"))
    for _ in sys.stdin:
        try:
            result = provisioner.provision(server(folder, address), LONG).detail
        except ProvisionError as error:
            result = str(error)
        owned = provisioner.owned()
        print(f"{owned[0].pid if owned else 0} {result}", flush=True)
    provisioner.stop(LONG)


def server(folder: Path, address: str, **changes: object) -> LocalProcess:
    facts: dict[str, object] = {
        "name": "echo",
        "argv": (sys.executable, "-c", SERVER, address),
        "address": address,
        "data_dir": folder / "data",
        "ready": lambda: answers(address),
    }
    return LocalProcess(**{**facts, **changes})  # type: ignore[arg-type]


def answers(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=2) as client:
        return client.recv(5) == b"ready"


@pytest.fixture
def address(free_port: int) -> str:
    return f"127.0.0.1:{free_port}"


@pytest.fixture
def daemons() -> Iterator[Daemons]:
    owned = Daemons("local servers", SYSTEM, get_logger("jsorc.tests.provisioning"))
    yield owned
    assert owned.stop(LONG, final=True) == []


@pytest.fixture
def provisioner(tmp_path: Path, daemons: Daemons) -> Iterator[LocalProvisioner]:
    made = LocalProvisioner(tmp_path / "state", SYSTEM, daemons, get_logger("jsorc.tests.provisioning"))
    yield made
    assert made.stop(LONG) == []


class Application:
    """A process that provisions when it is asked to."""

    def __init__(self, folder: Path, address: str) -> None:
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, str(root), str(folder), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> tuple[int, str]:
        assert self.process.stdout is not None
        pid, _, detail = self.process.stdout.readline().strip().partition(" ")
        return int(pid), detail

    def close(self) -> None:
        self.process.communicate(timeout=LONG)


@pytest.fixture
def start_application(tmp_path: Path, address: str) -> Iterator[Callable[[], Application]]:
    started: list[Application] = []

    def start() -> Application:
        started.append(Application(tmp_path, address))
        return started[-1]

    yield start
    for one in started:
        one.close()


# One process


def test_a_server_is_started_and_serves(
    provisioner: LocalProvisioner, tmp_path: Path, address: str, daemons: Daemons
) -> None:
    log_file = tmp_path / "data" / "echo.log"
    result = provisioner.provision(server(tmp_path, address, log_file=log_file), LONG)
    (owned,) = provisioner.owned()
    assert result.provided
    assert result.detail == f"echo (pid {owned.pid}) serves at {address}"
    assert owned == OwnedProcess("echo", owned.pid, address, tmp_path / "data", log_file)
    assert answers(address)
    assert [child.pid for child in daemons.processes().values()] == [owned.pid]


def test_a_server_that_serves_is_not_started_twice(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    first = provisioner.provision(server(tmp_path, address), LONG)
    assert provisioner.provision(server(tmp_path, address), LONG) == first


def test_a_server_that_was_killed_is_started_again_under_the_same_lock(
    provisioner: LocalProvisioner, tmp_path: Path, address: str, daemons: Daemons
) -> None:
    provisioner.provision(server(tmp_path, address), LONG)
    (before,) = provisioner.owned()
    os.kill(before.pid, signal.SIGKILL)
    (child,) = daemons.processes().values()
    assert child.wait(LONG) == -signal.SIGKILL
    assert provisioner.owned() == []
    assert not FileLock(tmp_path / "data" / ".jsorc.lock").acquire()
    assert provisioner.provision(server(tmp_path, address), LONG).provided
    (after,) = provisioner.owned()
    assert after.pid != before.pid
    assert answers(address)


def test_what_is_prepared_is_there_before_the_start_and_under_the_lock(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    script = tmp_path / "data" / "server.py"
    locked: list[bool] = []

    def prepare() -> None:
        locked.append(not FileLock(tmp_path / "data" / ".jsorc.lock").acquire())
        script.write_text(SERVER)

    process = server(tmp_path, address, argv=(sys.executable, str(script), address), prepare=prepare)
    assert provisioner.provision(process, LONG).provided
    assert locked == [True]


def test_a_server_of_a_unix_socket_is_started(
    provisioner: LocalProvisioner, tmp_path: Path, short_folder: Path
) -> None:
    path = str(short_folder / "s")
    script = (
        "import socket, sys, threading; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
        "threading.Event().wait()"
    )
    process = server(tmp_path, path, argv=(sys.executable, "-c", script, path), ready=lambda: is_taken(path))
    assert provisioner.provision(process, LONG).provided
    assert provisioner.owned()[0].address == path


def test_many_threads_get_one_server(
    provisioner: LocalProvisioner, tmp_path: Path, address: str, daemons: Daemons
) -> None:
    calls = [
        Call(lambda: provisioner.provision(server(tmp_path, address), LONG), name=f"asker {number}")
        for number in range(10)
    ]
    assert all(one.wait(LONG) and one.result().provided for one in calls)
    assert len(daemons.processes()) == 1


def test_stop_ends_the_server_and_gives_its_locks_up(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    provisioner.provision(server(tmp_path, address), LONG)
    assert provisioner.stop(LONG) == []
    assert provisioner.owned() == []
    assert not is_taken(address)
    lock = FileLock(tmp_path / "data" / ".jsorc.lock")
    assert lock.acquire()
    assert not lock.inherited
    lock.release()
    with pytest.raises(Closed, match="were stopped"):
        provisioner.provision(server(tmp_path, address), LONG)


def test_stop_ends_a_provision_that_still_waits(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    asked = threading.Event()

    def never() -> bool:
        asked.set()
        return False

    waiting = Call(
        lambda: provisioner.provision(server(tmp_path, address, ready=never), LONG), name="waiting"
    )
    assert asked.wait(LONG)
    assert provisioner.stop(LONG) == []
    assert waiting.wait(LONG)
    with pytest.raises((Closed, ProvisionError)):
        waiting.result()
    assert FileLock(tmp_path / "data" / ".jsorc.lock").acquire()


# What goes wrong


def test_a_taken_port_is_a_clear_error(
    provisioner: LocalProvisioner, tmp_path: Path, address: str, daemons: Daemons
) -> None:
    host, port = address.split(":")
    with socket.create_server((host, int(port))) as other:
        refusing = threading.Thread(target=lambda: other.accept()[0].close(), daemon=True)
        refusing.start()
        with pytest.raises(ProvisionError) as raised:
            provisioner.provision(server(tmp_path, address), LONG)
        refusing.join(LONG)
    assert str(raised.value).startswith(
        f"echo cannot be started: {address} is taken by something that does not answer as echo"
    )
    assert "set another address" in str(raised.value)
    assert daemons.processes() == {}
    assert FileLock(tmp_path / "data" / ".jsorc.lock").acquire()


def test_a_server_that_something_else_started_is_used_and_not_owned(
    provisioner: LocalProvisioner, tmp_path: Path, address: str, daemons: Daemons
) -> None:
    daemons.spawn_process(other=[sys.executable, "-c", SERVER, address])
    while not is_taken(address):
        assert daemons.processes()["other"].wait(0.01) is None
    result = provisioner.provision(server(tmp_path, address), LONG)
    assert result.provided
    assert "started by something else" in result.detail
    assert provisioner.owned() == []
    assert FileLock(tmp_path / "data" / ".jsorc.lock").acquire()


def test_an_early_exit_shows_status_and_the_last_lines_of_output_and_log_without_secrets(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    log_file = tmp_path / "data" / "echo.log"
    log_file.parent.mkdir()
    log_file.write_text("from an earlier life\n")
    script = (
        "import sys; print('cannot read redis://me:pa55word@host'); print('giving up', file=sys.stderr);"
        "open(sys.argv[1], 'a').write('bad directive\\n'); sys.exit(4)"
    )
    process = server(tmp_path, address, argv=(sys.executable, "-c", script, str(log_file)), log_file=log_file)
    with pytest.raises(ProvisionError) as raised:
        provisioner.provision(process, LONG)
    message = str(raised.value)
    assert f"ended with status 4 before it served at {address}, log in {log_file}" in message
    assert "cannot read redis://" in message
    assert "giving up" in message
    assert "bad directive" in message
    assert "earlier life" not in message
    assert "pa55word" not in message
    assert FileLock(tmp_path / "data" / ".jsorc.lock").acquire()


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("write: No space left on device", r"The disk is full: free space for .*data"),
        ("bind: Address already in use", r"is taken: end what listens there, or set another address"),
    ],
)
def test_an_early_exit_for_a_known_reason_says_what_mends_it(
    provisioner: LocalProvisioner, tmp_path: Path, address: str, said: str, mend: str
) -> None:
    process = server(tmp_path, address, argv=("sh", "-c", f"echo '{said}'; exit 1"))
    with pytest.raises(ProvisionError, match=mend):
        provisioner.provision(process, LONG)


def test_a_missing_program_is_a_clear_error(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    with pytest.raises(ProvisionError, match="there is no program 'no-such-server'"):
        provisioner.provision(server(tmp_path, address, argv=("no-such-server",)), LONG)


@pytest.mark.parametrize("wrong", ["6379", "localhost:", "localhost:redis", ":1"])
def test_an_address_that_is_none_is_a_clear_error(
    provisioner: LocalProvisioner, tmp_path: Path, wrong: str
) -> None:
    with pytest.raises(ProvisionError, match="is neither host:port nor the path of a socket"):
        provisioner.provision(server(tmp_path, wrong), LONG)


def test_an_address_of_another_machine_is_a_clear_error(
    provisioner: LocalProvisioner, tmp_path: Path
) -> None:
    with pytest.raises(ProvisionError, match=r"echo cannot be started: .*assign"):
        provisioner.provision(server(tmp_path, "192.0.2.1:6379"), LONG)


def test_a_data_folder_that_cannot_be_made_is_a_clear_error(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ProvisionError, match=r"echo cannot be started: .*file"):
        provisioner.provision(server(tmp_path, address, data_dir=tmp_path / "file" / "data"), LONG)


def test_a_data_folder_in_use_at_another_address_is_a_clear_error(
    provisioner: LocalProvisioner, tmp_path: Path, address: str
) -> None:
    lock = FileLock(tmp_path / "data" / ".jsorc.lock")
    assert lock.acquire("127.0.0.1:1")
    with pytest.raises(
        ProvisionError, match=r"process \d+ runs a server at 127\.0\.0\.1:1 on the data folder"
    ):
        provisioner.provision(server(tmp_path, address), LONG)
    lock.release()
    assert provisioner.provision(server(tmp_path, address), LONG).provided


# Deadlines


def after_the_deadline(clock: FakeClock, waiting: Call[ProvisionResult], asked: threading.Event) -> str:
    assert asked.wait(LONG)
    clock.advance(30)
    assert waiting.wait(LONG)
    with pytest.raises(ProvisionError) as raised:
        waiting.result()
    return str(raised.value)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timed(tmp_path: Path, daemons: Daemons, clock: FakeClock) -> Iterator[LocalProvisioner]:
    made = LocalProvisioner(tmp_path / "state", clock, daemons)
    yield made
    made.stop(LONG)


def test_a_server_that_never_answers_is_left_running_at_the_deadline(
    timed: LocalProvisioner, clock: FakeClock, tmp_path: Path, address: str
) -> None:
    asked = threading.Event()

    def refuses() -> bool:
        asked.set()
        raise ConnectionRefusedError("nobody there")

    process = server(tmp_path, address, argv=("sleep", "600"), ready=refuses)
    message = after_the_deadline(clock, Call(lambda: timed.provision(process, 30), name="waiting"), asked)
    (owned,) = timed.owned()
    assert message.startswith(f"echo (pid {owned.pid}) runs, but does not serve at {address} in time")
    assert "ConnectionRefusedError: nobody there" in message


def test_a_readiness_check_that_hangs_ends_at_the_deadline_and_is_not_asked_again(
    timed: LocalProvisioner, clock: FakeClock, tmp_path: Path, address: str
) -> None:
    asked, release = threading.Event(), threading.Event()
    count: list[int] = []

    def hangs() -> bool:
        count.append(1)
        asked.set()
        return release.wait(LONG)

    process = server(tmp_path, address, argv=("sleep", "600"), ready=hangs)
    waiting = Call(lambda: timed.provision(process, 30), name="waiting")
    assert "does not serve" in after_the_deadline(clock, waiting, asked)
    with pytest.raises(ProvisionError, match="does not serve"):
        timed.provision(process, 0)
    release.set()
    assert count == [1]


def test_a_preparation_that_hangs_ends_at_the_deadline_and_gives_the_locks_up(
    timed: LocalProvisioner, clock: FakeClock, tmp_path: Path, address: str
) -> None:
    release = threading.Event()
    process = server(tmp_path, address, prepare=lambda: release.wait(LONG))
    waiting = Call(lambda: timed.provision(process, 30), name="waiting")
    clock.await_waiters()
    clock.advance(30)
    assert waiting.wait(LONG)
    with pytest.raises(ProvisionError, match="preparing echo did not end within 30 s"):
        waiting.result()
    release.set()
    assert FileLock(tmp_path / "data" / ".jsorc.lock").acquire()


def test_a_lock_held_by_a_process_that_never_serves_is_an_error_at_the_deadline(
    timed: LocalProvisioner, clock: FakeClock, tmp_path: Path, address: str
) -> None:
    asked = threading.Event()

    def refuses() -> bool:
        asked.set()
        return False

    holder = FileLock(tmp_path / "data" / ".jsorc.lock")
    assert holder.acquire(address)
    process = server(tmp_path, address, ready=refuses)
    message = after_the_deadline(clock, Call(lambda: timed.provision(process, 30), name="waiting"), asked)
    assert f"process {os.getpid()} has its lock, but nothing answers there in time" in message
    holder.release()


def test_the_server_of_a_killed_owner_is_given_time_to_be_gone(
    timed: LocalProvisioner, tmp_path: Path, address: str, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = LocalProvisioner(tmp_path / "state", SYSTEM, daemons)
    before.provision(server(tmp_path, address), LONG)
    before.stop(LONG)
    for lock in (tmp_path / "state").iterdir():
        lock.write_text("12345\n")  # as an owner leaves it that could not release it
    noticed = threading.Event()

    def notice(wanted: str) -> bool:
        if taken := is_taken(wanted):
            noticed.set()
        return taken

    monkeypatch.setattr("jsorc.provisioning.is_taken", notice)
    host, port = address.split(":")
    with socket.create_server((host, int(port))):
        heir = Call(lambda: timed.provision(server(tmp_path, address), LONG), name="heir")
        assert noticed.wait(LONG)
        assert not heir.wait(0)
    assert heir.wait(LONG)
    assert heir.result().detail == f"echo (pid {timed.owned()[0].pid}) serves at {address}"


# Several processes


def test_of_two_processes_one_starts_the_server_and_the_other_shares_it(
    start_application: Callable[[], Application],
) -> None:
    applications = [start_application(), start_application()]
    for one in applications:
        one.ask()
    replies = [one.answer() for one in applications]
    owners = [one for one, (pid, _) in zip(applications, replies, strict=True) if pid]
    shares = [detail for pid, detail in replies if not pid]
    assert len(owners) == 1
    assert shares[0].endswith(f"is shared with process {owners[0].process.pid}")


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_when_the_owner_is_killed_another_takes_the_lock_and_starts_the_server_again(
    start_application: Callable[[], Application], address: str
) -> None:
    owner = start_application()
    owner.ask()
    first, _ = owner.answer()
    other = start_application()
    other.ask()
    assert other.answer()[0] == 0
    server_end = os.pidfd_open(first)
    owner.process.kill()
    owner.process.wait(LONG)  # until then it holds its lock, and its server may still answer
    other.ask()
    second, detail = other.answer()
    assert second not in (0, first), detail
    assert select.select([server_end], [], [], LONG)[0]
    os.close(server_end)
    assert answers(address)


def test_a_server_given_up_in_order_is_started_by_another(
    start_application: Callable[[], Application], address: str
) -> None:
    owner, other = start_application(), start_application()
    owner.ask()
    first, _ = owner.answer()
    owner.close()
    assert not is_taken(address)
    other.ask()
    assert other.answer()[0] not in (0, first)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_lets_go_of_server_and_locks_without_touching_them(
    provisioner: LocalProvisioner, daemons: Daemons, tmp_path: Path, address: str
) -> None:
    provisioner.provision(server(tmp_path, address), LONG)
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(LONG))
        code = 1
        try:
            daemons.forget()
            provisioner.forget()
            shared = provisioner.provision(server(tmp_path, address), LONG).detail
            ended = provisioner.stop(LONG)
            if shared.endswith(f"is shared with process {os.getppid()}") and ended == []:
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert answers(address)
    assert not FileLock(tmp_path / "data" / ".jsorc.lock").acquire()


# Locks


def test_a_lock_names_its_holder_and_is_free_after_release(tmp_path: Path) -> None:
    mine, theirs = FileLock(tmp_path / "new" / "a.lock"), FileLock(tmp_path / "new" / "a.lock")
    assert mine.acquire("for a test")
    assert mine.acquire()
    assert not theirs.acquire()
    assert str(theirs.holder()) == f"process {os.getpid()}"
    assert theirs.holder().note == "for a test"
    mine.release()
    assert theirs.acquire()
    assert not theirs.inherited
    theirs.release()


def test_a_lock_knows_that_its_last_owner_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    script = "import os, sys; from pathlib import Path; from jsorc.locks import FileLock; "
    script += "FileLock(Path(sys.argv[1])).acquire(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script, str(path)], timeout=LONG)
    lock = FileLock(path)
    assert lock.acquire()
    assert lock.inherited
    lock.release()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_release_frees_a_lock_that_a_forked_child_has_a_copy_of(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "a.lock")
    assert lock.acquire()
    gate, opener = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(opener)
        os.read(gate, 1)
        os._exit(0)
    lock.release()
    other = FileLock(tmp_path / "a.lock")
    assert other.acquire()
    os.close(opener)
    os.waitpid(pid, 0)
    os.close(gate)
    other.release()


# Addresses


def test_a_stale_socket_is_not_taken_and_a_served_one_is(short_folder: Path) -> None:
    path = str(short_folder / "s")
    assert not is_taken(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        assert is_taken(path)
    assert not is_taken(path)


def test_a_port_is_taken_as_long_as_something_listens(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        assert is_taken(f"127.0.0.1:{free_port}")
    assert not is_taken(f"127.0.0.1:{free_port}")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name; pytest's can be too long for one."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="j") as folder:
        yield Path(folder)
