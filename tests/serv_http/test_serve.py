"""`jsorc serve`: what it sees to before it serves, what it refuses, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serv_http.site import PASSWORD, Site, environment


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment(home, **variables),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def link_of(site: Site) -> str:
    return site.said(rf"{re.escape(site.base)}(/welcome/\S+)").group(1)


def test_the_first_run_prints_a_link_that_works_once(make_site: Callable[..., Site]) -> None:
    site = make_site()
    link = link_of(site)
    with site.client(follow_redirects=True) as client:
        form = client.get(link)
        assert "Choose a password" in form.text
        token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', form.text)
        assert token is not None
        fields = {"new_password1": PASSWORD, "new_password2": PASSWORD, "csrfmiddlewaretoken": token.group(1)}
        page = client.post(form.url.path, data=fields, headers={"Referer": site.base})
        assert page.url.path == "/"  # logged in
        assert "Log out" in page.text
    with site.client(follow_redirects=True) as client:
        assert "works no more" in client.get(link).text
    with site.log_in("admin") as client:
        assert len(client.get("/api/me").json()["roles"]) == 5
    site.stop()
    again = make_site()
    assert "welcome" not in again.log


def test_a_weak_password_is_refused(make_site: Callable[..., Site]) -> None:
    site = make_site()
    with site.client(follow_redirects=True) as client:
        form = client.get(link_of(site))
        token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', form.text)
        assert token is not None
        fields = {
            "new_password1": "password",
            "new_password2": "password",
            "csrfmiddlewaretoken": token.group(1),
        }
        answer = client.post(form.url.path, data=fields, headers={"Referer": site.base})
        assert "too common" in answer.text


def test_a_link_that_was_not_used_is_printed_again(make_site: Callable[..., Site]) -> None:
    make_site().stop()
    assert link_of(make_site())


def test_the_secret_key_is_its_owners_alone_and_kept(make_site: Callable[..., Site]) -> None:
    site = make_site()
    path = site.home / "data" / "jsorc" / "serv" / "default.secret-key"
    key = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    site.accounts(("reader", False, []))
    with site.log_in("reader") as client:
        cookies = client.cookies
        site.stop()
        again = make_site("--port", site.base.rsplit(":", 1)[1])
        assert path.read_text() == key
        with again.client(cookies=cookies) as same:
            assert same.get("/api/me").json()["name"] == "reader"
    assert key.strip() not in site.log + again.log


def test_a_secret_key_that_others_can_read_is_mended(tmp_path: Path) -> None:
    assert run(tmp_path, "jsorc_serv", "token", "list").returncode == 0
    path = tmp_path / "data" / "jsorc" / "serv" / "default.secret-key"
    path.chmod(0o644)
    assert run(tmp_path, "jsorc_serv", "token", "list").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("options", "variables", "words"),
    [
        (["--host", "0.0.0.0"], {}, "unencrypted"),
        (["--host", "example.org"], {}, "unencrypted"),
        ([], {"JSORC_SERV_CONFIG__PORT": "many"}, "SERV_CONFIG.port"),
        ([], {"JSORC_SERV_CONFIG__POTR": "1"}, "did you mean"),
        ([], {"DJANGO_SECRET_KEY": "short"}, "50 random"),
        ([], {"JSORC_SERV_CONFIG__TLS_KEY_FILE": "/k.pem"}, "go together"),
        ([], {"DJANGO_SETTINGS_MODULE": "mine.settings"}, "mine.settings"),
        (["--app", "no_such_module"], {}, "no_such_module"),
    ],
)
def test_what_would_not_do_is_one_line_and_exit_status_2(
    tmp_path: Path, options: list[str], variables: dict[str, str], words: str
) -> None:
    done = run(tmp_path, "jsorc_serv", "serve", *options, **variables)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "jsorc_serv", "serve", "--port", str(port))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_not_there_is_said(tmp_path: Path, free_port: int) -> None:
    pytest.importorskip("psycopg")
    url = f"postgresql://jsorc:pass-word-9@127.0.0.1:{free_port}/jsorc"
    done = run(tmp_path, "jsorc_serv", "serve", "--port", "0", DATABASE_URL=url)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "pass-word-9" not in done.stderr + done.stdout


def test_the_deployment_check_is_clean_with_https(tmp_path: Path) -> None:
    django = {"DJANGO_SETTINGS_MODULE": "jsorc_serv.settings"}
    done = run(tmp_path, "django", "check", "--deploy", JSORC_SERV_CONFIG__HTTPS="true", **django)
    assert done.returncode == 0
    assert "no issues" in done.stdout + done.stderr
    done = run(tmp_path, "django", "check", "--deploy", **django)
    assert sorted(re.findall(r"security\.(W\d+)", done.stderr)) == ["W004", "W008", "W012", "W016"]
    assert done.stderr.count("?: (") == 4


def test_the_migrations_are_complete(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "django",
        "makemigrations",
        "--check",
        "--dry-run",
        DJANGO_SETTINGS_MODULE="jsorc_serv.settings",
    )
    assert done.returncode == 0, done.stdout


def test_behind_a_proxy_that_speaks_https_cookies_are_secure(make_site: Callable[..., Site]) -> None:
    site = make_site(
        JSORC_SERV_CONFIG__HTTPS="true", JSORC_SERV_CONFIG__ALLOWED_HOSTS='["jsorc.example.org"]'
    )
    local = "http://127.0.0.1:" + site.said(r"bound to \S+ port (\d+)").group(1)
    import httpx

    assert site.base == "https://jsorc.example.org"
    with httpx.Client(base_url=local, trust_env=False, headers={"Host": "jsorc.example.org"}) as client:
        plain = client.get("/login")
        assert (plain.status_code, plain.headers["Location"]) == (301, "https://jsorc.example.org/login")
        assert client.get("/livez").status_code == 200
        answer = client.get("/login", headers={"X-Forwarded-Proto": "https"})
        assert answer.status_code == 200
        assert "max-age=3600" in answer.headers["Strict-Transport-Security"]
        assert "Secure" in answer.headers["Set-Cookie"]


def test_every_page_has_the_security_headers(make_site: Callable[..., Site]) -> None:
    site = make_site()
    with site.client() as client:
        for path in ("/login", "/api/services", "/api/docs", "/admin/login/", "/nothing"):
            headers = client.get(path).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "same-origin"
            assert "Server" not in headers


def test_a_signal_stops_the_services_and_the_server(make_site: Callable[..., Site]) -> None:
    site = make_site()
    tokens = site.accounts(("watcher", False, []))
    with (
        site.client(tokens["watcher"]["read"]) as client,
        client.stream("GET", "/events") as stream,  # which must not hold the stop
    ):
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data: {"))
        site.process.send_signal(signal.SIGTERM)
        for _ in lines:
            pass
    assert site.stop() == -signal.SIGTERM
    assert "Application shutdown complete" in site.log
    assert "Traceback" not in site.log


def test_tokens_are_made_listed_and_revoked(tmp_path: Path, make_site: Callable[..., Site]) -> None:
    site = make_site()
    home = site.home
    made = run(home, "jsorc_serv", "token", "add", "ci", "--scope", "staff", "--days", "30")
    token = made.stdout.strip()
    assert token.startswith("jsorc_")
    assert made.stderr.strip().endswith("Keep it now: nobody can show it again.")
    with site.client(token) as client:
        assert client.get("/api/me").json()["means"] == "token ci"
    listed = run(home, "jsorc_serv", "token", "list").stdout
    assert "ci\tadmin\tstaff\tuntil" in listed
    assert token not in listed
    assert run(home, "jsorc_serv", "token", "add", "ci").returncode == 2
    assert run(home, "jsorc_serv", "token", "add", "x", "--user", "nobody").returncode == 2
    assert run(home, "jsorc_serv", "token", "add", "x", "--scope", "all").returncode == 2
    assert run(home, "jsorc_serv", "token", "revoke", "ci").returncode == 0
    with site.client(token) as client:
        assert client.get("/api/me").status_code == 401
    assert run(home, "jsorc_serv", "token", "revoke", "ci").returncode == 2


def test_the_commands_join_the_jsorc_command() -> None:
    import typer

    from jsorc_serv.plugin import jsorc_cli

    app = typer.Typer()
    jsorc_cli(app)
    assert {command.name for command in app.registered_commands} == {"copy", "serve"}
    assert [group.name for group in app.registered_groups] == ["token"]


@pytest.mark.timeout(180)
def test_a_database_that_comes_up_late_ends_the_process_so_that_the_next_one_migrates(
    tmp_path: Path, make_postgres: Callable[..., Any], make_site: Callable[..., Site]
) -> None:
    pytest.importorskip("psycopg")
    server = make_postgres()
    server.stop()
    waits = {"DATABASE_URL": server.url, "JSORC_DB_REGEN_CONFIG__ENABLED": "true"}
    home = tmp_path / "site"
    home.mkdir()
    waiting = subprocess.Popen(
        [sys.executable, "-m", "jsorc_serv", "serve", "--port", "0"],
        env=environment(home, **waits),
        cwd=home,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    with waiting.stderr as lines:
        assert any("database" in line for line in lines)  # it says what it waits for
        server.start()
        said = lines.read()
    assert waiting.wait(60) == 75, said
    assert "Traceback" not in said
    site = make_site(**waits)
    with site.client() as client:
        assert client.get("/livez").status_code == 200
