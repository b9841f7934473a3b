"""A district under the public mix, MQTT to incident, with every process it needs on this machine.

    python -m bench.district --rate 3000 --minutes 10
    python -m bench.district --find --rate 2000 --minutes 1

mosquitto, Kafka, PostgreSQL (which forces its commits to disk), InfluxDB and each ``linli`` process are real processes;
the sender is one more (``bench.mqtt_load``). The log begins with two hours of history (``bench.mix``). *Over due* is
from the moment a finding was due to its row in the incidents' tables. *Lag* is what the workers say: records of the log
that are not judged, and how old the time is that they have reached. Required: 3,000 messages a second for ten minutes
with flat lag, over due p99 ≤ 2 s, none of our processes above 600 MB; aimed at: 10,000.

``--find`` raises the rate by a quarter each ``--minutes`` until the lag is not flat, and says the last at which it was.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import select

from bench.figures import Figure, machine
from bench.latency import quantile_ms
from bench.log_look import Logged, LogLookup
from bench.mix import MAX_RATE, PARTITIONS, Mix
from bench.mqtt_load import Sent
from bench.processes import Processes
from contracts.findings import Finding
from detectors.registry import all_rules
from incidents.store.schema import findings, incidents
from streams.checkpoints.findings_topic import KafkaFindings
from streams.kafka import KafkaCluster
from streams.topics import TopicNames
from system.clock import wall_ms
from tests.support.parts import LinliProcess
from tests.support.whole_district import District, Plan, running_district

WARM_UP_S = 30.0
"""Left out: connections, the first pages of files, caches."""
LOOK_S = 5.0
READ_FINDINGS = 500
SETTLE_S = 8.0
"""After the last message: the longest bound is 2 s."""
JUDGED_S = 180.0
STEP = 1.25
MAX_OVER_DUE_MS, MAX_BEHIND_MS = 2_000, 2_000
MAX_MB = 600
OURS = ("ingest", "worker", "incidents", "console", "results")
_LAG = re.compile(r'^linli_streams_lag_records\{partition="(\d+)"\} (\S+)', re.MULTILINE)
_AGE = re.compile(r'^linli_streams_watermark_age_seconds\{partition="\d+"\} (\S+)', re.MULTILINE)


class Look(msgspec.Struct, frozen=True):
    """One look at the workers: records not judged, of all partitions; age of the time reached, in the worst one."""

    at_ms: int
    lag_records: int
    behind_ms: int
    load: float


class Judged(msgspec.Struct, frozen=True):
    """A finding of the run: its rule, when it was due, and how long after that it was decided and its row was there."""

    rule: str
    due_ms: int
    decided_after_ms: int
    over_due_ms: int


class Run(msgspec.Struct, kw_only=True):
    """What one run came to. ``incidents``: (scenario, when it was opened)."""

    rate_per_s: float
    from_ms: int
    to_ms: int
    sent: Sent
    logged: Logged
    cpu_s: dict[str, float]
    peak_mb: dict[str, float]
    looks: list[Look]
    judged: list[Judged]
    incidents: list[tuple[str, int]]

    @property
    def events(self) -> int:
        """Events that were logged in the time that was measured."""
        return self.logged.between(self.from_ms, self.to_ms)

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return (self.to_ms - self.from_ms) / 1_000

    @property
    def lost(self) -> int:
        """Messages that were sent and are not in the log."""
        return self.sent.messages - self.logged.events

    @property
    def over_due_ms(self) -> list[int]:
        """Of every finding."""
        return [one.over_due_ms for one in self.judged]

    @property
    def flat(self) -> bool:
        """Whether the district kept up: nothing lost, and at the end as near behind as required."""
        end = [look for look in self.looks if look.at_ms > self.to_ms - 30_000]
        behind_ms = min(look.behind_ms for look in end)
        late_ms = quantile_ms([one.over_due_ms for one in self.judged if one.due_ms > self.to_ms - 30_000], 0.99)
        return self.lost <= self.sent.messages // 1_000 and behind_ms <= MAX_BEHIND_MS and late_ms <= MAX_OVER_DUE_MS


@contextmanager
def loaded_district(mix: Mix, workers: int) -> Iterator[District]:
    """Yield a district whose log holds the mix's history, judged to its end, and whose processes wait for messages."""
    servers = Plan(partitions=PARTITIONS, console=True, results=True, postgres_as_shipped=True)
    plan = msgspec.structs.replace(servers, workers=workers, incidents=1)
    with running_district(plan) as district:
        _say("two hours of history")
        history = district.folder / "history.jsonl"
        history.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in mix.history()))
        district.linli("log", "load", str(history))
        district.put_inventory(mix.records())
        # to the broker as devices reach it, not by the way that tests cut
        district.name("ingest-0", "ingest", "run", "--shard", "0/1", LINLI_MQTT_URL=district.mqtt_url)
        for worker in district.processes("worker"):
            worker.start()  # it has nothing to say when it is ready; its metrics do
        for name in ("incidents-0", "ingest-0", "console", "results"):
            district.start(name)
        _wait_judged(district)
        yield district


