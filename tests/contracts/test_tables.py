"""The state tables are complete: every pair is either listed or refused without a trace."""

from __future__ import annotations

import itertools

import pytest

from contracts.cases import CASE_TABLE, CaseState
from contracts.findings import finding_id
from contracts.incidents import (
    ALERT_TABLE,
    FINAL_ALERT_STATES,
    AlertAction,
    AlertState,
    NotAllowed,
    next_alert_state,
)
from contracts.names import Channel, DeviceClass, Topic, is_id, parse_topic


@pytest.mark.parametrize(("state", "action"), list(itertools.product(AlertState, AlertAction)))
def test_every_pair_of_state_and_action_is_listed_or_refused(state: AlertState, action: AlertAction) -> None:
    if (state, action) in ALERT_TABLE:
        assert next_alert_state(state, action) is ALERT_TABLE[state, action]
    else:
        with pytest.raises(NotAllowed, match=f"alert is {state}"):
            next_alert_state(state, action)


def test_final_states_have_no_way_out_and_every_other_state_has_one() -> None:
    assert {state for state, _ in ALERT_TABLE} == set(AlertState) - FINAL_ALERT_STATES


def test_every_alert_state_can_be_reached_from_new() -> None:
    assert set(ALERT_TABLE.values()) | {AlertState.NEW} == set(AlertState)


def test_a_case_can_be_evaluated_or_voided_from_wherever_it_stands() -> None:
    reach = {CaseState.EVALUATED, CaseState.VOIDED}
    for _ in CaseState:
        reach |= {state for (state, _), target in CASE_TABLE.items() if target in reach}
    assert reach == set(CaseState)


def test_a_topic_survives_being_written_and_parsed() -> None:
    for device_class, channel in itertools.product(DeviceClass, Channel):
        topic = Topic("s-1", device_class, "d_1", channel)
        assert parse_topic(str(topic)) == topic


@pytest.mark.parametrize("text", ["", "A", "-a", "a" * 41, "a/b", "a b", "ä", "a\n"])
def test_a_malformed_id_is_none(text: str) -> None:
    assert not is_id(text)


def test_finding_ids_differ_in_every_part() -> None:
    base = ("s1", "rule", "key", 5, "e1", 0)
    others = [("s2", *base[1:]), ("s1", "r2", *base[2:]), (*base[:3], 6, "e1", 0), (*base[:4], None, 0), (*base[:5], 1)]
    ids = {finding_id(*base), *(finding_id(*other) for other in others)}
    assert len(ids) == 1 + len(others)
