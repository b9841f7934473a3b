"""What the whole run shares: servers, and how properties are tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.kafka import RunningKafka

settings.register_profile("linli", deadline=None)  # how fast a machine is says nothing about a property
settings.load_profile("linli")


@pytest.fixture(scope="session")
def kafka() -> Iterator[RunningKafka]:
    """The broker of this run, started when a test first wants it; who kills it revives it. Topics: ``make_topics``."""
    from tests.support.kafka import running_kafka  # its client takes a third of a second to import

    with running_kafka() as broker:
        yield broker