def measure(district: District, mix: Mix, seconds: float) -> Run:
    """Send ``mix`` for a warm-up and then for so long, and look."""
    with LogLookup(district.kafka.url) as log:
        with sending(district, mix, WARM_UP_S + seconds) as sender:
            time.sleep(WARM_UP_S)  # the load goes on meanwhile: time is what is waited for
            processes = Processes(pids_of(district) | {"sender": sender.pid})
            from_ms, before_s, looks = wall_ms(), processes.cpu_s(), []
            end_s = time.monotonic() + seconds - 2.0  # the sender began a little earlier than we
            while (left_s := end_s - time.monotonic()) > 0:
                time.sleep(min(left_s, LOOK_S))  # the pace of looking: each costs the district a little
                processes.look()
                looks.append(look_at(district))
            to_ms, after_s = wall_ms(), processes.cpu_s()
            said, _ = sender.communicate(timeout=120)
        time.sleep(SETTLE_S)  # what was due last may still be on its way, and nothing says that it is the last
        logged = log.logged()
    return Run(
        rate_per_s=mix.rate_per_s,
        from_ms=from_ms,
        to_ms=to_ms,
        sent=msgspec.json.decode(said, type=Sent),
        logged=logged,
        cpu_s={name: after_s[name] - was_s for name, was_s in before_s.items()},
        peak_mb=processes.peak_mb,
        looks=looks,
        judged=judged_between(district, from_ms, to_ms),
        incidents=incidents_between(district, from_ms, to_ms),
    )


