"""Whatever dies, wherever: the findings are the clean run's, none lost, none twice."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.batch import Batch
from contracts.findings import Finding
from streams.engine_store import EngineStore
from tests.streams.crash import Crash, Life
from tests.streams.histories import history
from tests.streams.rules import small_rules
from tests.streams.support import by_site
from tests.support.folders import fast_folder

SEED = 77
EVENTS = 6000


def _clean(folder: Path, batches: list[Batch]) -> list[Finding]:
    life = Life(folder, small_rules(), die_in=10**12)
    life.live(batches, save_every=1_000_000)
    return life.findings()


def _live_through_crashes(tmp_path: Path, batches: list[Batch], crashes: int, rng: random.Random) -> list[Finding]:
    """The findings after ``crashes`` crashes at random points, each followed by a start from what lay on disk."""
    folder = tmp_path / "life0"
    done = 0
    while True:
        life = Life(folder, small_rules(), die_in=rng.randrange(1, 320) if done < crashes else 10**12)
        try:
            life.live(batches, save_every=rng.choice([2, 5, 13]))
        except Crash:
            done += 1
            next_folder = tmp_path / f"life{done}"
            life.leave_torn(next_folder, rng)
            folder = next_folder
        else:
            assert done == crashes, f"only {done} crashes happened"
            return life.findings()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_fifty_crashes_torn_at_any_write_change_nothing(seed: int) -> None:
    batches = history(seed, events=1500)
    with fast_folder() as folder:
        clean = _clean(folder / "clean", batches)
        assert len(clean) > 30
        after = _live_through_crashes(folder, batches, 50, random.Random(seed))
    assert by_site(after) == by_site(clean)


@pytest.mark.service
def test_a_process_killed_fifteen_times_finds_what_an_undisturbed_one_finds() -> None:
    rng = random.Random(4)
    with fast_folder() as folder:
        clean = _clean(folder / "clean", history(SEED, EVENTS))
        kills = 0
        while (child := _start(folder / "killed")).poll() is None:
            try:
                child.wait(rng.uniform(0.7, 1.6) if kills < 15 else 120)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                kills += 1
            else:
                assert child.returncode == 0
                break
        store = EngineStore(folder / "killed" / "engine.db")
        after = [finding for _, finding in store.findings_after(0, 1_000_000)]
        store.close()
    assert kills >= 10
    assert by_site(after) == by_site(clean)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.streams.crash_child", str(folder), str(SEED), str(EVENTS)])
