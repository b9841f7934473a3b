"""What goes wrong in a community: each function changes a site's events in its own way. Pure but for its dice.

Every event has ``received_ms``, when ingest took it; ``doubles`` are copies of events that come once more. Plain
readings are not among them: nobody sends QoS 0 twice, and a device that says an old one anew hours later is heard then.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec

from contracts.events import (
    CONFIG_SOURCE,
    ConfigurationRecord,
    DeviceConfigured,
    Event,
    IngestInterrupted,
    Lane,
    ObjectLabel,
    SpoolMark,
    ThresholdConfigured,
    TrackPhase,
)
from contracts.names import DeviceClass
from detectors.registry import all_rules
from streams.engine.deduplicator import MAX_IDS, is_telemetry
from tests.detectors.builders import MINUTE, SECOND, T0, Script

STORM = "storm-"
"""So begin the ids of what comes in masses."""


class Site:
    """A site's events while things happen to it."""

    def __init__(self, site_id: str, events: Sequence[Event]) -> None:
        self.site_id = site_id
        self.events = list(events)
        self.doubles: list[Event] = []

    def lived(self) -> list[Event]:
        """Return what devices said, without the configuration."""
        return [event for event in self.events if not isinstance(event, ConfigurationRecord)]

    def moment(self, rng: random.Random) -> int:
        """Return a moment at which something was going on."""
        return rng.choice(self.lived()).at_ms

    def add(self, event: Event) -> None:
        """Let one thing more have happened."""
        self.events.append(event)
        self.events.sort(key=lambda each: each.at_ms)


def change_thresholds(rng: random.Random, site: Site) -> None:
    """Let people set some numbers of some rules, anywhere in their ranges."""
    thresholds = [threshold for rule in all_rules() for threshold in rule.facts.thresholds]
    for _ in range(rng.randrange(1, 6)):
        threshold, at_ms = rng.choice(thresholds), site.moment(rng)
        value = float(rng.randrange(2)) if threshold.switch else rng.uniform(threshold.minimum, threshold.maximum)
        record = ThresholdConfigured(
            event_id="set",
            site_id=site.site_id,
            source_id=CONFIG_SOURCE,
            place_id=site.site_id,
            at_ms=at_ms,
            received_ms=at_ms,
            version=1_000 + at_ms % 1_000,
            rule=threshold.rule,
            name=threshold.name,
            value=value,
        )
        site.add(record)


def storm(rng: random.Random, site: Site) -> None:
    """Let a contact chatter, a camera see things fall, or a door be passed, more often than ids are remembered."""
    script, start_ms = Script(), site.moment(rng) - T0
    says = rng.choice((_chatter, _falls, _crowd))
    step_ms = rng.choice((300, 3 * SECOND, 70 * SECOND, 70 * SECOND))
    said = [each for n in range(rng.randrange(70, 250)) for each in says(script, n, start_ms + n * step_ms)]
    site.events += [
        msgspec.structs.replace(event, event_id=f"{STORM}{n}", site_id=site.site_id) for n, event in enumerate(said)
    ]
    site.events.sort(key=lambda event: event.at_ms)


def _chatter(script: Script, n: int, at: int) -> list[Event]:
    return [script.environment(at, sensor="smoke1", place="room1", alarm=n % 2 == 0, temperature_c=20.0 + n % 5 * 12)]


def _falls(script: Script, n: int, at: int) -> list[Event]:
    return [script.fell(at, drop_m=2.0 + n % 7, track_id=n)]


def _crowd(script: Script, n: int, at: int) -> list[Event]:
    return [script.access(at, granted=n % 3 > 0), script.passage(at + 50, n, camera="cam2")]


def take_out_and_put_back(rng: random.Random, site: Site) -> None:
    """Let a device be taken out of the inventory and put back. What it says meanwhile is not taken; then it repeats
    what it is not sure of.
    """
    device = rng.choice([event for event in site.events if isinstance(event, DeviceConfigured)])
    out_ms = site.moment(rng)
    back_ms = out_ms + rng.choice((SECOND, MINUTE, 30 * MINUTE))
    site.events = [e for e in site.events if not (_speaks(device.device_id, e) and out_ms <= e.at_ms <= back_ms)]
    said = [event for event in site.lived() if _speaks(device.device_id, event) and event.at_ms < out_ms]
    for number, (at_ms, removed) in enumerate(((out_ms, True), (back_ms, False))):
        site.add(
            msgspec.structs.replace(device, at_ms=at_ms, received_ms=at_ms, version=2_000 + number, removed=removed)
        )
    site.doubles += _later(said[-rng.randrange(1, 100) :], back_ms + SECOND)


