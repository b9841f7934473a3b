"""What a receiver is not told, and the reason in the row."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.events import Origin
from contracts.findings import Finding, Phase
from delivery.recording_receiver import RecordingReceiver
from tests.delivery.post import Post
from tests.incidents.builders import T0, make_finding

pytestmark = pytest.mark.usefixtures("on_both")


@pytest.mark.parametrize(
    ("profile", "finding", "reason"),
    [
        ({}, make_finding(origin=Origin.SIMULATED), "origin"),
        ({}, make_finding(origin=Origin.DRILL), "origin"),
        ({}, make_finding(verified=False), "unverified"),
        ({}, make_finding(rule="device_gap"), "severity"),
        ({"sites": ["s2"]}, make_finding(), "site"),
        ({"scenarios": ["smoke_or_heat"]}, make_finding(), "scenario"),
        ({"stale_after_ms": 1000}, make_finding(onset_ms=T0 - 2000), "stale"),
    ],
)
def test_a_muted_row_says_why_and_nothing_is_sent(
    tmp_path: Path, profile: dict[str, object], finding: Finding, reason: str
) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver, **profile)
    post.take(finding)
    post.drain()
    assert post.states() == [("opened", "muted", reason)]
    assert (receiver.got, post.attempts()) == ([], [])


def test_what_is_simulated_goes_only_where_the_profile_allows_it(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver, origins=["live", "simulated"])
    post.take(make_finding(origin=Origin.SIMULATED), make_finding(origin=Origin.DRILL, key="door-2"))
    post.drain()
    assert [state for _, state, _ in post.states()] == ["delivered", "muted"]
    assert len(receiver.got) == 1


def test_a_correction_goes_to_who_was_told_and_to_nobody_else(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver)
    post.take(make_finding(), make_finding(key="door-2", verified=False))
    post.drain()
    post.take(make_finding(phase=Phase.RETRACT, nth=1), make_finding(key="door-2", phase=Phase.RETRACT, nth=1))
    post.drain()
    assert sorted(post.states()) == [
        ("corrected", "delivered", ""),
        ("corrected", "muted", "never_told"),
        ("opened", "delivered", ""),
        ("opened", "muted", "unverified"),
    ]
    assert [delivery.kind.value for delivery in receiver.got] == ["opened", "corrected"]
