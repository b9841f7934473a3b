"""States that rules of commit 735f1d3 kept are read by the rules of today, which go on from them.

``golden/states.json``: of each rule of that time rows as they lie in snapshots, full and empty, bytes as ``hex``; the
deadline that the rule gave them then, and what it said at it: phase, onset, number and place. A rule may wait longer
today; what it says of an episode that is open must end that episode, under its name.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from detectors.core.site_view import SiteView
from detectors.registry import all_rules
from tests.pins.standing import golden

RULES = {rule.name: rule for rule in all_rules()}
KEPT = [
    pytest.param(name, kept, id=f"{name}-{n}") for name, rows in golden("states").items() for n, kept in enumerate(rows)
]


def _row(kept: Any) -> Any:
    if isinstance(kept, dict):
        return bytes.fromhex(kept["hex"]) if list(kept) == ["hex"] else {name: _row(one) for name, one in kept.items()}
    return [_row(one) for one in kept] if isinstance(kept, list) else kept


@pytest.mark.parametrize(("name", "kept"), KEPT)
def test_a_state_of_then_is_read_and_gone_on_from(name: str, kept: dict[str, Any]) -> None:
    rule: Any = RULES[name]
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(_row(kept["row"])), type=rule.state_type)
    due_ms = rule.deadline_ms(state)
    assert kept["deadline_ms"] is None or due_ms >= kept["deadline_ms"]
    if kept["deadline_ms"] is not None:
        drafts = rule.on_deadline(state, due_ms, SiteView(site_id="site-1")).drafts
        says = [[d.phase.value, d.episode.onset_ms, d.episode.nth, d.place_id] for d in drafts]
        assert says == kept["says"]


def test_every_rule_of_then_has_rows() -> None:
    assert set(golden("states")) == set(RULES) - {"camera_impaired"}  # it came later
