"""What an erasure cannot read keeps nothing else from being erased, and it is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from app.settings.loading import load_settings
from app.wiring.erasure import open_stores
from app.wiring.rule_facts import finding_facts
from app.wiring.run_child import run_settings
from contracts.erasure import Erasure, digest_of
from contracts.errors import ConfigurationError, LogBroken, Permanent, Rejected, RejectReason, Transient
from contracts.events import ReferenceKind
from evidence.files import EvidenceFiles
from governance.erasing import erase, step_over, verify
from governance.erasure_answers import ErasureOutcome, ErasureResult
from governance.erasure_stores import Stores
from incidents.intake.intake import Intake
from incidents.store import schema
from incidents.store.store import Store
from inventory.inventory import Inventory
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms
from tests.governance.planted import REF, SEEN, plant_evidence, planted_finding, sha_of
from tests.incidents.builders import make_directory

NO_HASHES = ["*" * 64, "A" * 64, "../" * 21 + "x", "", "x" * 500]
"""Names that an earlier version took for hashes, and some that it did not."""


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """Every store of one machine, with somebody's incident, their picture, and names that are no hashes."""
    for name, value in run_settings(tmp_path, "mqtt://127.0.0.1:1", 0, "").items():
        monkeypatch.setenv(name, value)
    with closing(Inventory(tmp_path / "config.db")), closing(DayLog(tmp_path)):
        SqliteCheckpointStore(tmp_path / "engine.db").close()
    with closing(Store(f"sqlite:///{tmp_path / 'incidents.db'}")) as store:
        (incident_id,) = (
            Intake(store, make_directory("s1"), finding_facts(), [])
            .take([(1, planted_finding(wall_ms() - 1000))])
            .opened
        )
        plant_evidence(tmp_path / "evidence", store, SEEN)
        with store.write() as connection:
            for n, name in enumerate([*NO_HASHES, sha_of(SEEN)]):
                _name(connection, incident_id, name, n)
    with open_stores(load_settings(), wall_ms) as opened:
        yield opened


def _name(connection: Connection, incident_id: str, name: str, n: int) -> None:
    link = {"incident_id": incident_id, "sha256": name, "evidence_id": f"e{n}", "kind": "still", "mime": "image/jpeg"}
    connection.execute(insert(schema.incident_evidence).values(**link, size_bytes=1, from_ms=1, to_ms=2))
    if name != sha_of(SEEN):
        row = {"site_id": "s1", "sha256": name, "state": "pending", "size_bytes": 1, "reason": "", "asked_ms": 1}
        connection.execute(insert(schema.evidence).values(row))


def _erasure(ref: str = REF) -> Erasure:
    return Erasure("s1", ReferenceKind.PERSON, digest_of("s1", ReferenceKind.PERSON, ref), wall_ms())


def _outcomes(answers: list[ErasureResult]) -> dict[str, ErasureOutcome]:
    return {answer.store: answer.outcome for answer in answers}


def test_a_name_that_is_no_hash_keeps_nobody_from_being_erased(stores: Stores) -> None:
    outcomes = _outcomes(erase(stores, _erasure()))
    assert (outcomes["incidents"], outcomes["evidence"]) == (ErasureOutcome.ERASED, ErasureOutcome.ERASED)
    assert not stores.files.has(sha_of(SEEN))
    assert ErasureOutcome.STILL_THERE not in _outcomes(erase(stores, _erasure("somebody-else"))).values()
    for _, answers in verify(stores):
        assert ErasureOutcome.STILL_THERE not in _outcomes(answers).values()


def test_a_finding_that_cannot_be_read_is_erased_as_a_text(stores: Stores) -> None:
    with stores.store.write() as connection:
        connection.execute(update(schema.findings).values(content=f'{{"broken": "{REF}'))
    assert _outcomes(erase(stores, _erasure()))["incidents"] is ErasureOutcome.ERASED
    with stores.store.read() as connection:
        (content,) = connection.execute(select(schema.findings.c.content)).scalars()
    assert REF not in content and content.startswith('{"broken": "')


@pytest.mark.parametrize(
    "error",
    [
        Permanent("a segment does not open"),
        LogBroken("day file"),
        ConfigurationError("key file"),
        Rejected(RejectReason.BAD_ID, "x"),
        OSError(5, "Input/output error"),
        ValueError("garbage"),
    ],
)
def test_what_a_store_cannot_read_is_said_and_the_rest_is_done(error: Exception) -> None:
    def broken() -> list[ErasureResult]:
        raise error

    (answer,) = step_over("archive", broken)
    assert (answer.store, answer.outcome) == ("archive", ErasureOutcome.STILL_THERE)
    assert answer.detail.startswith(f"cannot be read: {type(error).__name__}: ")


def test_a_server_that_is_away_is_not_stepped_over() -> None:
    def away() -> list[ErasureResult]:
        raise Transient("PostgreSQL does not answer")

    with pytest.raises(Transient):
        step_over("incidents", away)


def test_a_damaged_store_of_pictures_leaves_the_rows_erased(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_files: EvidenceFiles, _sha256: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(EvidenceFiles, "remove", damaged)
    outcomes = _outcomes(erase(stores, _erasure()))
    assert outcomes["incidents"] is ErasureOutcome.STILL_THERE
    assert {"inventory", "log", "archive", "dead letters"} <= set(outcomes)
    monkeypatch.undo()
