"""What broken and wrong devices send: each must be refused with its reason, and nothing else may stop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from contracts.durations import DAY_MS
from contracts.events import AnyEvent, DeviceReported
from contracts.names import Channel, DeviceClass, Topic
from simulator.community import Community

PAUSE_MS = 15_000
UNKNOWN_DEVICE = "gate-new"
ANCIENT_MS = 40 * DAY_MS


def bad_inputs(community: Community, start_ms: int) -> Iterator[tuple[float, Topic, AnyEvent]]:
    """Yield a bad event every 15 s, without end, in turn: another device's, another site's, from long ago, unknown."""
    gate, other = community.units[0].gate_id, community.units[1].gate_id
    for number in itertools.count():
        at_ms = start_ms + (number + 1) * PAUSE_MS
        source, site, happened_ms = (
            (other, community.site_id, at_ms),
            (gate, "site-99", at_ms),
            (gate, community.site_id, at_ms - ANCIENT_MS),
            (UNKNOWN_DEVICE, community.site_id, at_ms),
        )[number % 4]
        speaker = UNKNOWN_DEVICE if source == UNKNOWN_DEVICE else gate
        event = DeviceReported(
            event_id=f"bad-{start_ms}-{number}",
            site_id=site,
            source_id=source,
            place_id=community.site_id,
            at_ms=happened_ms,
        )
        topic = Topic(community.site_id, DeviceClass.GATE, speaker, Channel.EVT)
        yield (at_ms - start_ms) / 1_000, topic, event
