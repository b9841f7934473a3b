"""A site as it is in production: what devices publish goes through the real ingest pipeline into the real engine.

For tests of what clocks, order of arrival and refused messages do to a rule. Times are given in ms since ``T0``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from contracts.batch import Batch
from contracts.events import AnyEvent, Configuration
from contracts.findings import Finding
from detectors.registry import all_rules
from ingest.pipeline.acks import PendingPuback
from ingest.pipeline.pipeline import Accepted, Arrival, IngestPipeline, MessageOutcome
from ingest.settings import ShardSettings
from streams.engine.engine import Engine
from tests.detectors.builders import T0

BEHIND_MS = 60
"""How far proven time lies behind what is taken."""


class Wire:
    """Site s1, and everything that was found there."""

    def __init__(self, records: Iterable[Configuration]) -> None:
        self.found: list[Finding] = []
        self._pipeline = IngestPipeline(msgspec.convert({"mqtt_url": "mqtt://broker"}, ShardSettings), "run")
        self._engine = Engine(all_rules(), partition=0, partitions=1, log_id="log")
        self._version = self._said = 0
        for record in records:
            self.configure(record, at=-1_000)

    def configure(self, record: Configuration, at: int) -> None:
        """Let the inventory say ``record``."""
        self._version += 1
        now_ms = T0 + at
        record = msgspec.structs.replace(
            record, version=self._version, at_ms=now_ms, received_ms=now_ms, event_id=f"config-{self._version}"
        )
        self._pipeline.admission.apply_config(record)
        self._feed((record,), at)

    def say(
        self, at: int, device: str, channel: str = "evt", *, clock: int = 0, received: int = 0, **fields: Any
    ) -> MessageOutcome:
        """Publish a message as ``class/id``: it was made at ``at`` by a clock that is ``clock`` ms off, and came
        ``received`` ms later. A field that is ``...`` is left out.
        """
        self._said += 1
        said = {"event_id": f"e{self._said}", "site_id": "s1", "source_id": device.split("/")[1], "place_id": "door-1"}
        message = {
            key: value for key, value in {**said, "at_ms": T0 + at + clock, **fields}.items() if value is not ...
        }
        arrival = Arrival(f"linli/v1/s1/{device}/{channel}", msgspec.json.encode(message), 1, 7, False, 1)
        now_ms = T0 + at + received
        outcome = self._pipeline.take(arrival, PendingPuback(7, 1), now_ms, timely=True)
        accepted = [outcome] if isinstance(outcome, Accepted) else []
        accepted += self._pipeline.release(now_ms)
        self._feed([one.event for one in accepted], at + received - BEHIND_MS)
        return outcome

    def until(self, at: int) -> list[Finding]:
        """Let time pass; everything found so far."""
        self._feed((), at)
        return self.found

    def of(self, rule: str) -> list[Finding]:
        """What ``rule`` found."""
        return [finding for finding in self.found if finding.rule == rule]

    def _feed(self, events: Sequence[AnyEvent], at: int) -> None:
        batch = Batch(partition=0, watermark_ms=T0 + at, events=tuple(events))
        out = self._engine.feed(batch, self._engine.next_position)
        self.found += [output for output in out if isinstance(output, Finding)]
