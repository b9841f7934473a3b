"""What the whole run shares: servers, and how properties are tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.support.kafka import RunningKafka

# How fast a machine is says nothing about a property.
settings.register_profile("linli", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("linli")


@pytest.fixture(scope="session", autouse=True)
def one_process() -> Iterator[None]:
    """Commands that tests call set up no logs: to a stream that a test takes away, other tests could not write.

    Nor does the doctor count the age of a process that has run tests for minutes.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("app.cli.doctor._age_s", lambda: 0.0)
        for where in ("app.wiring.logs", "app.wiring.process"):
            patched.setattr(f"{where}.configure_logs", lambda: None)
        yield


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """Whatever a command sets up for its process, logs and the umask, the next test finds none of it."""
    before, umask = structlog.get_config(), os.umask(0o022)
    os.umask(umask)
    yield
    os.umask(umask)
    if structlog.get_config() != before:
        structlog.configure(**before)


@pytest.fixture(scope="session")
def kafka() -> Iterator[RunningKafka]:
    """The broker of this run, started when a test first wants it; who kills it revives it. Topics: ``make_topics``."""
    from tests.support.kafka import running_kafka  # its client takes a third of a second to import

    with running_kafka() as broker:
        yield broker
