"""What the district should have come to: the log it wrote is read back and judged in memory, one engine a partition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from app.demo.audit import CountingRule
from app.settings.settings import Settings
from app.wiring.district import log_partitions, open_cluster, topic_names
from contracts.batch import Batch, decode_batch
from contracts.events import AnyEvent
from contracts.findings import Finding
from detectors.registry import all_rules
from streams.engine.engine import Engine
from streams.log.kafka.kafka_log import KafkaLogReader

READ_RECORDS = 512
Log = dict[int, list[Batch]]
"""By partition, the batch at each position from 0 on."""
_FINDING = msgspec.json.Decoder(Finding)


def read_log(settings: Settings) -> Log:
    """Everything in the log now. It must still begin at position 0."""
    with open_cluster(settings, "chaos") as cluster:
        tails = cluster.tails()
        topic = topic_names(settings).log
        return {
            partition: _read(KafkaLogReader(cluster, topic, partition, tails))
            for partition in range(log_partitions(cluster, settings))
        }


def _read(reader: KafkaLogReader) -> list[Batch]:
    assert reader.begin() == 0
    batches: list[Batch] = []
    end = reader.end()
    while len(batches) < end:
        batches += [decode_batch(record.data) for record in reader.read(len(batches), READ_RECORDS)]
    return batches


def events_in(log: Log) -> list[AnyEvent]:
    """Every event in the log, duplicates included."""
    return [event for batches in log.values() for batch in batches for event in batch.events]


def judged(log: Log) -> list[Finding]:
    """Return what an undisturbed run finds in this very log: each partition's in order."""
    found: list[Finding] = []
    for partition, batches in log.items():
        engine = Engine(all_rules(), partition=partition, partitions=len(log), log_id="reference")
        for position, batch in enumerate(batches):
            found += [output for output in engine.feed(batch, position) if isinstance(output, Finding)]
    return found


def applied(log: Log) -> Counter[tuple[str, str]]:
    """(site, event id) → how often an engine applies it."""
    times: Counter[tuple[str, str]] = Counter()
    for partition, batches in log.items():
        if not batches:
            continue
        rule = CountingRule()
        engine = Engine([rule], partition=partition, partitions=len(log), log_id="reference")
        for position, batch in enumerate(batches):
            engine.feed(batch, position)
        engine.feed(msgspec.structs.replace(batches[-1], events=(), watermark_ms=2**53), len(batches))
        times += rule.times
    return times


def parsed(lines: bytes) -> list[Finding]:
    """Return what ``linli findings export --json`` or ``linli replay --json`` printed."""
    return [_FINDING.decode(line) for line in lines.splitlines()]


def per_site(found: Iterable[Finding], *, placed: bool = True) -> dict[str, list[Finding]]:
    """Findings by site, in order; ``placed``: with the position and number that depend on how the log was cut."""
    sites: dict[str, list[Finding]] = defaultdict(list)
    for finding in found:
        bare = finding if placed else msgspec.structs.replace(finding, position=0, number=0)
        sites[finding.site_id].append(bare)
    return dict(sites)


class Difference(msgspec.Struct, frozen=True):
    """How what was found differs from what should have been; all zero is right."""

    compared: int = 0
    lost: int = 0
    wrong: int = 0
    twice: int = 0
    unordered: int = 0

    def none(self) -> bool:
        """Whether nothing differs."""
        return not (self.lost or self.wrong or self.twice or self.unordered)


def difference(expected: Mapping[str, Sequence[Finding]], found: Mapping[str, Sequence[Finding]]) -> Difference:
    """Site by site: ids missing; extra ones, or with other content; ids that come again; sites out of order."""
    lost = wrong = twice = unordered = 0
    for site_id in expected.keys() | found.keys():
        wanted = {finding.finding_id: finding for finding in expected.get(site_id, ())}
        given = {finding.finding_id: finding for finding in found.get(site_id, ())}
        lost += len(wanted.keys() - given.keys())
        wrong += sum(wanted.get(key) != finding for key, finding in given.items())
        twice += len(found.get(site_id, ())) - len(given)
        unordered += [key for key in wanted if key in given] != [key for key in given if key in wanted]
    return Difference(sum(map(len, expected.values())), lost, wrong, twice, unordered)
