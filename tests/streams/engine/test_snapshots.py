"""Rows and manifests: what they cover, what is refused, and that rows written long ago can still be read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.errors import LogBroken, Permanent
from contracts.events import BacklogDrained, DoorState, IngestInterrupted, Lane, SpoolMark
from streams.engine import snapshot
from streams.engine.engine import Engine, SnapshotAnchor
from streams.engine.manifest import decode_manifest
from streams.engine.shared_buffers import SharedBuffers, fold, unfold
from streams.engine.snapshot import SnapshotRow, decode_row
from tests.streams.golden import GOLDEN_ROW, GOLDEN_SHARED_ROW, GOLDEN_SHIFTED_ROW
from tests.streams.rules import RULES, Held, Silence
from tests.streams.support import (
    T0,
    access,
    batch,
    device,
    door,
    engine_of,
    feed_all,
    findings,
    of,
    passage,
    reported,
    seen,
    threshold,
)


def _lived() -> Engine:
    """An engine whose one site has something of everything a row can hold."""
    engine = engine_of(RULES)
    spool = SpoolMark("box1", "sp1", Lane.BACKLOG, 7)
    feed_all(
        engine,
        [
            batch(
                None,
                device(1, 0, "d1"),
                threshold(2, 0, "held", "held_ms", 9_000),
                of(IngestInterrupted, "i1", 100, "ingest", from_ms=T0, to_ms=T0 + 50),
                access("a1", 1_000, granted=False),
                door("o1", 1_000, state=DoorState.OPEN),
                reported("r1", 1_500, seq=1),
            ),
            batch(5_000, seen("b1", 4_000), passage("p1", 4_900, place_id="door1")),
            batch(5_100, passage("p0", 100, spool=spool, stored=True, received_ms=5_000)),
        ],
    )
    return engine


def test_a_row_of_schema_1_can_still_be_read() -> None:
    content = decode_row(GOLDEN_ROW)
    assert content.v == 1
    assert (content.site_id, content.position, content.log_id) == ("s1", 2, "log1")
    assert content.views[0].thresholds == {"held.held_ms": 9_000.0}
    assert [[event.event_id for event in row.events] for row in content.groups] == [[], [], ["b1", "p1"]]
    assert {rule: [state.key for state in states] for rule, states in content.states.items()} == {
        "denial": ["d1"],
        "held": ["d1"],
        "silence": ["d1"],
    }
    assert (sorted(content.dedup.ids), list(content.dedup.lanes)) == (["c1", "d1", "ingest"], ["box1"])
    assert list(content.rejudging.windows) == ["box1/sp1"]


def test_a_row_of_schema_2_can_still_be_read() -> None:
    content = decode_row(GOLDEN_SHARED_ROW)
    assert (content.site_id, content.position, content.offset_ms) == ("s1", 2, 0)
    assert [[event.event_id for event in row.events] for row in content.groups] == [[], [], ["b1", "p1"]]
    assert list(content.rejudging.windows) == ["box1/sp1"]


def test_a_row_of_schema_3_can_still_be_read() -> None:
    content = decode_row(GOLDEN_SHIFTED_ROW)
    assert (content.v, content.site_id, content.position, content.offset_ms) == (3, "s1", 3, -18_000_000)
    assert [[event.event_id for event in row.events] for row in content.groups] == [[], [], ["b1", "p1", "b2"]]
    assert content.dedup.shifted_ms == -18_000_000
    assert list(content.rejudging.windows) == ["box1/sp1"]


def test_an_engine_restored_from_a_golden_row_goes_on_like_one_that_never_stopped() -> None:
    rest = [batch(15_101), batch(70_000, reported("r2", 60_000, seq=2)), batch(900_000)]
    lived = _lived()
    row = msgspec.structs.replace(GOLDEN_ROW, digest=lived.digest)
    engine = engine_of(RULES)
    lived.snapshot("s1")
    assert engine.restore([row], lived.manifest()) == 3
    assert feed_all(engine, rest) == feed_all(lived, rest) != []


def test_a_restored_site_has_one_view_per_class() -> None:
    engine = engine_of([Silence(), Held()])
    feed_all(engine, [batch(500, device(1, 0, "d1"))])
    again = engine_of([Silence(), Held()])
    again.restore([engine.snapshot("s1")], engine.manifest())
    opened = door("o1", 950, state=DoorState.OPEN)
    (held,) = findings(
        feed_all(again, [batch(1_100, opened, threshold(2, 1_000, "held", "held_ms", 1)), batch(40_000)])
    )
    assert held.decided_ms == T0 + 30_950


def test_only_changed_sites_are_listed_longest_ago_first() -> None:
    engine = engine_of(RULES)
    engine.feed(batch(1_000, access("a", 0, site_id="s2")), 0)
    engine.feed(batch(1_000, access("a", 0), access("b", 0, site_id="s2")), 1)
    assert engine.changed_sites() == ["s2", "s1"]
    engine.snapshot("s2")
    assert engine.changed_sites() == ["s1"]
    engine.feed(batch(1_500), 2)
    assert engine.changed_sites() == ["s1"]
    engine.feed(batch(3_500), 3)  # the 2 s class of s2 releases
    assert engine.changed_sites() == ["s1", "s2"]
    assert engine.site_ids() == ["s1", "s2"]


def test_a_batch_that_brings_a_site_nothing_does_not_change_it() -> None:
    engine = engine_of(RULES)
    denied = access("a", 0, granted=False)
    feed_all(engine, [batch(9_000, denied)])
    engine.snapshot("s1")
    feed_all(engine, [batch(90_000), batch(95_000, denied), batch(96_000, access("b", 0, site_id="s2"))])
    assert engine.changed_sites() == ["s2"]


def test_through_is_the_last_position_no_clean_site_has_changed_after() -> None:
    engine = engine_of(RULES)
    feed_all(engine, [batch(1, access("a", 0)), batch(2), batch(3, access("b", 0, site_id="s2"))])
    assert decode_manifest(engine.manifest()).through == -1
    engine.snapshot("s1")
    manifest = decode_manifest(engine.manifest(b"hash"))
    assert (manifest.through, manifest.position, manifest.sites, manifest.record_hash) == (1, 2, {"s1": 2}, b"hash")
    engine.snapshot("s2")
    engine.feed(batch(4), 3)
    assert decode_manifest(engine.manifest()).through == 3


def test_without_a_manifest_rows_say_nothing() -> None:
    engine = engine_of(RULES)
    assert engine.restore([_lived().snapshot("s1")], None) == 0
    assert engine.site_ids() == []


def test_reading_starts_behind_the_oldest_row_that_the_manifest_does_not_confirm() -> None:
    lived = engine_of(RULES)
    feed_all(lived, [batch(1, access("a", 0), access("a", 0, site_id="s2"))])
    old = [lived.snapshot("s1"), lived.snapshot("s2")]
    feed_all(lived, [batch(2, access("b", 1)), batch(3), batch(4)])
    new, manifest = lived.snapshot("s1"), lived.manifest()
    for rows, start in [([new, old[1]], 4), ([*old], 1), ([new], 0), ([old[0]], 0)]:
        assert engine_of(RULES).restore(rows, manifest) == start


def test_the_driver_is_told_which_records_snapshots_rest_on() -> None:
    lived = _lived()
    row, manifest = lived.snapshot("s1", b"hash2"), lived.manifest(b"hash2")
    engine = engine_of(RULES)
    engine.restore([row], manifest)
    assert engine.anchors == (SnapshotAnchor(2, b"hash2"),)


def test_a_row_saved_while_catching_up_keeps_the_position_it_covers() -> None:
    lived = _lived()
    manifest, row = lived.manifest(), lived.snapshot("s1")
    engine = engine_of(RULES)
    assert engine.restore([row], manifest) == 0
    assert engine.snapshot("s1").position == 2
    assert feed_all(engine, [batch(None), batch(None), batch(99_000)]) == []


def _other_log(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return row, msgspec.msgpack.encode(msgspec.structs.replace(decode_manifest(manifest), log_id="log2"))


def _row_of_other_log(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    raw = msgspec.structs.replace(decode_row(row), log_id="log2")
    return msgspec.structs.replace(row, data=zlib.compress(msgspec.msgpack.encode(raw))), manifest


def _other_partitions(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return row, msgspec.msgpack.encode(msgspec.structs.replace(decode_manifest(manifest), partitions=24))


def _other_rules(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return msgspec.structs.replace(row, digest="0" * 24), manifest


def _manifest_of_other_rules(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return row, msgspec.msgpack.encode(msgspec.structs.replace(decode_manifest(manifest), digest="0" * 24))


def _cut(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return msgspec.structs.replace(row, data=row.data[:-9]), manifest


def _not_compressed(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return msgspec.structs.replace(row, data=b"rubbish"), manifest


def _relabelled(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return msgspec.structs.replace(row, position=row.position + 1), manifest


def _newer(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    raw = msgspec.structs.replace(decode_row(row), v=99)
    return msgspec.structs.replace(row, data=zlib.compress(msgspec.msgpack.encode(raw))), manifest


def _newer_manifest(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return row, msgspec.msgpack.encode(msgspec.structs.replace(decode_manifest(manifest), v=99))


def _no_manifest(row: SnapshotRow, manifest: bytes) -> tuple[SnapshotRow, bytes]:
    return row, b"\xc1"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_log, "log_replaced: snapshots are of log log2, the log is log1"),
        (_row_of_other_log, "log_replaced: snapshot of site s1 is of log log2"),
        (_other_partitions, "partition 0 of 24"),
        (_other_rules, "is of rules 000"),
        (_manifest_of_other_rules, "snapshots are of rules 000"),
        (_cut, "is cut"),
        (_not_compressed, "cannot be read"),
        (_relabelled, "labelled s1@3 holds s1@2"),
        (_newer, "has schema 99"),
        (_newer_manifest, "has schema 99"),
        (_no_manifest, "cannot be read"),
    ],
)
def test_what_is_damaged_or_of_another_log_is_refused_loudly(spoil: Callable[..., Any], message: str) -> None:
    lived = _lived()
    row, manifest = spoil(lived.snapshot("s1"), lived.manifest())
    with pytest.raises(LogBroken, match=message):
        engine_of(RULES).restore([row], manifest)


def test_only_a_new_engine_is_restored_and_from_one_row_a_site() -> None:
    lived = _lived()
    row, manifest = lived.snapshot("s1"), lived.manifest()
    with pytest.raises(LogBroken, match="needs a new engine"):
        lived.restore([row], manifest)
    with pytest.raises(LogBroken, match="two snapshots of site s1"):
        engine_of(RULES).restore([row, row], manifest)


def test_a_row_over_8_mib_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MAX_ROW_BYTES", 100)
    with pytest.raises(Permanent, match="snapshot of site s1 is"):
        _lived().snapshot("s1")


def test_a_drain_without_any_rule_leaves_nothing_to_save_but_the_site() -> None:
    engine = engine_of([Held()])
    engine.feed(batch(None, of(BacklogDrained, "b", 0, "box1", spool_id="sp1")), 0)
    again = engine_of([Held()])
    assert again.restore([engine.snapshot("s1")], engine.manifest()) == 1


# --- long buffers -----------------------------------------------------------------------------------------------------


def _queued(count: int) -> Engine:
    """An engine whose one site has so many swipes waiting, each in several groups."""
    engine = engine_of(RULES)
    swipes = [access(f"queued-{n:05}", n % 997, f"d{n % 7}", granted=n % 5 > 0) for n in range(count)]
    feed_all(engine, [batch(None, *swipes[start : start + 100]) for start in range(0, count, 100)])
    return engine


@pytest.mark.parametrize(("count", "version"), [(100, 1), (2_000, 2)])
def test_a_long_buffer_is_written_once_and_a_short_one_as_older_programs_read_it(count: int, version: int) -> None:
    row = _queued(count).snapshot("s1")
    raw = zlib.decompress(row.data)
    assert msgspec.msgpack.decode(raw)[0] == version
    times = {raw.count(f"queued-{n:05}".encode()) for n in range(count)}
    assert times == {1 if version == 2 else 2}
    assert [len(group.events) for group in decode_row(row).groups] == [count, 0, count]


def test_an_engine_restored_from_a_long_buffer_goes_on_like_one_that_never_stopped() -> None:
    rest = [batch(20_000), batch(90_000, access("later", 80_000, granted=False)), batch(900_000)]
    lived = _queued(2_000)
    again = engine_of(RULES)
    again.restore([lived.snapshot("s1")], lived.manifest())
    assert feed_all(again, rest) == feed_all(lived, rest)
    assert decode_row(again.snapshot("s1")) == decode_row(lived.snapshot("s1"))


def test_buffers_that_no_one_order_fits_are_written_as_they_are() -> None:
    one, other = access("a", 5), access("b", 9)
    assert fold(((one, other), (other, one))) is None
    assert fold(((one, other), (other,), ())) == SharedBuffers((one, other), (1, 3))
    assert unfold(SharedBuffers((one, other), (1, 3)), 3) == ((one, other), (other,), ())
