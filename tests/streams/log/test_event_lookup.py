"""Finding one event in the log, by the id its device gave it or by the one it was told apart by."""

from __future__ import annotations

from contracts.findings import Finding
from streams.log.event_lookup import find_event
from tests.streams.memory import MemoryLog
from tests.streams.rules import Denial
from tests.streams.support import T0, access, batch, engine_of, feed_all, findings

SAID = [access("ALARM", 1_000 * n, granted=False, received_ms=1_000 * n + 50) for n in range(3)]
LOG = [batch(1_000 * n + 60, event) for n, event in enumerate(SAID)]


def _decided() -> list[Finding]:
    return findings(feed_all(engine_of([Denial()]), LOG))


def test_a_finding_names_the_one_event_of_the_log_that_it_rests_on() -> None:
    log = MemoryLog(LOG, visible=len(LOG))
    for finding, event in zip(_decided(), SAID, strict=False):
        assert finding.onset_event_id is not None
        found = find_event(log, finding.onset_event_id)
        assert found is not None
        assert (found.event, found.position) == (event, SAID.index(event))
    assert find_event(log, "ALARM~00000000") is None


def test_an_event_of_another_site_with_the_same_id_is_not_meant() -> None:
    log = MemoryLog([batch(10, access("e", 0, site_id="s2")), batch(20, access("e", 5))], visible=2)
    found = find_event(log, "e", site_id="s1", from_ms=T0)
    assert found is not None
    assert found.position == 1
