"""Findings are a function of what happened: not of batching, snapshots, restarts, redelivery, neighbours or rubbish."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.batch import Batch
from contracts.events import (
    AccessAttempted,
    AnyEvent,
    ClockStepped,
    ConfigurationRecord,
    DeviceReported,
    DoorState,
    Event,
    IngestInterrupted,
    ObjectFell,
    ObjectObserved,
)
from contracts.events.identity import IN_FLIGHT, own_time_ms
from contracts.findings import Output
from detectors.core.site_view import SiteView
from detectors.registry import all_rules
from simulator.generate import SimulationRequest, generate
from streams.engine.deduplicator import is_telemetry
from streams.engine.engine import Engine
from streams.engine.snapshot import SiteRow, SnapshotRow, decode_row
from tests.streams.histories import cut, history
from tests.streams.rules import RULES, Count, Gathering, Held, Tailgate, small_rules
from tests.streams.support import (
    T0,
    access,
    bare,
    by_site,
    device,
    door,
    engine_of,
    feed_all,
    judge,
    passage,
    reported,
    seen,
    threshold,
)

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
END = Batch(partition=0, watermark_ms=T0 + 1_000_000)
LATEST_MS = 20_000
LIVED_EVENTS, BATCH_EVENTS, CRASHES = 6_000, 16, 20

SAID = st.tuples(
    st.sampled_from(("denied", "granted", "passage", "open", "closed", "report", "seen")),
    st.integers(0, LATEST_MS // 250).map(lambda n: n * 250),  # coarse, so that times and deadlines coincide
    st.sampled_from((0, 0, 1, 499)),
    st.sampled_from(("d1", "d2")),
    st.sampled_from(("s1", "s1", "s1", "s2")),
    st.sampled_from((0, 2_000)) | st.integers(0, 2_000),
)
LIVED = st.lists(SAID, min_size=10, max_size=40) | st.lists(SAID, max_size=9)
LATITUDE_MS = {"denied": 0, "granted": 0, "report": 0, "open": 200, "closed": 200, "passage": 2_000, "seen": 2_000}
"""How long after it happened an event of a kind may arrive: the least bound of the rules that take it."""


def _event(n: int, said: tuple[str, int, int, str, str, int]) -> AnyEvent:
    kind, coarse_ms, fine_ms, source_id, site_id, jitter_ms = said
    at_ms = coarse_ms + fine_ms
    more: dict[str, Any] = {"site_id": site_id, "place_id": "door1"}
    more["received_ms"] = at_ms + min(jitter_ms, LATITUDE_MS[kind])
    match kind:
        case "denied" | "granted":
            return access(f"e{n}", at_ms, source_id, granted=kind == "granted", **more)
        case "open" | "closed":
            return door(f"e{n}", at_ms, source_id, state=DoorState(kind), **more)
        case "passage":
            return passage(f"e{n}", at_ms, source_id, **more)
        case "report":
            return reported(f"e{n}", at_ms, source_id, seq=n, **more)
        case _:
            return seen(f"e{n}", at_ms, source_id, **more)


def _life(said: Sequence[tuple[str, int, int, str, str, int]]) -> list[AnyEvent]:
    """Configuration, then what was said, in order of arrival."""
    records: list[AnyEvent] = [device(1, 0, "d1"), device(2, 0, "d2")]
    records += [threshold(3, 8_000, "held", "held_ms", 4_000), device(1, 0, "d1", site_id="s2")]
    return sorted([*records, *map(_event, range(len(said)), said)], key=lambda event: event.received_ms)


def _clean(events: Sequence[AnyEvent]) -> list[Output]:
    """One batch, in order of event time, everything released at once."""
    whole = Batch(partition=0, watermark_ms=0, events=tuple(sorted(events, key=lambda event: event.at_ms)))
    return judge(RULES, whole, END)


@RELAXED
@given(LIVED, st.integers(0, 2**32))
def test_any_batching_and_any_jitter_within_the_bound_give_the_same_findings(said: list[Any], seed: int) -> None:
    events = _life(said)
    log = cut(random.Random(seed), events)
    assert by_site(judge(RULES, *log, END)) == by_site(_clean(events))


@RELAXED
@given(LIVED, st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20_000)), max_size=20))
def test_redelivery_changes_nothing(said: list[Any], seed: int, again: list[tuple[int, int]]) -> None:
    events = _life(said)
    doubles = [
        msgspec.structs.replace(events[n % len(events)], received_ms=events[n % len(events)].received_ms + later_ms)
        for n, later_ms in again
    ]
    arrived = sorted([*events, *doubles], key=lambda event: event.received_ms)
    assert by_site(judge(RULES, *cut(random.Random(seed), arrived), END)) == by_site(_clean(events))


@pytest.mark.parametrize("seed", range(3))
def test_whole_windows_that_come_again_change_nothing_for_the_real_rules(seed: int) -> None:
    """After a crash of ingest a broker sends again what it had in flight: hundreds of one source, thousands in all."""
    rng = random.Random(seed)
    events = list(generate(SimulationRequest(seed=seed, days=1, sites=2)).events[:LIVED_EVENTS])
    events = sorted([*events, *_loud(events[-1].received_ms)], key=lambda event: event.received_ms)
    log, again = _crashed(rng, events)
    engine, clean = engine_of(all_rules()), engine_of(all_rules())
    decided = by_site(feed_all(engine, log))
    assert decided == by_site(feed_all(clean, [record for record in log if record.watermark_ms]))
    assert engine.counts.duplicates - clean.counts.duplicates == again > 2 * IN_FLIGHT
    assert len(decided) == 2


def _crashed(rng: random.Random, events: Sequence[AnyEvent]) -> tuple[list[Batch], int]:
    """A log in which now and then a window comes again, in a record that tells no time; how many events came again."""
    log, again = [], 0
    starts = range(0, len(events), BATCH_EVENTS)
    crashed = set(rng.sample(starts, CRASHES))
    for start in starts:
        part = events[start : start + BATCH_EVENTS]
        log.append(Batch(partition=0, watermark_ms=part[0].received_ms - 1, events=tuple(part)))
        if start in crashed:
            window = _in_flight(events[: start + BATCH_EVENTS], rng.randrange(1, IN_FLIGHT + 1))
            again += len(window)
            told = tuple(_settled_anew(rng, event, part[-1]) for event in window)
            log.append(Batch(partition=0, watermark_ms=0, events=told))
    log.append(Batch(partition=0, watermark_ms=events[-1].received_ms + 86_400_000))
    return log, again


def _loud(end_ms: int) -> list[AnyEvent]:
    """A denied credential every few milliseconds at one gate of a site: more of one source than a ring would hold."""
    return [
        msgspec.structs.replace(access(f"loud{n}", 0, "loud", granted=False), at_ms=ms, received_ms=ms + 50)
        for n, ms in enumerate(range(end_ms - 4_000, end_ms, 5))
    ]


def _in_flight(events: Sequence[AnyEvent], count: int) -> list[AnyEvent]:
    """The last of them that have an identity and came over the broker."""
    own = (ConfigurationRecord, IngestInterrupted, ClockStepped)
    named: list[AnyEvent] = [event for event in events if not isinstance(event, own) and not is_telemetry(event)]
    return named[-count:]


def _settled_anew(rng: random.Random, event: AnyEvent, last: AnyEvent) -> AnyEvent:
    """The same message as ingest takes it a second time: later, and with what it has learnt of the clock since."""
    by_ms = rng.choice((0, 0, 300, -4_000)) if event.spool is None and not isinstance(event, ObjectFell) else 0
    changed: dict[str, Any] = {"received_ms": last.received_ms}
    if by_ms:
        changed |= {"at_ms": event.at_ms + by_ms, "device_at_ms": own_time_ms(event)}
    return msgspec.structs.replace(event, **changed)


@RELAXED
@given(st.integers(0, 2**32))
def test_a_site_is_judged_as_if_it_were_alone(seed: int) -> None:
    log = history(seed, 80)
    together = judge(small_rules(), *log)
    for site_id in ("s1", "s2", "s3"):
        alone = [
            msgspec.structs.replace(record, events=tuple(e for e in record.events if e.site_id == site_id))
            for record in log
        ]
        assert judge(small_rules(), *alone) == [output for output in together if output.site_id == site_id]


# --- restarts ---------------------------------------------------------------------------------------------------------


class Archive(msgspec.Struct):
    """Every row and manifest that some life of the partition has kept, each site's rows oldest first."""

    rows: dict[str, list[SnapshotRow]] = {}
    manifests: list[bytes] = []

    def live(self, engine: Engine, log: Sequence[Batch], rng: random.Random) -> None:
        """Feed the rest of ``log``, saving some sites and the manifest now and then."""
        for record in log[engine.next_position :]:
            engine.feed(record, engine.next_position)
            if rng.random() < 0.3:
                for site_id in engine.changed_sites()[: rng.randrange(3)]:
                    self._keep(engine.snapshot(site_id))
                if rng.random() < 0.2 and engine.site_ids():
                    self._keep(engine.snapshot(rng.choice(engine.site_ids())))
                self.manifests.append(engine.manifest())

    def choose(self, rng: random.Random) -> tuple[list[SnapshotRow], bytes | None]:
        """Any row of each site (now and then none), and any manifest."""
        rows = [rng.choice(kept) for kept in self.rows.values() if rng.random() < 0.9]
        return rows, rng.choice(self.manifests) if self.manifests and rng.random() < 0.95 else None

    def _keep(self, row: SnapshotRow) -> None:
        self.rows.setdefault(row.site_id, []).append(row)


