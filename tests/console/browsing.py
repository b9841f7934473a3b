"""The page in Chromium: where the browser is, how a person logs in, and pictures for people."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from console.api.server import Server
from tests.console.support import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
NEEDS_CHROMIUM = [
    pytest.mark.service,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed"),
]


def new_context(
    browser: Browser, *, language: str = "en", width: int = 1280, zone: str | None = None
) -> BrowserContext:
    """A browser of a person's own, in the time zone ``zone`` (None: this machine's)."""
    return browser.new_context(locale=language, viewport={"width": width, "height": 860}, timezone_id=zone)


def new_page(context: BrowserContext) -> Page:
    """An empty page. An error that its scripts do not catch fails the test."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"page error: {error}"))
    return page


def fill_in(page: Page, name: str) -> None:
    """Send the login form."""
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")


def log_in(
    browser: Browser,
    server: Server,
    name: str,
    *,
    language: str = "en",
    width: int = 1280,
    zone: str | None = None,
    now_ms: int | None = None,
) -> Page:
    """A page of its own, logged in by its form; its clock starts at ``now_ms`` and can then be moved."""
    page = new_page(new_context(browser, language=language, width=width, zone=zone))
    if now_ms is not None:
        page.clock.install(time=now_ms / 1000)
    page.goto(server.url)
    fill_in(page, name)
    expect(page.locator("#lamp")).to_have_text("Live" if language == "en" else "实时")
    return page


def picture(page: Page, name: str) -> None:
    """A screenshot for people, when CONSOLE_PICTURES names a folder."""
    folder = os.environ.get("CONSOLE_PICTURES")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png")
