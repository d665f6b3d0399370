"""A real Chromium for the tests of the page; what it complains about is a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest

__all__ = ["RECORD_STATES", "browser", "logged_in"]

API = "playwright.sync_api"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

RECORD_STATES = """name => {
  const card = document.querySelector(`[data-service="${name}"]`);
  window.states = [card.dataset.state];
  window.loadedAt = performance.timeOrigin;
  new MutationObserver(() => {
    if (window.states.at(-1) !== card.dataset.state) window.states.push(card.dataset.state);
  }).observe(card, { attributeFilter: ["data-state"] });
}"""
"""Keeps every state that a card shows in `window.states`."""


@contextmanager
def browser() -> Iterator[Any]:
    """A browser; where there is none the test is skipped, and under CI it fails."""
    strict = os.environ.get("CI") == "true"
    api: Any = import_module(API) if strict else pytest.importorskip(API)
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        reason = "no Chromium: apt-get install chromium"
        if strict:
            pytest.fail(reason)
        pytest.skip(reason)
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def logged_in(chromium: Any, base: str, name: str, password: str, **options: Any) -> Iterator[Any]:
    """The status page after a login by hand; complaints of the browser fail the test at the end."""
    context = chromium.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"} and "Failed to load resource" not in message.text
            else None
        ),
    )
    page.goto(f"{base}/")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-link=live]")
    try:
        yield page
    finally:
        context.close()
    assert complaints == []
