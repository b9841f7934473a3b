"""A simulated box numbers its lanes, stores what happens without network, and says when its backlog is empty."""

from __future__ import annotations

import itertools
from collections import defaultdict

from contracts.events import AnyEvent, BacklogDrained, Lane, ObjectFell, SpoolMark
from simulator.faults import FaultKind
from simulator.generate import SimulationRequest, script_site
from tests.simulator.worlds import world


def _rows() -> dict[tuple[str, str, Lane], list[tuple[SpoolMark, AnyEvent]]]:
    rows: dict[tuple[str, str, Lane], list[tuple[SpoolMark, AnyEvent]]] = defaultdict(list)
    for event in world().events:
        if event.spool is not None:
            rows[event.site_id, event.spool.spool_id, event.spool.lane].append((event.spool, event))
    return rows


def test_each_lane_is_gapless_and_in_order_but_for_rows_sent_again() -> None:
    for rows in _rows().values():
        highest = 0
        for mark, _ in rows:
            assert mark.seq <= highest + 1
            highest = max(highest, mark.seq)
        assert len({mark.seq for mark, _ in rows}) == highest


def test_after_each_outage_the_last_live_rows_come_again() -> None:
    again = [rows for key, rows in _rows().items() if key[2] is Lane.LIVE and len({m.seq for m, _ in rows}) < len(rows)]

    assert len(again) == 4  # two sites, two boxes each, one outage each


def test_whatever_is_sent_ten_seconds_late_is_marked_stored_and_nothing_else() -> None:
    for rows in _rows().values():
        for _, event in rows:
            if abs(event.received_ms - event.at_ms - 10_000) > 2_000:
                assert event.stored is (event.received_ms - event.at_ms > 10_000)


def test_backlog_rows_are_from_an_outage_rate_limited_and_ended_by_drained() -> None:
    for (site, spool_id, lane), rows in _rows().items():
        if lane is Lane.LIVE:
            continue
        drained = [
            e for e in world().events if isinstance(e, BacklogDrained) and (e.site_id, e.spool_id) == (site, spool_id)
        ]
        received = [event.received_ms for _, event in rows]
        assert all(b - a >= 50 for a, b in itertools.pairwise(received))
        assert len(drained) == 1
        assert drained[0].received_ms > received[-1]


def test_a_fall_during_an_outage_takes_the_live_lane_and_is_stored() -> None:
    stored = [e for e in world().events if isinstance(e, ObjectFell) and e.stored]

    assert len({e.event_id for e in stored}) >= 4
    assert all(e.spool is not None and e.spool.lane is Lane.LIVE for e in stored)


def test_nothing_of_a_box_arrives_while_it_is_offline() -> None:
    script = script_site(SimulationRequest(seed=3, sites=2), 0)
    for fault in script.faults:
        if fault.kind is FaultKind.OFFLINE:
            during = [
                e
                for e in world().events
                if e.site_id == script.site_id and e.spool is not None and e.spool.box_id == fault.device_id
                if fault.from_ms + 1_000 < e.received_ms < fault.to_ms
            ]
            assert during == []
