"""The watchdog: a process that lives and does nothing is stuck; one that waits for others, or rests, is not."""

from __future__ import annotations

import pytest

from streams.runtime.progress import (
    HOMELESS_S,
    SILENT_S,
    STUCK_S,
    PartitionProgress,
    Stuck,
    Watchdog,
    WorkerProgress,
    decode_progress,
    encode_progress,
)

Partition = PartitionProgress


def judged(report: WorkerProgress, seconds: float, *, last: WorkerProgress | None = None) -> Stuck | None:
    """Return what the watchdog thinks of a worker that says the same every second, and ``last`` at the end."""
    watchdog = Watchdog(0.0)
    for now_s in range(1, int(seconds)):
        watchdog.observe(report, float(now_s))
    watchdog.observe(last or report, seconds)
    return watchdog.check(seconds)


def member(**partition: int | str | bool) -> WorkerProgress:
    return WorkerProgress(member=True, partitions={3: Partition(**partition)})  # type: ignore[arg-type]


def test_a_position_that_stands_though_the_log_is_ahead_is_stuck() -> None:
    stuck = judged(member(position=7, end=9), STUCK_S + 2)
    assert stuck is not None and stuck.partition == 3
    assert "partition 3 stands at position 7" in stuck.why


@pytest.mark.parametrize(
    "report",
    [
        member(position=9, end=9),  # nothing to do
        member(position=9, end=-1),  # nobody knows where the log ends
        member(position=7, end=9, stopped="feeding position 7 failed 3 times"),  # a person has to decide
        member(position=0, end=9, queued=True),  # others are opened before it
        WorkerProgress(member=True, partitions={3: Partition(7, 9)}, waits_for="Kafka does not answer"),
        WorkerProgress(member=True),  # more workers than partitions
        WorkerProgress(member=False, waits_for="Kafka does not answer"),
    ],
)
def test_who_waits_or_has_nothing_to_do_is_not(report: WorkerProgress) -> None:
    assert judged(report, 300.0) is None


def test_one_that_moves_at_all_is_not() -> None:
    assert judged(member(position=7, end=900), STUCK_S + 2, last=member(position=8, end=900)) is None


def test_a_process_outside_its_group_is_stuck_as_after_an_assertion_in_the_assignor() -> None:
    outside = WorkerProgress(member=False)
    assert judged(outside, HOMELESS_S - 1) is None
    stuck = judged(outside, HOMELESS_S + 1)
    assert stuck is not None and "no part in its group" in stuck.why


def test_silence_is_stuck_but_a_pause_of_twenty_seconds_is_not() -> None:
    watchdog = Watchdog(0.0)
    watchdog.observe(member(position=1, end=1), 5.0)
    assert watchdog.check(25.0) is None
    stuck = watchdog.check(5.0 + SILENT_S + 1)
    assert stuck is not None and "said nothing" in stuck.why


def test_a_report_survives_the_pipe() -> None:
    report = WorkerProgress(member=True, partitions={0: Partition(1, 2, 3, "why")}, waits_for="x")
    assert decode_progress(encode_progress(report).strip()) == report
