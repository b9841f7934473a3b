"""What the district's bench makes of what it has seen: counting, judging, words."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.district import Judged, Look, Run, report, summary
from bench.log_look import Logged
from bench.mqtt_load import Sent, connect_packet, publish_packet, remaining_length
from bench.processes import Processes
from bench.recovery import Recovery, figures
from contracts.batch import Batch
from contracts.events import DeviceReported, SiteConfigured
from detectors.registry import all_rules

FROM_MS, MINUTE_MS = 1_795_392_000_000, 60_000
RULES = [rule.name for rule in all_rules()]


def said(at_ms: int, n: int = 0) -> DeviceReported:
    return DeviceReported(event_id=f"e{n}", site_id="s", source_id="g", place_id="p", at_ms=at_ms, received_ms=at_ms)


def run(*, over_due_ms: int = 100, lost: int = 0, behind_ms: int = 200) -> Run:
    """Two minutes in which each rule had six incidents a minute, and 1.2 % of 6,000 events changed a finding."""
    logged = Logged()
    for second in range(120):
        at_ms = FROM_MS + second * 1_000
        logged.take(Batch(partition=0, watermark_ms=at_ms, events=tuple(said(at_ms, n) for n in range(50))), 500)
    return Run(
        rate_per_s=50.0,
        from_ms=FROM_MS,
        to_ms=FROM_MS + 2 * MINUTE_MS,
        sent=Sent(messages=6_000 + lost),
        logged=logged,
        cpu_s={"ingest-0": 0.6, "sender": 0.06},
        peak_mb={"ingest-0": 90.0, "sender": 700.0},
        looks=[Look(FROM_MS + n * 5_000, 3, behind_ms, 1.5) for n in range(24)],
        judged=[Judged(RULES[0], FROM_MS + n * 1_600, over_due_ms // 2, over_due_ms) for n in range(72)],
        incidents=[(rule, FROM_MS + n * 10_000) for rule in RULES for n in range(12)],
    )


def test_a_run_that_keeps_up_meets_everything_and_what_does_not_is_said() -> None:
    assert all(figure.met is not False for figure in summary(run()))
    assert not run(over_due_ms=2_500).flat
    assert not run(lost=7).flat
    assert not run(behind_ms=9_000).flat


def test_the_report_counts_each_process_by_the_event_and_the_sender_apart() -> None:
    lines = report(run()).splitlines()
    assert "| ingest-0 | 100.0 | 0% | 90 MB |" in lines
    assert "| sender | 10.0 | 0% | 700 MB |" in lines
    assert "| all but the sender | 100.0 | 0% | |" in lines
    assert sum(line.startswith(("| 1 |", "| 2 |")) for line in lines) == 2
    assert f"| {RULES[0]} | 72 | 50, 50 | 100, 100, 100 |" in lines


def test_configuration_and_empty_records_are_no_events() -> None:
    logged = Logged()
    site = SiteConfigured(event_id="c", site_id="s", source_id="config", place_id="s", at_ms=0, version=1, name="S")
    logged.take(Batch(partition=0, watermark_ms=1, events=(site,)), 10)
    logged.take(Batch(partition=0, watermark_ms=2), 5)
    logged.take(Batch(partition=0, watermark_ms=3, events=(said(FROM_MS), said(FROM_MS + 999, 1))), 20)
    assert (logged.events, logged.empty, logged.sizes) == (2, 2, [2])
    assert logged.between(FROM_MS, FROM_MS + 1_000) == 2
    assert logged.between(FROM_MS + 1_000, FROM_MS + 9_000) == 0


def test_a_process_counts_with_what_it_started() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        processes = Processes({"us": os.getpid(), "child": child.pid})
        processes.look()
        spent_s = processes.cpu_s()
        child.stdin.close()
    assert min(spent_s.values()) >= 0.2  # 0.3 s, counted by the kernel's ticks
    assert processes.peak_mb["us"] > 10


def test_packets_are_mqtt() -> None:
    assert [remaining_length(n).hex() for n in (0, 127, 128, 16_384)] == ["00", "7f", "8001", "808001"]
    assert publish_packet(b"t", b"x", retain=True).hex() == "310400017478"
    assert connect_packet("a").hex() == "100d00044d5154540402000000" + "0161"


def test_recoveries_are_counted_by_partition_and_by_kill() -> None:
    found = [Recovery("worker-0", {0: 8_000, 1: 9_000})] * 10 + [Recovery("worker-1", {2: 13_000})]
    kills, by_partition, by_kill = figures(found)
    assert kills.met
    assert by_partition.met
    assert by_partition.value == "9.0, 9.0, 13.0 s"
    assert by_kill.value == "8.0 and 13.0 s"
