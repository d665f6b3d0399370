"""The status page in a real Chromium: what a person sees, live, and what they can do by keyboard."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serv_http.browser import RECORD_STATES, browser, logged_in
from tests.serv_http.conftest import ROLES
from tests.serv_http.site import PASSWORD, SECRET, SUPERUSER, Site

IMAGES = os.environ.get("JSORC_SCREENSHOTS")
"""The folder that pictures of the page are kept in; by default they are not."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def redis_port() -> int:
    from tests.servers import free_port

    return free_port()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_port: int) -> Iterator[Site]:
    """A site with a Redis of its own, which it runs itself, and the users of the tests."""
    site = Site(
        tmp_path_factory.mktemp("page"),
        JSORC_PLUGINS_BLOCK="jsorc-task",
        JSORC_CONFIG__USE__HOOK="jsorc-serv",
        REDIS_PORT=str(redis_port),
        JSORC_REDIS_CONFIG__PING_INTERVAL="0.5",
        JSORC_ECHO_CONFIG__PING_INTERVAL="0.5",
        JSORC_SERV_CONFIG__THROTTLE__LOGINS="0",
    )
    try:
        site.accounts(("operator", True, list(ROLES)), ("guest", False, []))
        yield site
    finally:
        site.stop()


SHORTEN = r"""() => document.querySelectorAll("dd").forEach((each) => {
  each.textContent = each.textContent.replace(/\/.*(?=\/data\/jsorc)/, "~");
})"""


def picture(page: Any, name: str, **options: Any) -> None:
    if IMAGES:
        page.evaluate(SHORTEN)  # where a test's data is says nothing to anybody
        page.screenshot(path=str(Path(IMAGES) / f"{name}.png"), **options)


def test_a_killed_redis_is_seen_to_fail_and_to_run_again_without_a_reload(
    chromium: Any, site: Site, redis_port: int
) -> None:
    import redis

    with logged_in(chromium, site.base, "operator", PASSWORD) as page:
        page.wait_for_selector('[data-service=redis][data-state="RUNNING"]')
        page.evaluate(RECORD_STATES, "redis")
        with redis.Redis(port=redis_port) as client:
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
        page.wait_for_function(
            '() => window.states.length > 1 && window.states.at(-1) === "RUNNING"', timeout=30_000
        )
        assert page.evaluate("window.states[0]") == "RUNNING"
        assert "FAILED" in page.evaluate("window.states")
        assert page.evaluate("window.loadedAt === performance.timeOrigin")
        states = page.locator("#changes tr", has_text="redis").locator(".badge").all_inner_texts()
        assert states[0] == "RUNNING"  # the latest comes first
        assert "FAILED" in states


def test_every_service_shows_its_state_its_error_and_its_probes(chromium: Any, site: Site) -> None:
    with logged_in(chromium, site.base, "operator", PASSWORD) as page:
        broken = page.locator("[data-service=broken]")
        broken.locator(".word", has_text=re.compile("^FAILED$")).wait_for()  # not so while it is tried again
        assert "cannot reach" in broken.locator(".error").inner_text()
        page.wait_for_function(
            "() => document.querySelector('[data-service=echo] .line').getAttribute('d')?.includes('L')"
        )
        assert ", slowest " in page.locator("[data-service=echo] figcaption").inner_text()
        page.locator("#summary", has_text=re.compile("^One service has failed$")).wait_for()


def test_no_secret_is_on_the_page(chromium: Any, site: Site) -> None:
    with logged_in(chromium, site.base, "operator", PASSWORD) as page:
        page.locator("[data-service=broken] .error").wait_for()
        assert SECRET not in page.content()


def test_a_restart_is_asked_for_by_keyboard_and_confirmed(chromium: Any, site: Site) -> None:
    with logged_in(chromium, site.base, "operator", PASSWORD) as page:
        echo = page.locator("[data-service=echo]")
        before = int(echo.locator(".restarts").inner_text())
        echo.get_by_role("button", name="Restart echo").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Restart echo?")
        dialog.wait_for()
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        assert int(echo.locator(".restarts").inner_text()) == before
        page.keyboard.press("Enter")  # the focus is where it was
        dialog.wait_for()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        dialog.wait_for(state="hidden")
        page.wait_for_function(
            "count => Number(document.querySelector('[data-service=echo] .restarts').textContent) === count",
            arg=before + 1,
        )