def send_again(rng: random.Random, site: Site) -> None:
    """Let more messages of one source come again than are remembered, at once or after hours."""
    counts = Counter(event.source_id for event in site.lived())
    stormed = [event.source_id for event in site.lived() if event.event_id.startswith(STORM)]
    often = [name for name, count in counts.items() if count > MAX_IDS] or sorted(counts)
    source_id = rng.choice(stormed) if stormed and rng.random() < 0.7 else rng.choice(often)
    said = [event for event in site.lived() if event.source_id == source_id]
    first = rng.randrange(max(1, len(said) - MAX_IDS))
    again = said[first : first + MAX_IDS + rng.randrange(2, 3 * MAX_IDS)]
    site.doubles += _later(again, again[-1].at_ms + rng.choice((100, MINUTE, 120 * MINUTE)))


def cut_power(rng: random.Random, site: Site) -> None:
    """Let a device or a box go dark, now and then with the server, and come back with the clock of that moment until
    somebody sets it right.
    """
    devices = [event for event in site.events if isinstance(event, DeviceConfigured)]
    boxes = [device for device in devices if device.device_class is DeviceClass.EDGE]
    device = rng.choice(boxes if rng.random() < 0.5 else devices)
    dark_ms, dark_for_ms = site.moment(rng), rng.randrange(MINUTE, 40 * MINUTE)
    wrong_for_ms = rng.choice((20 * SECOND, 5 * MINUTE, 60 * MINUTE))
    lived: list[Event] = []
    for event in site.events:
        since_ms = event.at_ms - dark_ms
        if not _speaks(device.device_id, event) or since_ms < 0 or since_ms >= dark_for_ms + wrong_for_ms:
            lived.append(event)
        elif since_ms >= dark_for_ms:
            lived.append(msgspec.structs.replace(event, at_ms=event.at_ms - dark_for_ms))
    if device in boxes:
        lived += _first_rows(site, device.device_id, dark_ms, dark_for_ms)
    site.events = sorted(lived, key=lambda event: event.received_ms)
    if rng.random() < 0.5:
        _away(site, dark_ms, dark_ms + rng.randrange(SECOND, dark_for_ms))


def _first_rows(site: Site, box_id: str, dark_ms: int, dark_for_ms: int) -> list[Event]:
    """Return what a box's cameras see first after the cut, by the clock of the cut and from a spool of its own."""
    script = Script()
    return [
        msgspec.structs.replace(
            script.object(
                dark_ms - T0 + n * SECOND,
                ObjectLabel.PERSON,
                TrackPhase.PRESENT,
                track_id=900 + n,
                spool=SpoolMark(box_id=box_id, spool_id=f"cut-{dark_ms}", lane=Lane.LIVE, seq=n),
            ),
            event_id=f"cut-{dark_ms}-{n}",
            site_id=site.site_id,
            received_ms=dark_ms + dark_for_ms + n * SECOND,
        )
        for n in range(1, 4)
    ]


def interrupt_ingest(rng: random.Random, site: Site) -> None:
    """Let ingest not listen for a while; brokers keep what is said meanwhile."""
    from_ms = site.moment(rng)
    _away(site, from_ms, from_ms + rng.randrange(10 * SECOND, 30 * MINUTE))


def _away(site: Site, from_ms: int, to_ms: int) -> None:
    site.events = [
        msgspec.structs.replace(event, received_ms=to_ms + number)
        if from_ms < event.received_ms < to_ms and not isinstance(event, ConfigurationRecord)
        else event
        for number, event in enumerate(site.events)
    ]
    site.add(
        IngestInterrupted(
            event_id=f"away-{from_ms}",
            site_id=site.site_id,
            source_id="ingest",
            place_id=site.site_id,
            at_ms=from_ms,
            received_ms=to_ms,
            from_ms=from_ms,
            to_ms=to_ms,
        )
    )


def store_backlog(rng: random.Random, site: Site) -> None:
    """Let a source be offline and send what it had stored, marked so, when it is back."""
    source_id = rng.choice(sorted({event.source_id for event in site.lived()}))
    from_ms = site.moment(rng)
    to_ms = from_ms + rng.randrange(MINUTE, 90 * MINUTE)
    site.events = [
        msgspec.structs.replace(event, received_ms=to_ms + number, stored=True)
        if event.source_id == source_id and from_ms <= event.at_ms < to_ms
        else event
        for number, event in enumerate(site.events)
    ]


def _speaks(device_id: str, event: Event) -> bool:
    """Return whether the device said it, or the box did for its camera."""
    if isinstance(event, ConfigurationRecord):
        return False
    return event.source_id == device_id or (event.spool is not None and event.spool.box_id == device_id)


def _later(events: Sequence[Event], from_ms: int) -> list[Event]:
    """Return the events as they come once more, one a millisecond."""
    return [
        msgspec.structs.replace(event, received_ms=max(from_ms, event.received_ms) + number)
        for number, event in enumerate(events)
        if not is_telemetry(event)
    ]
