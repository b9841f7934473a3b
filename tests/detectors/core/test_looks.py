"""The log's time may jump: an episode that stays open over a year is woken a few dozen times, not every ten minutes."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.durations import DAY_MS
from contracts.events import CameraImpairment
from detectors.core.rule import Episode
from detectors.core.site_view import SiteView
from detectors.devices.camera_impaired import CameraImpaired, ImpairedState
from detectors.devices.device_silent import DeviceSilent, SilenceState

T = 1_760_000_000_000
OPEN = Episode(T, None)


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        (DeviceSilent(), SilenceState(1, "gate-1", T - 60_000, 60_000, T, 0, OPEN)),
        (CameraImpaired(), ImpairedState(1, "cam-1", "hall", T, CameraImpairment.BLACK, OPEN, None, T)),
    ],
    ids=["device_silent", "camera_impaired"],
)
def test_an_open_episode_is_looked_at_a_few_times_in_a_year(rule: Any, state: Any) -> None:
    looks, site = 0, SiteView(site_id="site-1")
    while (due_ms := rule.deadline_ms(state)) < T + 365 * DAY_MS:
        outcome = rule.on_deadline(state, due_ms, site)
        assert outcome.drafts == ()
        state, looks = outcome.state, looks + 1
    assert 20 < looks < 60
