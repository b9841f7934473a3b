"""A rule that breaks its contract leaves its state as it was and a finding that says so; everything else goes on."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.findings import Fact, Finding, Phase
from streams.engine.snapshot import decode_row
from tests.streams.rules import Count, Denial, Naughty
from tests.streams.support import T0, access, batch, engine_of, feed_all, findings, judge

EVENT_FAILURES = [
    ("raise_in_keys", "", "raised"),
    ("many_keys", "", "too_many_keys"),
    ("unsorted_keys", "", "bad_key"),
    ("long_key", "k" * 81, "bad_key"),
    ("raise", "d1", "raised"),
    ("no_outcome", "d1", "raised"),
    ("large", "d1", "state_too_large"),
    ("wrong_state", "d1", "wrong_state"),
    ("early", "d1", "deadline_before_event"),
    ("bad_finding", "d1", "bad_finding"),
    ("same_id", "d1", "bad_finding"),
]


def _facts(finding: Finding) -> dict[str, Any]:
    return {fact.code: fact.value for fact in finding.facts}


@pytest.mark.parametrize(("reason", "key", "failure"), EVENT_FAILURES)
def test_what_a_rule_does_wrong_with_an_event_is_a_finding_and_its_state_stays(
    reason: str, key: str, failure: str
) -> None:
    log = batch(
        9_000,
        access("e1", 1_000, reason="fine"),
        access("e2", 2_000, reason=reason),
        access("e3", 3_000, reason="tell"),
    )
    failed, told = findings(judge([Naughty()], log))
    assert (failed.rule, failed.phase, failed.onset_event_id) == ("rule_failed", Phase.OPEN, "e2")
    assert (failed.site_id, failed.key, failed.decided_ms) == ("s1", f"naughty/{key}"[:80], T0 + 2_000)
    assert _facts(failed) | {"error_type": ""} == {
        "failed_rule": "naughty",
        "failed_key": key[:80],
        "failure": failure,
        "error_type": "",
    }
    assert Fact(code="n", value=1.0) in told.facts
    assert [failed.number, told.number] == [0, 1]


def test_a_failure_tells_the_kind_of_error_and_never_its_text() -> None:
    (failed,) = findings(judge([Naughty()], batch(9_000, access("e1", 0, reason="raise"))))
    assert _facts(failed)["error_type"] == "ValueError"
    assert "secret" not in repr(failed)


def test_other_rules_and_other_keys_go_on() -> None:
    log = batch(
        9_000,
        access("e1", 1_000, granted=False, reason="raise"),
        access("e2", 2_000, "d2", granted=False, reason="tell"),
    )
    found = findings(judge([Naughty(), Denial()], log))
    assert [f.rule for f in found] == ["denial", "rule_failed", "denial", "naughty"]


@pytest.mark.parametrize(("reason", "failure"), [("stuck", "deadline_not_later"), ("raise_later", "raised")])
def test_a_failed_deadline_is_disabled_until_the_keys_next_event(reason: str, failure: str) -> None:
    engine = engine_of([Naughty()])
    (failed,) = findings(feed_all(engine, [batch(9_000, access("e1", 1_000, reason=reason))]))
    assert (failed.onset_ms, failed.onset_event_id, failed.due_ms) == (T0 + 2_000, None, T0 + 2_000)
    assert (_facts(failed)["failure"], _facts(failed)["failed_key"]) == (failure, "d1")
    assert feed_all(engine, [batch(50_000)]) == []
    (told,) = findings(feed_all(engine, [batch(99_000, access("e2", 60_000, reason="tell"))]))
    assert Fact(code="n", value=1.0) in told.facts


def test_a_failed_deadline_stays_disabled_over_a_restart() -> None:
    engine = engine_of([Naughty()])
    feed_all(engine, [batch(9_000, access("e1", 1_000, reason="raise_later"))])
    row = engine.snapshot("s1")
    assert [state.deadline_failed for state in decode_row(row).states["naughty"]] == [True]
    again = engine_of([Naughty()])
    again.restore([row], engine.manifest())
    assert feed_all(again, [batch(50_000)]) == []


def test_a_late_event_that_an_instant_rule_fails_on_is_a_finding_too() -> None:
    class Careless(Naughty):
        instant = True

    first = batch(9_000, access("e1", 5_000, reason="fine"))
    (failed,) = findings(judge([Careless()], first, batch(None, access("e0", 1_000, reason="raise"))))
    assert (failed.rule, failed.onset_event_id, failed.position) == ("rule_failed", "e0", 1)


def test_a_rule_without_memory_is_no_rules_failure() -> None:
    class Greedy(Naughty):
        def initial(self, key: str) -> Count:
            raise MemoryError

    with pytest.raises(MemoryError):
        judge([Greedy()], batch(9_000, access("e1", 0)))
