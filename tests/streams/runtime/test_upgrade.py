"""A new version of the rules takes over what the old one drained, once, and nobody decides after it was superseded."""

from __future__ import annotations

import random
import zlib
from base64 import b85decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import LogBroken, Permanent
from contracts.events import DoorState, Event
from contracts.findings import Finding, Output, Severity
from detectors.core.rule import Outcome, Rule
from detectors.core.site_view import SiteView
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.engine.manifest import PartitionManifest, decode_manifest, encode_manifest
from streams.engine.snapshot import SnapshotRow
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.upgrade import Superseded, Takeover, succeeding, takeover
from tests.streams.histories import history
from tests.streams.memory import MemoryCheckpointStore, MemoryLog
from tests.streams.rules import Denial, Held, Tailgate, small_rules
from tests.streams.support import access, batch, door, engine_of, findings, judge, threshold

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
GOLDEN_MANIFEST = b85decode(
    "i=lP_rfhF#Uuk5dY;R{Vsc>O(bZK;HZ*BmpaA9(EX>@6CZgT;qWNBw*b9AC)F{)=}Ze?;|bZKvH0H}6la&u{KZgYXAWMyt?VQc}XbZByKb!TV+"
    "sBmv{X>@6CZUU=vWn*u0WM61ub7;f@0Rp9SX>?_CfueIU0s"
)
"""What an earlier version wrote; never changed, only added to."""


def rules_of(version: int) -> tuple[Any, ...]:
    """The same rules under another version: another digest, the same findings."""

    class Renewed(Denial):
        pass

    Renewed.version = version
    return (Renewed(), *(rule for rule in small_rules() if rule.name != "denial"))


class World:
    """One partition's log and keep, and drivers of any version over them."""

    def __init__(self, batches: Sequence[Any], visible: int | None = None) -> None:
        self.log = MemoryLog(batches, len(batches) if visible is None else visible)
        self.keep = MemoryCheckpointStore()
        self.alarms: list[tuple[DriverAlarm, str]] = []

    def open(self, version: int, *, accept_cut: bool = False) -> PartitionDriver:
        """A worker of this version starts."""
        driver = PartitionDriver(
            self.log,
            self.keep,
            engine_of(rules_of(version)),
            on_alarm=lambda *alarm: self.alarms.append(alarm),
            monotonic_s=lambda: 0.0,
            accept_cut=accept_cut,
        )
        driver.open()
        return driver

    def manifest(self, version: int) -> PartitionManifest:
        """Return what is kept of this version."""
        return decode_manifest(self.keep.kept_manifests[digest_of(version)])


def digest_of(version: int) -> str:
    return engine_of(rules_of(version)).digest


def denials(records: int) -> World:
    """A world with one finding a record, the last two records not there yet."""
    batches = [batch(n * 1_000 + 500, access(f"a{n}", n * 1_000, granted=False)) for n in range(records)]
    return World(batches, records - 2)


def ids(outputs: Sequence[Output]) -> list[str]:
    """Return what was found, in order, whichever version said it."""
    return [output.finding_id for output in outputs if isinstance(output, Finding)]


def test_a_new_version_goes_on_where_the_drained_one_stopped() -> None:
    world = denials(6)
    world.open(1).drain()
    world.log.visible = 6
    world.keep.writes.clear()
    world.log.reads.clear()
    world.open(2).save()
    assert world.keep.writes[:2] == [f"save {digest_of(2)}", "finding"]  # the copy is kept before the first finding
    assert [n for n in world.log.reads if n > 3] == [4, 5, 5]  # the last once more, before it is rested on
    assert [f.rule_version for f in world.keep.outputs if isinstance(f, Finding)] == [1, 1, 1, 1, 2, 2]
    assert (world.manifest(2).generation, world.alarms) == (1, [])


def test_without_a_drain_a_new_version_refuses_and_says_what_to_do() -> None:
    world = denials(6)
    world.open(1).save()
    with pytest.raises(Permanent, match=r"have not drained.*SIGTERM.*--accept-cut.*from 4 on twice"):
        world.open(2)
    assert list(world.keep.kept_manifests) == [digest_of(1)]


def test_an_accepted_cut_says_which_positions_are_decided_twice() -> None:
    world = denials(6)
    old = world.open(1)
    old.save()
    world.log.visible = 6
    old.catch_up()
    world.open(2, accept_cut=True)
    assert world.alarms == [
        (
            DriverAlarm.CUT_ACCEPTED,
            f"rules {digest_of(1)} had not drained: positions 4 to 5 may be decided twice, now by {digest_of(2)}",
        )
    ]
    assert world.manifest(2).generation == 1
    assert [f.rule_version for f in findings(world.keep.outputs)] == [1] * 6  # the first stands, and was the same
    assert world.keep.contradictions == []