def test_a_config_is_changed_and_a_wrong_one_explained(chromium: Any, site: Site) -> None:
    with logged_in(chromium, site.base, "operator", PASSWORD) as page:
        page.get_by_role("button", name="Config echo").click()
        dialog = page.get_by_role("dialog")
        dialog.wait_for()
        assert '"greeting": "hello"' in page.locator("#dialog-now").inner_text()
        assert SECRET not in page.content()
        page.fill("#dialog-change", "{not json")
        page.get_by_role("button", name="Change").click()
        page.get_by_text("That is not JSON").wait_for()
        page.fill("#dialog-change", '{"greting": "hi"}')
        page.get_by_role("button", name="Change").click()
        page.locator("#dialog-error", has_text="greeting").wait_for()  # the nearest key
        picture(page, "status-config")
        page.fill("#dialog-change", '{"greeting": "hi"}')
        page.get_by_role("button", name="Change").click()
        dialog.wait_for(state="hidden")
        page.get_by_role("button", name="Config echo").click()
        page.locator("#dialog-now", has_text='"greeting": "hi"').wait_for()
        page.get_by_role("button", name="Take back").click()
        dialog.wait_for(state="hidden")


def test_somebody_without_roles_sees_no_actions(chromium: Any, site: Site) -> None:
    with logged_in(chromium, site.base, "guest", PASSWORD) as page:
        page.locator("[data-service=echo]").wait_for()
        assert page.locator("main button").count() == 0


def test_the_candidates_of_a_name_open(chromium: Any, site: Site) -> None:
    with logged_in(chromium, site.base, "operator", PASSWORD) as page:
        row = page.locator('details[data-key="repository hook"]')
        row.locator("summary").press("Enter")
        statuses = row.locator("tbody .badge").all_inner_texts()
        assert statuses[:3] == ["pinned", "outranked", "outranked"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width", "height"), [("wide", 1280, 900), ("phone", 390, 844)])
def test_the_page_fits_and_can_be_read(
    chromium: Any, site: Site, scheme: str, device: str, width: int, height: int
) -> None:
    options = {
        "color_scheme": scheme,
        "viewport": {"width": width, "height": height},
        "device_scale_factor": 2 if device == "phone" else 1,
    }
    with logged_in(chromium, site.base, "operator", PASSWORD, **options) as page:
        page.locator("[data-service=redis] .line").wait_for()
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0
        assert page.evaluate(CONTRAST) == []
        picture(page, f"status-{device}-{scheme}", full_page=device == "wide")


def test_who_wants_less_motion_has_none(chromium: Any, site: Site) -> None:
    with logged_in(chromium, site.base, "operator", PASSWORD, reduced_motion="reduce") as page:
        assert page.evaluate("document.getAnimations().length") == 0


def test_a_lost_connection_is_said_and_found_again(
    chromium: Any, make_site: Callable[..., Site], tmp_path: Path
) -> None:
    from tests.servers import free_port

    port = str(free_port())
    site = make_site("--port", port)
    site.accounts(("operator", True, list(ROLES)))
    with logged_in(chromium, site.base, "operator", PASSWORD) as page:
        assert page.locator("#lost").is_hidden()
        site.stop()
        page.locator("#lost", has_text="Connection lost").wait_for(timeout=20_000)
        picture(page, "status-lost")
        assert page.locator("#link-text").inner_text() == "not connected"
        make_site("--port", port)
        page.wait_for_selector("[data-link=live]", timeout=40_000)
        assert page.locator("#lost").is_hidden()


PAGES = [
    "/api/docs",
    "/admin/",
    "/admin/jsorc_serv/storedglob/",
    "/admin/jsorc_api/auditentry/",
    "/admin/django_celery_beat/periodictask/",
    "/admin/django_celery_beat/periodictask/add/",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_others_keep_the_content_policy(chromium: Any, site: Site, path: str) -> None:
    site.superuser()
    with logged_in(chromium, site.base, SUPERUSER, PASSWORD) as page:
        answer = page.goto(site.base + path)
        page.wait_for_load_state("networkidle")
        assert answer.status == 200
        if path == "/api/docs":
            page.get_by_text("/api/services", exact=True).first.wait_for()


CONTRAST = """() => {
  // The contrast of every text with the nearest opaque ground, as WCAG 2 counts it.
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest(".unseen, .skip, template, dialog, script")) continue;
    let ground = [0, 0, 0, 0];
    for (let up = node; up && ground[3] === 0; up = up.parentElement) {
      ground = parse(getComputedStyle(up).backgroundColor);
    }
    const [high, low] = [light(ground), light(parse(getComputedStyle(node).color))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
  }
  return found;
}"""
