"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.console.browsing import CHROMIUM
from tests.console.support import World
from tests.support.stores import on_both, stores_closed

__all__ = ["browser", "on_both", "stores_closed"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, once for a file of tests."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Incidents and the page over them, at a time that the test moves. Tests of servers have one of their own."""
    return World(tmp_path)