def _covers(engine: Engine, rows: Sequence[SnapshotRow], site_id: str) -> int:
    """Return what a site's row itself covers; the manifest may only say more, of sites that did not change."""
    return max((row.position for row in rows if row.site_id == site_id), default=-1) if engine.site_ids() else -1


def _final(engine: Engine) -> dict[str, SiteRow]:
    """The whole state of every site, comparable."""
    return {site_id: decode_row(engine.snapshot(site_id)) for site_id in sorted(engine.site_ids())}


@RELAXED
@given(st.integers(0, 2**32))
def test_a_restart_from_any_mixture_of_old_rows_and_manifests_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    log = history(seed, 90)
    clean_engine = engine_of(small_rules())
    clean = feed_all(clean_engine, log)
    archive = Archive({}, [])
    archive.live(engine_of(small_rules()), log, rng)
    for _ in range(4):  # each life begins with what any earlier ones left
        engine = engine_of(small_rules())
        rows, manifest = archive.choose(rng)
        start = engine.restore(rows, manifest)
        if rng.random() < 0.5:
            archive.live(engine, log[: rng.randrange(start, len(log) + 1)], rng)
            continue
        decided = feed_all(engine, log[start:])
        expected = [
            output
            for output in clean
            if output.position >= start and output.position > _covers(engine, rows if manifest else [], output.site_id)
        ]
        assert _by_site_exactly(decided) == _by_site_exactly(expected)
        assert _final(engine) == _final(clean_engine)