def test_what_a_version_after_a_cut_says_otherwise_is_named_and_the_first_stands(tmp_path: Path) -> None:
    class Sterner(Denial):
        version = 2
        facts = msgspec.structs.replace(Denial.facts, severity=Severity.CRITICAL)

    log, store = DayLog(tmp_path), SqliteCheckpointStore(tmp_path / "engine.db")
    alarms: list[tuple[DriverAlarm, str]] = []

    def start(rule: Rule[Any], **how: Any) -> PartitionDriver:
        engine = Engine([rule], partition=0, partitions=1, log_id=log.identity())
        driver = PartitionDriver(log, store, engine, on_alarm=lambda *told: alarms.append(told), **how)
        driver.open()
        return driver

    log.append([batch(500, access("a", 0, granted=False))])
    first = start(Denial())
    first.save()
    log.append([batch(n * 1_000 + 500, access(f"b{n}", n * 1_000, granted=False)) for n in range(1, 3)])
    first.catch_up()  # and power is lost before a row is kept
    second = start(Sterner(), accept_cut=True)
    log.append([batch(9_000, access("c", 8_000, granted=False))])
    second.catch_up()
    kept = [found for _, found in store.findings_after(0, 9)]
    assert [(f.onset_event_id, f.severity.value) for f in kept] == [
        ("a", "info"),
        ("b1", "info"),
        ("b2", "info"),
        ("c", "critical"),
    ]
    assert [alarm for alarm, _ in alarms] == [DriverAlarm.CUT_ACCEPTED] + [DriverAlarm.FINDING_CONTRADICTS] * 2
    assert "position 1 (rule version 1) and position 1 (rule version 2) differ in severity" in str(alarms)
    store.close()
    log.close()


def test_a_drained_version_that_starts_again_takes_its_mark_back_before_it_decides() -> None:
    world = denials(6)
    world.open(1).drain()
    world.log.visible = 6
    world.keep.writes.clear()
    world.open(1)
    assert world.keep.writes[:2] == [f"save {digest_of(1)}", "finding"]
    with pytest.raises(Permanent, match="have not drained"):
        world.open(2)


def test_a_version_that_was_superseded_neither_opens_nor_saves() -> None:
    world = denials(6)
    zombie = world.open(1)
    zombie.drain()
    world.open(2)
    with pytest.raises(Superseded, match=r"generation 1\) have taken over.*--accept-cut"):
        world.open(1)
    with pytest.raises(Superseded):
        zombie.save()
    assert world.manifest(1).drained


def test_a_new_version_draws_back_when_an_old_worker_starts_in_the_same_moment() -> None:
    world = denials(6)
    world.open(1).drain()
    undrained = encode_manifest(msgspec.structs.replace(world.manifest(1), drained=False))
    save = world.keep.save

    def save_too_late(rows: Sequence[SnapshotRow], manifest: bytes, digest: str) -> None:
        save([], undrained, digest_of(1))
        save(rows, manifest, digest)

    world.keep.save = save_too_late  # type: ignore[method-assign]
    world.log.visible = 6
    with pytest.raises(Permanent, match="old version was started during the upgrade"):
        world.open(2)
    assert (list(world.keep.kept_manifests), len(world.keep.outputs)) == ([digest_of(1)], 4)


def test_going_back_is_a_takeover_like_any_other_but_must_be_asked_for() -> None:
    world = denials(6)
    world.open(1).drain()
    world.open(2).drain()
    world.log.visible = 6
    world.open(1, accept_cut=True).save()
    assert (world.manifest(1).generation, world.alarms) == (2, [])
    assert len(ids(world.keep.outputs)) == len(set(ids(world.keep.outputs))) == 6


def test_of_two_versions_that_took_over_at_once_every_worker_prefers_the_same() -> None:
    def manifest(digest: str) -> PartitionManifest:
        base = PartitionManifest(
            log_id="l", partition=0, partitions=1, digest=digest, versions={}, through=1, position=1, sites={}
        )
        return msgspec.structs.replace(base, generation=3)

    both = {"a": manifest("a"), "b": manifest("b")}
    assert takeover(both, "b") == Takeover()
    with pytest.raises(Superseded):
        takeover(both, "a")


