"""Whatever dies, wherever: the findings are the clean run's, none lost, none twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.batch import Batch
from contracts.findings import Finding
from streams.checkpoints.sqlite import SqliteCheckpointStore
from tests.streams.histories import history
from tests.streams.rules import small_rules
from tests.streams.runtime.crash import Crash, Life
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


KILLS = 15
STEPS_A_LIFE = (10, 40)  # batches a process lives to append: fifteen such lives fill half of the history at most


@pytest.mark.service
def test_a_process_killed_fifteen_times_finds_what_an_undisturbed_one_finds() -> None:
    rng = random.Random(4)
    with fast_folder() as folder:
        clean = _clean(folder / "clean", history(SEED, EVENTS))
        for _ in range(KILLS):
            _kill_after(folder / "killed", batches=rng.randint(*STEPS_A_LIFE))
        with _start(folder / "killed") as last:
            assert last.wait(120) == 0
        store = SqliteCheckpointStore(folder / "killed" / "engine.db")
        after = [finding for _, finding in store.findings_after(0, 1_000_000)]
        store.close()
    assert by_site(after) == by_site(clean)


def _kill_after(folder: Path, *, batches: int) -> None:
    """SIGKILL a process once it said that so many batches are behind it; it is then at work on the next ones."""
    with _start(folder) as child:
        assert child.stdout is not None
        for _ in range(batches):
            assert child.stdout.readline(), "it ended before it was killed"
        child.kill()
        assert child.wait(60) == -signal.SIGKILL, "it ended before it was killed"


def _start(folder: Path) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "tests.streams.runtime.crash_child", str(folder), str(SEED), str(EVENTS)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE)
