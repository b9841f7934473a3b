"""Real brokers for tests. Without mosquitto a test is skipped; with CI=true that is a failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.session.broker import Broker, MosquittoChild, find_mosquitto, free_port, settings_text, start_broker


def need_mosquitto() -> str:
    """Where mosquitto is; skips the test without it."""
    program = find_mosquitto()
    if program is None:
        message = "mosquitto is not installed (deploy/test-packages.txt)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return program


@contextmanager
def mosquitto(
    folder: Path, port: int = 0, change: Callable[[str], str] = lambda text: text
) -> Iterator[MosquittoChild]:
    """mosquitto with our settings, after ``change`` if a test needs one smaller or missing."""
    port, program = port or free_port(), need_mosquitto()
    broker = MosquittoChild(program, folder, port, change(settings_text(folder, port)))
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def running_broker(kind: str, folder: Path) -> Iterator[Broker]:
    """``mosquitto`` or ``amqtt``."""
    if kind == "mosquitto":
        need_mosquitto()
    broker = start_broker(folder, kind=kind)
    try:
        yield broker
    finally:
        broker.stop()
