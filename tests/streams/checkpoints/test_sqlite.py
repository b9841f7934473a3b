"""``engine.db`` keeps every finding once, in order of decision."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.errors import Permanent
from contracts.findings import Finding, Rejudge
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.snapshot import SnapshotRow
from tests.incidents.builders import T0, make_finding
from tests.streams.damage import damage_tables

REQUEST = Rejudge(site_id="s1", rules=("stranger_entry",), from_ms=T0, to_ms=T0 + 1, position=7, number=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteCheckpointStore]:
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    yield store
    store.close()


def _finding(key: str = "door-1", **changes: Any) -> Finding:
    return msgspec.structs.replace(make_finding(key=key), **changes)


def _row(site_id: str, position: int, data: bytes, digest: str = "rules1") -> SnapshotRow:
    return SnapshotRow(site_id=site_id, digest=digest, position=position, data=data)


def test_findings_come_back_as_they_were_in_order_and_after_a_cursor(store: SqliteCheckpointStore) -> None:
    given = [_finding(f"door-{n}") for n in range(5)]
    assert store.append_findings(given[:2]) == 2
    assert store.append_findings(given[2:]) == 3
    kept = store.findings_after(0, 100)
    assert [finding for _, finding in kept] == given
    numbers = [number for number, _ in kept]
    assert numbers == sorted(set(numbers))
    assert store.findings_after(numbers[2], 1) == kept[3:4]
    assert store.findings_after(numbers[-1], 100) == []


def test_a_known_id_is_ignored_also_when_only_what_rejudging_may_change_differs(store: SqliteCheckpointStore) -> None:
    first = _finding(position=3, number=1)
    again = msgspec.structs.replace(first, position=90, number=0, verified=not first.verified, late_by_ms=5_000)
    assert store.append_findings([first]) == 1
    assert store.append_findings([again, _finding("door-2")]) == 1
    assert [finding for _, finding in store.findings_after(0, 100)] == [first, _finding("door-2")]


def test_a_request_to_judge_again_is_kept_once_and_is_no_finding(store: SqliteCheckpointStore) -> None:
    other = msgspec.structs.replace(REQUEST, number=1)
    assert store.append_findings([REQUEST, other]) == 0
    assert store.append_findings([other, REQUEST, _finding()]) == 1
    assert store.rejudges() == [REQUEST, other]
    assert store.rejudge_count() == 2
    assert len(store.findings_after(0, 100)) == 1


def test_requests_are_counted_after_a_start_and_after_old_ones_are_forgotten(tmp_path: Path) -> None:
    newer = msgspec.structs.replace(REQUEST, position=90)
    with closing(SqliteCheckpointStore(tmp_path / "engine.db")) as first:
        first.append_findings([REQUEST, newer])
    with closing(SqliteCheckpointStore(tmp_path / "engine.db")) as store:
        assert store.rejudge_count() == 2
        store.forget_before(90, 0)
        assert (store.rejudge_count(), store.rejudges()) == (1, [newer])
        store.forget_before(90, 0)
        assert store.rejudge_count() == 1


def test_health_need_not_wait_for_a_file_that_somebody_holds(store: SqliteCheckpointStore) -> None:
    store.append_findings([REQUEST])
    with closing(sqlite3.connect(store.place(), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        writing = threading.Thread(target=lambda: store.append_findings([_finding()]))
        writing.start()
        asked = [store.rejudge_count() for _ in range(1_000)]
        waited = writing.is_alive()  # the writer got nothing yet, and whoever asks was answered
        other.execute("ROLLBACK")
        writing.join()
    assert waited
    assert asked == [1] * 1_000
    assert len(store.findings_after(0, 100)) == 1


def test_a_sites_snapshot_replaces_its_older_one_and_no_other(store: SqliteCheckpointStore) -> None:
    store.save([_row("s1", 4, b"old"), _row("s2", 4, b"two")], b"manifest1", "rules1")
    store.save([_row("s1", 9, b"new")], b"manifest2", "rules1")
    assert store.load("rules1") == ([_row("s1", 9, b"new"), _row("s2", 4, b"two")], b"manifest2")


def test_each_version_of_the_rules_has_its_own_snapshots(store: SqliteCheckpointStore) -> None:
    store.save([_row("s1", 4, b"one")], b"manifest1", "rules1")
    assert store.load("rules2") == ([], None)
    store.save([_row("s1", 5, b"two", "rules2")], b"manifest2", "rules2")
    assert store.load("rules1") == ([_row("s1", 4, b"one")], b"manifest1")


def test_failures_are_counted_by_position_and_say_the_last_error(tmp_path: Path) -> None:
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    assert [store.note_failure(7, "first"), store.note_failure(7, "second"), store.note_failure(9, "x" * 9000)] == [
        1,
        2,
        1,
    ]
    store.close()
    again = SqliteCheckpointStore(tmp_path / "engine.db")
    assert again.failures() == {7: 2, 9: 1}
    assert again.failure_details()[7] == (2, "second")
    assert len(again.failure_details()[9][1]) == 2_000
    again.close()


def test_a_failure_can_be_forgotten_after_an_update(store: SqliteCheckpointStore) -> None:
    store.note_failure(7, "first")
    store.note_failure(9, "other")
    assert (store.forget_failure(7), store.forget_failure(7)) == (True, False)
    assert store.failures() == {9: 1}
    assert store.note_failure(7, "again") == 1


def test_a_store_keeps_its_name_and_another_one_has_another(tmp_path: Path) -> None:
    names = []
    for folder in ("one", "one", "two"):
        store = SqliteCheckpointStore(tmp_path / folder / "engine.db")
        names.append(store.identity())
        store.close()
    assert names[0] == names[1] != names[2]


def test_a_skipped_position_is_remembered(tmp_path: Path) -> None:
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    store.skip(7)
    store.skip(7)
    store.close()
    again = SqliteCheckpointStore(tmp_path / "engine.db")
    assert again.skipped() == {7}
    again.close()


def test_damage_that_shows_only_on_reading_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "engine.db"
    store = SqliteCheckpointStore(file)
    store.append_findings([_finding(f"door-{n}") for n in range(200)])
    store.close()
    damage_tables(file, "findings", "snapshots")
    store = SqliteCheckpointStore(file)
    uses = (
        lambda: store.findings_after(0, 10),
        lambda: store.load("rules1"),
        lambda: store.append_findings([_finding()]),
    )
    for use in uses:
        with pytest.raises(Permanent, match=r"engine\.db is damaged.*restore it or move it away"):
            use()
    assert store.failures() == {}
    store.close()


def test_a_file_that_is_no_database_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "engine.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Permanent, match=r"engine\.db cannot be opened as a database.*restore it or move it away"):
        SqliteCheckpointStore(tmp_path / "engine.db")