def _by_site_exactly(outputs: Sequence[Output]) -> dict[str, list[Output]]:
    """Each site's outputs in order, with positions and numbers."""
    sites: dict[str, list[Output]] = {}
    for output in outputs:
        sites.setdefault(output.site_id, []).append(output)
    return sites


@RELAXED
@given(st.integers(0, 2**32))
def test_saving_at_any_moment_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    log = history(seed, 80)
    engine = engine_of(small_rules())
    decided = []
    for position, record in enumerate(log):
        decided += engine.feed(record, position)
        for site_id in engine.site_ids():
            if rng.random() < 0.3:
                engine.snapshot(site_id)
        engine.manifest()
    assert decided == judge(small_rules(), *log)


# --- what rules are given ---------------------------------------------------------------------------------------------


class Witness(Held):
    """Notes the time and source of every event it is given."""

    def __init__(self, name: str, max_out_of_orderness_ms: int, accepts: tuple[type[Event], ...]) -> None:
        self.name = name  # type: ignore[misc]
        self.max_out_of_orderness_ms = max_out_of_orderness_ms  # type: ignore[misc]
        self.accepts = accepts  # type: ignore[misc]
        self.given: list[Event] = []

    def on_event(self, state: Count, event: Event, site: SiteView) -> Any:
        self.given.append(event)
        return Tailgate().on_event(state, event, site)


@RELAXED
@given(st.integers(0, 2**32))
def test_waiting_rules_get_everything_in_event_time_and_nothing_late_or_stored(seed: int) -> None:
    kinds = (AccessAttempted, ObjectObserved, DeviceReported)
    fusion, single = Witness("fusion", 2_000, kinds), Witness("single", 200, kinds)
    judge([fusion, single, Gathering()], *history(seed, 120))
    for site_id in ("s1", "s2", "s3"):
        times = [event.at_ms for event in fusion.given if event.site_id == site_id]
        assert times == sorted(times)
        for source_id in ("d1", "d2", "c1"):
            own = [e.at_ms for e in single.given if (e.site_id, e.source_id) == (site_id, source_id)]
            assert own == sorted(own)
    assert not [event for event in (*fusion.given, *single.given) if event.stored]
    assert single.given and fusion.given


# --- rubbish ----------------------------------------------------------------------------------------------------------

RUBBISH = st.builds(
    access,
    st.text(max_size=80),
    st.integers(-T0, 2**47 - T0),
    st.sampled_from(("d1", "x" * 40)),
    granted=st.booleans(),
    received_ms=st.integers(-T0, 2**47 - T0),
    stored=st.booleans(),
    seq=st.none() | st.integers(0, 2**53),
    reason=st.none() | st.text(max_size=80) | st.sampled_from(("raise", "early", "stuck", "raise_later", "large")),
)
ANY_BATCH = st.builds(
    Batch,
    partition=st.just(0),
    watermark_ms=st.just(0) | st.integers(0, 2**48),
    events=st.lists(RUBBISH, max_size=8).map(tuple),
)


@RELAXED
@given(st.lists(ANY_BATCH, max_size=8), st.integers(0, 8))
def test_whatever_times_and_texts_events_have_the_engine_goes_on_and_restarts(log: list[Batch], at: int) -> None:
    engine = engine_of(small_rules())
    first = feed_all(engine, log[:at])
    rows = [engine.snapshot(site_id) for site_id in engine.site_ids()]
    manifest = engine.manifest()
    rest = feed_all(engine, log[at:])
    again = engine_of(small_rules())
    assert feed_all(again, log[again.restore(rows, manifest) :]) == rest
    assert [bare(o) for o in first + rest] == [bare(o) for o in judge(small_rules(), *log)]