@contextmanager
def sending(district: District, mix: Mix, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the sender, at work for so long, or until this is left."""
    _say(f"sending {mix.rate_per_s:,.0f} a second")
    arguments = ["--url", district.mqtt_url, "--rate", str(mix.rate_per_s), "--seconds", str(seconds)]
    command = [sys.executable, "-m", "bench.mqtt_load", *arguments, "--start-ms", str(mix.start_ms)]
    sender = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        yield sender
    finally:
        sender.kill()
        sender.communicate()


def pids_of(district: District) -> dict[str, int]:
    """Return every process of the district that runs, by name."""
    return {name: part.pid for name, part in district.parts.items()}


def look_at(district: District) -> Look:
    """Return what the workers' metrics say now."""
    texts = [_metrics_of(worker) for worker in district.processes("worker")]
    lag = sum(float(value) for text in texts for _, value in _LAG.findall(text))
    age_s = max((float(value) for text in texts for value in _AGE.findall(text)), default=0.0)
    return Look(wall_ms(), int(lag), int(age_s * 1_000), os.getloadavg()[0])


def owned_by(worker: LinliProcess) -> list[int]:
    """Return the partitions that a worker has now."""
    return sorted(int(partition) for partition, _ in _LAG.findall(_metrics_of(worker)))


def _metrics_of(process: LinliProcess) -> str:
    url = process.metrics_url()
    if url is None:
        return ""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:  # it has just started, or ended
        return ""


def judged_between(district: District, from_ms: int, to_ms: int) -> list[Judged]:
    """Return the findings that were due between these moments, as far as their rows are there."""
    query = select(findings.c.content, findings.c.taken_ms).where(findings.c.due_ms.between(from_ms, to_ms - 1))
    with district.incidents_store() as store, store.read() as connection:
        rows = connection.execute(query).all()
    decided_ms = _decided_ms(district)
    found = ((msgspec.json.decode(content, type=Finding), taken_ms) for content, taken_ms in rows)
    return [
        Judged(one.rule, one.due_ms, decided_ms[one.finding_id] - one.due_ms, taken_ms - one.due_ms)
        for one, taken_ms in found
    ]


def _decided_ms(district: District) -> dict[str, int]:
    """Return when each finding was first sent, by its id."""
    found: dict[str, int] = {}
    with KafkaCluster(district.kafka.url, "linli-bench") as cluster:
        tails = cluster.tails()
        for partition in range(PARTITIONS):
            topic, n = KafkaFindings(cluster, TopicNames().findings, partition, tails), 0
            while said := topic.records_after(n, READ_FINDINGS):
                at_ms = topic.kept_ms([n for n, _ in said])
                for number, one in said:
                    if isinstance(one, Finding):
                        found.setdefault(one.finding_id, at_ms[number])
                n = said[-1][0]
    return found


def incidents_between(district: District, from_ms: int, to_ms: int) -> list[tuple[str, int]]:
    """Return (scenario, moment) of every incident that was opened between these moments."""
    query = select(incidents.c.scenario, incidents.c.opened_ms).where(incidents.c.opened_ms.between(from_ms, to_ms - 1))
    with district.incidents_store() as store, store.read() as connection:
        return [(scenario, opened_ms) for scenario, opened_ms in connection.execute(query)]


# --- words ------------------------------------------------------------------------------------------------------------


def summary(run: Run) -> Iterator[Figure]:
    """Yield the run in brief, against what is required."""
    p50, p99 = (quantile_ms(run.over_due_ms, q) for q in (0.5, 0.99))
    sizes, minutes, per_s = run.logged.sizes, run.seconds / 60, run.events / run.seconds
    mean_size = sum(sizes) / max(len(sizes), 1)
    opened = Counter(scenario for scenario, _ in run.incidents)
    fewest = min((opened[rule.name] for rule in all_rules()), default=0) / minutes
    changed = len(run.judged) / max(run.events, 1)
    ours_mb = max(mb for name, mb in run.peak_mb.items() if name.startswith(OURS))
    yield Figure("events/s logged; messages sent, lost", f"{per_s:,.0f}; {run.sent.messages:,}, {run.lost}")
    yield Figure("over due at the incident, p50 and p99", f"{p50} and {p99} ms", "p99 ≤ 2,000 ms", met=p99 <= 2_000)
    yield Figure("lag flat", "yes" if run.flat else "no", "yes", met=run.flat)
    yield Figure("findings of events", f"{changed:.2%}", "≥ 1 %", met=changed >= 0.01)
    yield Figure("incidents a minute, rule with fewest", f"{fewest:.1f}", "≥ 5", met=fewest >= 5)
    yield Figure("events a record, mean and p95", f"{mean_size:.1f} and {quantile_ms(sizes, 0.95)}")
    yield Figure("empty records, of all", f"{run.logged.empty / max(run.logged.empty + len(sizes), 1):.0%}")
    yield Figure("memory of our largest process", f"{ours_mb:.0f} MB", "≤ 600 MB", met=ours_mb <= MAX_MB)
    yield Figure("sender late at worst; load of the machine", f"{run.sent.late_ms} ms; {mean_load(run):.1f}")


def mean_load(run: Run) -> float:
    """Return the machine's load average over the run; everything of the run is in it."""
    return sum(look.load for look in run.looks) / max(len(run.looks), 1)


def costs(run: Run) -> Iterator[Figure]:
    """Yield what an event costs each process."""
    for name, cpu_s in sorted(run.cpu_s.items(), key=lambda item: -item[1]):
        yield Figure(f"CPU µs an event, {name}", f"{us_an_event(run, cpu_s):.1f}")
    yield Figure("CPU µs an event, all but the sender", f"{us_an_event(run, _without_sender_s(run)):.0f}")


def us_an_event(run: Run, cpu_s: float) -> float:
    """Return processor time by the event."""
    return cpu_s / max(run.events, 1) * 1e6


def _without_sender_s(run: Run) -> float:
    return sum(cpu_s for name, cpu_s in run.cpu_s.items() if name != "sender")


def report(run: Run) -> str:
    """Return the run as Markdown: in brief, by process, by minute."""
    lines = ["| what | figure | required |", "|---|---|---|", *(figure.row() for figure in summary(run)), ""]
    lines += ["| process | CPU µs an event | of a core | memory |", "|---|---|---|---|"]
    for name, cpu_s in sorted(run.cpu_s.items(), key=lambda item: -item[1]):
        memory = f"{run.peak_mb[name]:.0f} MB"
        lines.append(f"| {name} | {us_an_event(run, cpu_s):.1f} | {cpu_s / run.seconds:.0%} | {memory} |")
    total_s = _without_sender_s(run)
    lines.append(f"| all but the sender | {us_an_event(run, total_s):.1f} | {total_s / run.seconds:.0%} | |")
    return "\n".join([*lines, "", *_by_minute(run), "", *_by_rule(run)])


def _by_rule(run: Run) -> Iterator[str]:
    yield "| rule | findings | ms from due to decided, p50, p99 | to the incident, p50, p99, at most |"
    yield "|---|---|---|---|"
    for rule in all_rules():
        judged = [one for one in run.judged if one.rule == rule.name]
        decided, over = [one.decided_after_ms for one in judged], [one.over_due_ms for one in judged]
        spread = f"{quantile_ms(over, 0.5)}, {quantile_ms(over, 0.99)}, {max(over, default=0)}"
        yield f"| {rule.name} | {len(judged)} | {quantile_ms(decided, 0.5)}, {quantile_ms(decided, 0.99)} | {spread} |"


def _by_minute(run: Run) -> Iterator[str]:
    rules = [rule.name for rule in all_rules()]
    yield f"| minute | lag records | time behind ms | over due p50, p99 ms | {' | '.join(rules)} | load |"
    yield "|" + "---|" * (5 + len(rules))
    for minute in range(math.ceil(run.seconds / 60)):
        from_ms = run.from_ms + minute * 60_000
        looks = [look for look in run.looks if from_ms <= look.at_ms < from_ms + 60_000]
        over = [one.over_due_ms for one in run.judged if from_ms <= one.due_ms < from_ms + 60_000]
        opened = Counter(scenario for scenario, at_ms in run.incidents if from_ms <= at_ms < from_ms + 60_000)
        lag = quantile_ms([look.lag_records for look in looks], 0.5)
        behind = quantile_ms([look.behind_ms for look in looks], 0.5)
        load = sum(look.load for look in looks) / max(len(looks), 1)
        yield (
            f"| {minute + 1} | {lag} | {behind} | {quantile_ms(over, 0.5)}, {quantile_ms(over, 0.99)} | "
            f"{' | '.join(str(opened[rule]) for rule in rules)} | {load:.1f} |"
        )


# --- the command line -------------------------------------------------------------------------------------------------


def main() -> None:
    """Run from the command line; figures on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=3_000.0, help="messages a second; with --find the first one")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--find", action="store_true", help="raise the rate until the lag is not flat")
    options = parser.parse_args()
    start_ms = wall_ms()
    mix = Mix(options.rate, start_ms, options.seed)
    print(f"`python -m bench.district {' '.join(sys.argv[1:])}` on {machine()}\n")
    with loaded_district(mix, options.workers) as district:
        for rate in _rates(options.rate) if options.find else [options.rate]:
            run = measure(district, Mix(rate, start_ms, options.seed), options.minutes * 60)
            print(f"**{rate:,.0f} messages a second, {run.seconds / 60:.1f} minutes, {options.workers} worker(s)**\n")
            print(report(run) + "\n", flush=True)
            if not run.flat:
                break


def _rates(first: float) -> Iterator[float]:
    rates = (first * STEP**step for step in itertools.count())
    return itertools.takewhile(lambda rate: rate <= MAX_RATE, rates)


def _wait_judged(district: District) -> None:
    """Wait until the workers have read what the log holds and stand at ingest's time."""
    end_s = time.monotonic() + JUDGED_S
    while (look := look_at(district)).lag_records or not look.behind_ms or look.behind_ms > MAX_BEHIND_MS:
        if time.monotonic() > end_s:
            raise SystemExit(f"the workers are not ready: {look}")
        time.sleep(0.5)  # metrics can only be asked for


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
