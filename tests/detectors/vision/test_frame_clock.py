"""Stream times are brought back to the camera's beat."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.vision.frame_clock import SteadyClock


def test_exact_times_pass_unchanged() -> None:
    clock = SteadyClock()
    times = [round(k * 1000 / 29.97) for k in range(300)]
    given = [clock.time_of(t, after_repeat=False) for t in times]
    assert given == pytest.approx(times, abs=1.0)


def test_arrival_jitter_is_taken_out() -> None:
    clock, random = SteadyClock(), np.random.default_rng(3)
    true = np.arange(200) * 40.0
    late = true + random.uniform(0, 15, 200)
    given = np.array([clock.time_of(t, after_repeat=False) for t in late.tolist()])
    beats = np.diff(given[40:])
    assert beats.std() < 0.25 * np.diff(late[40:]).std()
    assert (beats > 0).all()


def test_a_slower_camera_inside_a_faster_file_gets_its_own_beat() -> None:
    clock = SteadyClock()
    slots = [1000 / 30 * np.ceil(k * 50 / (1000 / 30)) for k in range(200)]  # 20 pictures/s in slots of 30
    repeat = [False] + [slots[k] - slots[k - 1] > 40 for k in range(1, 200)]
    given = np.diff([clock.time_of(t, after_repeat=r) for t, r in zip(slots, repeat, strict=True)][40:])
    assert given == pytest.approx(np.full(len(given), 50.0), abs=6.0)


def test_missing_pictures_leave_a_gap_of_whole_beats() -> None:
    clock = SteadyClock()
    times = [k * 40.0 for k in range(50) if k not in (20, 30, 31)]
    assert [clock.time_of(t, after_repeat=False) for t in times] == pytest.approx(times, abs=0.1)


def test_after_a_pause_or_another_rate_it_begins_anew() -> None:
    clock = SteadyClock()
    times = [k * 40.0 for k in range(50)] + [5_000.0 + k * 100.0 for k in range(50)]
    assert [clock.time_of(t, after_repeat=False) for t in times] == pytest.approx(times, abs=0.1)
