"""What people write beside the audit log can be erased and ends; the log holds nothing that a person wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from app.wiring.rule_facts import finding_facts
from console.api.evidence_access_log import EvidenceAccessLog
from contracts.durations import DAY_MS
from contracts.erasure import Erasure, digest_of
from contracts.events import ReferenceKind
from governance import audit
from governance.audit_notes import delete_old_notes, note_of, record_with_note
from governance.holds import add_hold, end_hold, held_now
from governance.incident_erasure import erase_mentions, find_mentions
from incidents.intake.intake import Intake
from incidents.store.schema import holds
from incidents.store.store import Store
from tests.governance.planted import REF
from tests.incidents.builders import T0, ManualClock, make_directory, make_finding, make_store

pytestmark = pytest.mark.usefixtures("on_both")
SHA = "0a" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(make_store(tmp_path)) as opened:
        yield opened


def _incidents(store: Store) -> list[str]:
    intake = Intake(store, make_directory("s1", "s2"), finding_facts(), ["hook"], clock_ms=ManualClock(T0))
    return intake.take([(1, make_finding()), (2, make_finding(site="s2"))]).opened


def _erased(connection: Connection) -> int:
    erasure = Erasure("s1", ReferenceKind.PERSON, digest_of("s1", ReferenceKind.PERSON, REF), T0 + DAY_MS)
    found = find_mentions(connection, erasure)
    erase_mentions(connection, found, T0)
    return found.rows


def test_why_a_picture_was_looked_at_is_erased_and_the_log_stays_whole(store: Store) -> None:
    incident_id, _ = _incidents(store)
    EvidenceAccessLog(store, ManualClock(T0)).record_view("wang", SHA, incident_id, f"asked by {REF}, at the door")
    with store.write() as connection:
        ((look, _),) = [row for row in audit.entries(connection) if row[0].action == "evidence.view"]
        assert (look.actor, look.subject, look.detail) == ("wang", SHA, f'{{"incident":"{incident_id}"}}')
        assert note_of(connection, look.seq) == f"asked by {REF}, at the door"
        assert _erased(connection) == 1
        assert note_of(connection, look.seq).startswith("asked by erased-")
        assert (REF in str(audit.entries(connection)), audit.first_broken(connection)) == (False, None)
        assert _erased(connection) == 0


def test_the_reason_of_a_hold_is_erased_and_not_in_the_audit_log(store: Store) -> None:
    with store.write() as connection:
        add_hold(connection, "s1", None, f"{REF} asked, file 7", "cli", T0)
        assert _erased(connection) == 1
        (reason,) = connection.execute(select(holds.c.reason)).scalars()
        assert reason.startswith("erased-") and reason.endswith(" asked, file 7")
        assert "file 7" not in str(audit.entries(connection))


def test_notes_and_reasons_end_with_the_incidents(store: Store) -> None:
    first, second = _incidents(store)
    with store.write() as connection:
        seqs = [
            record_with_note(connection, "wang", "x", "y", incident_id, "why", at_ms)
            for at_ms, incident_id in ((T0, first), (T0 + DAY_MS, first), (T0, second))
        ]
        ended = add_hold(connection, "s1", None, "over", "cli", T0)
        end_hold(connection, ended.hold_id, "cli", T0 + 1)
        add_hold(connection, "s2", None, "stands", "cli", T0)
        assert delete_old_notes(connection, T0 + DAY_MS, held_now(connection)) == 2
        assert [note_of(connection, seq) for seq in seqs] == ["", "why", "why"]
        assert sorted(connection.execute(select(holds.c.reason)).scalars()) == ["", "stands"]
        assert audit.first_broken(connection) is None
