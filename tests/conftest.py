"""Servers that the whole run shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.kafka import RunningKafka


@pytest.fixture(scope="session")
def kafka() -> Iterator[RunningKafka]:
    """The broker of this run, started when a test first wants it; who kills it revives it. Topics: ``make_topics``."""
    from tests.support.kafka import running_kafka  # its client takes a third of a second to import

    with running_kafka() as broker:
        yield broker
