"""The load of ``bench.latency``: the rate that was asked for, and every rule at work."""

from __future__ import annotations

import itertools
from collections import Counter

import msgspec

from bench.traffic import BLOCK_MS, Traffic, stamped
from contracts.batch import Batch
from contracts.events import AnyEvent
from contracts.findings import Finding, Phase
from detectors.registry import all_rules
from streams.engine.engine import Engine

SECONDS = 60.0
START_MS = 1_795_392_000_000 - BLOCK_MS + 270_000  # thirty seconds before a five-minute block ends


def lived(traffic: Traffic) -> list[AnyEvent]:
    """A minute of it, as ingest would accept it at once."""
    events = list(traffic.history())
    for due_s, _topic, event in itertools.takewhile(lambda due: due[0] < SECONDS, traffic.live()):
        now_ms = START_MS + int(due_s * 1_000)
        events.append(msgspec.structs.replace(stamped(event, now_ms), received_ms=now_ms))
    return events


def test_a_minute_has_the_rate_asked_for_and_every_rule_fires_five_times() -> None:
    events = lived(Traffic(100, START_MS))
    live = [event for event in events if event.received_ms >= START_MS]
    assert 0.95 < len(live) / (100 * SECONDS) < 1.25
    engine = Engine(all_rules(), partition=0, partitions=1, log_id="test")
    found: Counter[str] = Counter()
    for position, event in enumerate(events):
        batch = Batch(partition=0, watermark_ms=event.received_ms - 1, events=(event,))
        outputs = [one for one in engine.feed(batch, position) if isinstance(one, Finding)]
        found.update(one.rule for one in outputs if one.phase is Phase.OPEN and one.due_ms >= START_MS)
    lacking = sorted({rule.name for rule in all_rules()} - set(found))
    assert lacking == [], (
        f"bench/situations.py: nothing for {lacking} in a minute, or no short threshold in bench/traffic.py"
    )
    rare = {rule: times for rule, times in found.items() if times < 5}
    assert rare == {}, f"bench/situations.py: fewer than five in a minute: {rare}"
    assert found["stranger_entry"] <= 20  # those with a credential are none
    assert engine.counts.late == engine.counts.duplicates == 0


def test_what_boxes_say_is_numbered_without_a_gap_and_topics_are_the_devices_own() -> None:
    seqs: dict[tuple[str, str], list[int]] = {}
    for _due_s, topic, event in itertools.islice(Traffic(500, START_MS).live(), 3_000):
        assert topic.site_id == event.site_id
        if event.spool is None:
            assert topic.device_id == event.source_id
        else:
            assert topic.device_id == event.spool.box_id
            seqs.setdefault((event.site_id, event.spool.box_id), []).append(event.spool.seq)
    assert len(seqs) == 12
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seqs.values())
