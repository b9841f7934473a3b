"""The two runs of chaos: workers over a log that is being loaded, and a whole district under live devices."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from app.settings.settings import Settings
from app.wiring.district import open_cluster, topic_names
from contracts.events import Event
from contracts.findings import Phase
from simulator.files import write_events
from streams.log.kafka.kafka_log import KafkaLogWriter
from system.clock import wall_ms
from tests.chaos.faults import (
    KILLS,
    LISTENING,
    LONG_LISTENING,
    LONG_STORES,
    STORES,
    WORKERS,
    Fault,
    FaultKind,
    plan,
)
from tests.chaos.life import Life, mutes_of
from tests.chaos.progress import ProgressWatch
from tests.chaos.reference import Log, applied, difference, events_in, judged, parsed, per_site, read_log
from tests.chaos.report import Events, Report
from tests.chaos.runner import IN_ORDER, SECOND_OWNER, Runner, settled
from tests.chaos.silence import silences
from tests.chaos.talker import Said, Talker
from tests.chaos.thief import Thief
from tests.chaos.told import Kept, check_told, expected_incidents, kept_in_results, pending, taken
from tests.support.whole_district import District, Plan, running_district

PARTITIONS = 6
SITES = 8
TAIL_S = 15.0
"""So long after the last fault devices speak on, and the file is loaded on: there is something to go on with."""
SHORT_S = 600.0
"""Runs beyond this have time for long outages."""
MUTE_S = 50.0
BOUNDS_S = 3.0
"""Above the bound of every rule: so long after the last event everything about it is decided."""
FILE_START_MS = 1_790_000_000_000
Say = Callable[[str], None]


def workers_under_fire(seed: int, seconds: float, folder: Path, say: Say) -> Report:
    """A file is loaded while workers are killed every 8-16 s, stand still and are ended; one becomes three and one."""
    faults = plan(seed, seconds, (KILLS, WORKERS), scale=True)
    file = folder / "life.jsonl"
    spoken_s = 8 * seconds
    events = Life(seed, SITES).file(FILE_START_MS, spoken_s)
    with file.open("wb") as out:
        write_events(events, out)
    rate = len(events) / (seconds + TAIL_S)
    with running_district(Plan(partitions=PARTITIONS, shards=0, workers=3), folder) as district:
        district.name("load", "log", "load", str(file), "--rate", f"{rate:.0f}")
        settings = district.settings()
        with ProgressWatch(settings) as watch:
            runner = Runner(district, ["worker-0"], say)
            district.parts["load"].start()
            runner.run(faults, seconds)
            recovery_s = _goes_on(runner, watch)
            runner.keep_alive_until(lambda: not district.process("load").running(), "end of loading")
            assert district.process("load").exit_code() == 0, district.process("load").said()
            _judged_all(runner, watch)
            _end_all(runner, district)
        log = read_log(settings)
        exported = parsed(district.linli("findings", "export", "--json").stdout)
        replayed = parsed(district.linli("replay", "--json", str(file)).stdout)
    reference = judged(log)
    same = difference(per_site(replayed, placed=False), per_site(reference, placed=False))
    assert same.none(), f"the log and the file it was loaded from disagree: {same}"
    return Report(
        scenario="workers",
        seed=seed,
        seconds=seconds,
        faults=_kinds(faults),
        events=_events([_said(event) for event in events], log),
        findings=difference(per_site(reference), per_site(exported)),
        recovery_s=recovery_s,
        stalls=watch.stalls(),
        restarts=dict(runner.restarts),
        unexpected_ends=runner.unexpected,
    )


def district_under_fire(seed: int, seconds: float, folder: Path, say: Say) -> Report:
    """Everything at once: devices speak over MQTT while processes and servers die, stand still and are cut off."""
    lanes = (LISTENING, STORES) if seconds <= SHORT_S else (LONG_LISTENING, LONG_STORES)
    faults = plan(seed, seconds, (WORKERS, *lanes), scale=True)
    mutes = mutes_of(seed, SITES, seconds, min(MUTE_S, seconds / 2))
    life = Life(seed, SITES, mutes=mutes)
    size = Plan(
        partitions=PARTITIONS, workers=3, incidents=2, results=True, accounts=True, own_clock=True, small_disk=True
    )
    with running_district(size, folder) as district:
        records = life.records(wall_ms())
        district.put_inventory(records)
        district.name(SECOND_OWNER, "ingest", "run", "--shard", "0/1")
        settings, wanted = district.settings(), ["ingest-0", "worker-0", "incidents-0", "incidents-1", "results"]
        for name in wanted:
            district.parts[name].start()
        district.process("ingest-0").wait_ready()
        assert district.accounts is not None
        speaker = district.accounts.password("simulator")
        talker = Talker(district.mqtt_url, life, seconds + TAIL_S, speaker, district.accounts.ca_file)
        with ProgressWatch(settings) as watch:
            runner = Runner(district, wanted, say)
            thief = runner.disturbances["thief"]
            assert isinstance(thief, Thief)
            talker.start()
            runner.run(faults, seconds)
            recovery_s = _goes_on(runner, watch)
            runner.keep_alive_until(lambda: not talker.talking(), "end of talking")
            unconfirmed = talker.finish()
            past_ms = wall_ms() + int(BOUNDS_S * 1_000)
            runner.keep_alive_until(lambda: settled(lambda: _marks_ms(settings) >= past_ms), "time beyond the end")
            runner.release("ingest-0")
            assert district.process("ingest-0").stop() == 0, district.process("ingest-0").said()[-2_000:]
            log = read_log(settings)
            reference = judged(log)
            _judged_all(runner, watch)
            with district.incidents_store() as store:
                runner.keep_alive_until(lambda: taken(store) >= len(reference), "intake of all findings")
                runner.keep_alive_until(lambda: not pending(store), "end of deliveries")
                expected = expected_incidents(reference, records)
                results = Kept(sum(finding.phase is Phase.OPEN for finding in reference), len(expected))
                runner.keep_alive_until(
                    lambda: settled(lambda: kept_in_results(settings, talker.start_ms) == results),
                    f"results: {results}",
                )
                _end_all(runner, district)
                assert district.receiver is not None
                told = check_told(store, expected, district.receiver)
        exported = parsed(district.linli("findings", "export", "--json").stdout)
    sites = [community.site_id for community in life.communities]
    return Report(
        scenario="district",
        seed=seed,
        seconds=seconds,
        faults=_kinds(faults),
        events=_events(talker.said, log, unconfirmed, broker_died=_died(faults)),
        findings=difference(per_site(reference), per_site(exported)),
        recovery_s=recovery_s,
        stalls=watch.stalls(),
        restarts=dict(runner.restarts),
        unexpected_ends=runner.unexpected,
        silences=silences(reference, mutes, runner.happened, talker.spoken_ms(), sites),
        told=told,
        results=results,
        stolen=thief.heard,
    )


# --- waiting ----------------------------------------------------------------------------------------------------------


def _goes_on(runner: Runner, watch: ProgressWatch) -> float:
    """Until every partition has judged what was written after the last fault; how long after it that was, seconds."""
    ends = _ends(runner, watch)
    runner.keep_alive_until(
        lambda: all(watch.stands()[partition].position > end for partition, end in ends.items()),
        f"progress of every partition beyond {ends}",
    )
    return round(time.monotonic() - runner.last_fault_s, 1)


def _judged_all(runner: Runner, watch: ProgressWatch) -> None:
    """Until every partition has judged what is in the log now."""
    ends = _ends(runner, watch)
    runner.keep_alive_until(
        lambda: all(watch.stands()[partition].position >= end for partition, end in ends.items()),
        f"progress of every partition to {ends}",
    )


def _ends(runner: Runner, watch: ProgressWatch) -> dict[int, int]:
    """Where the partitions end now."""
    looks = watch.looks
    runner.keep_alive_until(lambda: watch.looks > looks + 1, "look at the whole log")
    return {partition: stand.end for partition, stand in watch.stands().items()}


def _end_all(runner: Runner, district: District) -> None:
    """End every process in order; each must say 0."""
    living = [process for process in district.processes("") if process.running()]
    runner.release(*(process.name for process in living))
    for process in living:
        process.resume()
        process.end()
    for process in living:
        code = process.stop()
        if code not in IN_ORDER:
            runner.unexpected.append(f"{process.name} was asked to end and said {code}:\n{process.said()[-1_500:]}")


def _marks_ms(settings: Settings) -> int:
    """The lowest of the partitions' last watermarks."""
    with open_cluster(settings, "chaos-marks") as cluster:
        topic = topic_names(settings).log
        return min(KafkaLogWriter(cluster, topic, [p]).last_watermark_ms() for p in range(PARTITIONS))


# --- counting ---------------------------------------------------------------------------------------------------------


def _kinds(faults: Sequence[Fault]) -> dict[str, int]:
    return dict(Counter(fault.kind.value for fault in faults))


def _said(event: Event) -> Said:
    return Said(event.site_id, event.event_id, event.spool is not None, True, event.at_ms)


def _died(faults: Sequence[Fault]) -> bool:
    return any(fault.kind in (FaultKind.MQTT_KILLED, FaultKind.POWER_CUT) for fault in faults)


def _events(said: Sequence[Said], log: Log, unconfirmed: int = 0, *, broker_died: bool = False) -> Events:
    logged = Counter((event.site_id, event.event_id) for event in events_in(log))
    times = applied(log)
    promised = {(one.site_id, one.event_id): one for one in said if one.promised}
    gone = [one for key, one in promised.items() if key not in logged]
    with_broker = [one for one in gone if broker_died and not one.from_box]
    return Events(
        said=len(promised),
        logged=len(logged),
        doubles=sum(count - 1 for count in logged.values()),
        lost=len(gone) - len(with_broker),
        lost_with_broker=len(with_broker),
        applied_twice=sum(count - 1 for key, count in times.items() if key in promised),
        unconfirmed=unconfirmed,
    )
