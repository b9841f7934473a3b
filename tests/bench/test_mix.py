"""The public mix of the district: its shares, its size, and what it makes happen."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from bench.lanes import due
from bench.mix import FINDINGS, MAX_RATE, MIN_RATE, PARTITIONS, SHARES, Mix, site_ids
from bench.traffic import BLOCK_MS
from contracts.batch import Batch
from contracts.events import AnyEvent, DeviceConfigured
from contracts.findings import Finding, Phase
from contracts.names import partition_of
from detectors.registry import all_rules
from ingest.pipeline.pipeline import Accepted, Arrival, IngestPipeline
from ingest.settings import ShardSettings
from streams.engine.engine import Engine

RATE, SECONDS = 300.0, 100
START_MS = 1_795_392_000_000 - BLOCK_MS + 270_000  # thirty seconds before a five-minute block ends


@pytest.mark.parametrize("rate", [MIN_RATE, 3_000.0, MAX_RATE])
def test_the_shares_and_the_rate_are_exactly_what_is_said(rate: float) -> None:
    by_share: defaultdict[str, float] = defaultdict(float)
    for stream in Mix(rate, START_MS).streams():
        assert stream.rate_per_s > 0
        by_share[stream.share] += stream.rate_per_s
    assert by_share == pytest.approx({share: part * rate for share, part in SHARES.items()})


def test_a_rate_that_the_mix_is_not_defined_for_is_refused() -> None:
    with pytest.raises(ValueError, match="200 to 11000"):
        Mix(100.0, START_MS)


def test_the_district_has_5856_devices_and_two_communities_in_each_partition() -> None:
    devices = [record for record in Mix(RATE, START_MS).records() if isinstance(record, DeviceConfigured)]
    assert len(devices) == 5_856
    assert Counter(partition_of(site, PARTITIONS) for site in site_ids()) == dict.fromkeys(range(PARTITIONS), 2)


def test_the_same_seed_gives_the_same_messages() -> None:
    first, second = (due(Mix(RATE, START_MS, seed=7).streams(), 0.0, 3.0) for _ in range(2))
    assert first == second


def test_every_message_passes_the_pipeline_and_every_rule_has_its_incidents() -> None:
    lived, shares = _lived(Mix(RATE, START_MS))
    assert {share: count / shares.total() for share, count in shares.items()} == pytest.approx(SHARES, abs=0.01)
    engine = Engine(all_rules(), partition=0, partitions=1, log_id="test")
    found: list[Finding] = []
    for position, event in enumerate(lived):
        batch = Batch(partition=0, watermark_ms=event.received_ms - 1, events=(event,))
        found += [one for one in engine.feed(batch, position) if isinstance(one, Finding) and one.due_ms >= START_MS]
    subjects = {(one.site_id, one.rule, one.subject) for one in found if one.phase is Phase.OPEN}
    per_minute = Counter(rule for _site, rule, _subject in subjects)
    assert set(per_minute) == {rule.name for rule in all_rules()}
    assert all(count >= 5 * SECONDS / 60 for count in per_minute.values())
    live = sum(event.received_ms >= START_MS for event in lived)
    assert len(found) / live > FINDINGS * 0.8  # what began near the end is not over yet
    assert engine.counts.late == engine.counts.duplicates == 0
    strangers = [one for one in found if one.rule == "stranger_entry" and one.due_ms >= START_MS + 40_000]
    assert all(one.verified for one in strangers)  # every gate has said by then that it lives


def _lived(mix: Mix) -> tuple[list[AnyEvent], Counter[str]]:
    """History and a hundred seconds of it, through ingest's pipeline, as it would be accepted at once."""
    pipeline = IngestPipeline(ShardSettings(mqtt_url="mqtt://127.0.0.1"), "run")
    for record in mix.records():
        pipeline.admission.apply_config(record)
    events, shares, counts, streams = mix.history(), Counter[str](), Counter[str](), mix.streams()
    for tick in range(SECONDS * 10):
        now_ms = START_MS + tick * 100
        for stream in streams:
            for line, number in due([stream], tick / 10, (tick + 1) / 10):
                counts[line.speaker] += 1
                payload = line.payload("r1", counts[line.speaker], now_ms, number)
                # to whoever has subscribed a broker does not say that it keeps a message
                arrival = Arrival(line.topic.decode(), payload, line.qos, 1, retain=False, connection=1)
                outcome = pipeline.take(arrival, None, now_ms, timely=True)
                assert isinstance(outcome, Accepted), outcome
                events.append(outcome.event)
                shares[stream.share] += 1
    return events, shares
