"""What a rule that is re-judged finds in a window does not depend on what came long before.

See docs/protocol.md#judging-again.

A fresh engine is given the window and two horizons around it, with the site's configuration in force; of what it finds
with its onset within one horizon of the window, every word must be what the running engine found.
"""

from __future__ import annotations

import random

import msgspec
import pytest

from contracts.events import ConfigurationRecord, Event
from detectors.core.rule import Draft
from detectors.core.site_view import SiteView
from detectors.registry import all_rules
from tests.detectors.builders import T0
from tests.detectors.harness import SITE, Harness
from tests.detectors.lives import SPAN_MS, life

REJUDGED = {
    rule.name: rule
    for rule in all_rules()
    if rule.horizon_ms is not None and rule.horizon_ms <= 6 * 3_600_000 and not rule.receipt and not rule.instant
}


def found(name: str, events: list[Event], records: list[Event], from_ms: int, to_ms: int) -> list[tuple[int, Draft]]:
    """Drafts with their onset in the window, without what re-judging may change under the same id."""
    harness = Harness(REJUDGED[name], SiteView(site_id=SITE))
    harness.feed(records)
    harness.feed(events)
    harness.until(T0 + SPAN_MS)
    return [
        (decided.at_ms, msgspec.structs.replace(decided.draft, verified=True))
        for decided in harness.found
        if from_ms <= decided.draft.episode.onset_ms <= to_ms
    ]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", REJUDGED)
def test_a_window_judged_again_says_the_same(name: str, seed: int) -> None:
    rng = random.Random(seed)
    records = [event for event in life(seed) if isinstance(event, ConfigurationRecord)]
    events = [event for event in life(seed) if not isinstance(event, ConfigurationRecord)]
    horizon_ms = REJUDGED[name].horizon_ms or 0
    for _ in range(6):
        from_ms = T0 + rng.randrange(SPAN_MS - 4 * horizon_ms)
        to_ms = from_ms + rng.randrange(2 * horizon_ms)
        near = [e for e in events if from_ms - 2 * horizon_ms <= e.at_ms <= to_ms + 2 * horizon_ms]
        window = from_ms - horizon_ms, to_ms + horizon_ms
        running = found(name, [e for e in events if e.at_ms <= near[-1].at_ms], list(records), *window)
        assert found(name, near, list(records), *window) == running