@pytest.mark.parametrize("what", ["manifest", "row"])
def test_what_a_newer_program_wrote_is_refused_loudly_and_nothing_is_written(what: str) -> None:
    world = denials(6)
    world.open(1).drain()
    if what == "manifest":
        newer = msgspec.structs.replace(world.manifest(1), v=99)
        world.keep.kept_manifests[digest_of(1)] = encode_manifest(newer)
    else:
        row = world.keep.rows[digest_of(1), "s1"]
        content = msgspec.msgpack.decode(zlib.decompress(row.data))
        data = zlib.compress(msgspec.msgpack.encode([99, *content[1:]]))
        world.keep.rows[digest_of(1), "s1"] = msgspec.structs.replace(row, data=data)
    world.keep.writes.clear()
    for version in (1, 2):
        with pytest.raises(LogBroken, match="schema 99, this program reads"):
            world.open(version)
    assert world.keep.writes == []


def test_a_manifest_of_schema_1_can_still_be_read() -> None:
    manifest = decode_manifest(GOLDEN_MANIFEST)
    assert (manifest.v, manifest.drained, manifest.generation, manifest.sites) == (1, False, 0, {"s1": 2})


def test_a_rule_whose_class_is_new_knows_the_configuration_from_the_start() -> None:
    old, new = engine_of([Denial(), Tailgate()]), engine_of([Denial(), Held(), Tailgate()])
    old.feed(batch(9_000, threshold(1, 0, "held", "held_ms", 5_000), access("a", 1_000, granted=False)), 0)
    row = msgspec.structs.replace(old.snapshot("s1"), digest=new.digest)
    new.restore([row], encode_manifest(succeeding(decode_manifest(old.manifest()), new.digest, new.versions)))
    new.feed(batch(10_000, door("o1", 9_500, state=DoorState.OPEN)), 1)
    assert [(f.rule, f.facts[0].value) for f in findings(new.feed(batch(15_000), 2))] == [("held", 1.0)]


@RELAXED
@given(st.integers(0, 2**32))
def test_versions_that_drain_at_any_moment_find_together_what_one_would_have_found(seed: int) -> None:
    rng = random.Random(seed)
    world = World(history(seed, 80), 0)
    ends = sorted(rng.randrange(len(world.log.records) + 1) for _ in range(4))
    for version, end in enumerate([*ends, len(world.log.records)], start=1):
        world.log.visible = end
        driver = world.open(version)
        driver.save(rng.randrange(1, 3))
        driver.drain()
    assert _by_site(world.keep.outputs) == _by_site(judge(small_rules(), *history(seed, 80)))
    assert (world.alarms, world.keep.contradictions) == ([], [])


def _by_site(outputs: Sequence[Output]) -> dict[str, list[str]]:
    sites: dict[str, list[str]] = {}
    for output in outputs:
        if isinstance(output, Finding):
            sites.setdefault(output.site_id, []).append(output.finding_id)
    return sites


class OldState(msgspec.Struct, frozen=True):
    """How an earlier version kept what it had counted."""

    v: int = 1
    n: str = "one"


class Spelling(Denial):
    """Version 1 keeps a word where version 2 keeps a number; its version's number says no more than that."""

    version: ClassVar[int] = 1
    state_type: Any = OldState

    def initial(self, key: str) -> Any:
        return OldState()

    def on_event(self, state: Any, event: Event, site: SiteView) -> Outcome[Any]:
        return Outcome(OldState())


def test_a_state_that_cannot_be_read_says_where_it_lies_and_what_to_do(tmp_path: Path) -> None:
    class Renewed(Denial):
        version = 2

    log, store = DayLog(tmp_path), SqliteCheckpointStore(tmp_path / "engine.db")
    log.append([batch(n * 1_000 + 500, access(f"a{n}", n * 1_000, granted=False)) for n in range(2)])

    def driver(rule: Rule[Any]) -> PartitionDriver:
        return PartitionDriver(log, store, Engine([rule], partition=0, partitions=1, log_id=log.identity()))

    before = driver(Spelling())
    before.open()
    before.drain()
    for _ in range(2):
        with pytest.raises(LogBroken) as raised:
            driver(Renewed()).open()
        said = str(raised.value)
        assert str(tmp_path / "engine.db") in said
        assert "the snapshot of site s1 was kept by another version of denial, and version 2 cannot read" in said
        assert "install the version before" in said and "`linli docs operations` says how" in said
    driver(Spelling()).open()  # what the message promises
    store.close()
    (tmp_path / "engine.db").rename(tmp_path / "taken-away.db")
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    driver(Renewed()).open()
    assert len(store.findings_after(0, 9)) == 2
    store.close()
    log.close()
