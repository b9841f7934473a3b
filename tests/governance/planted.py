"""A reference as it is planted for tests of erasure, and where it can be read."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text

from contracts.erasure import Erasure, ReferenceKey
from contracts.errors import RejectReason
from contracts.events import (
    AccessAttempted,
    Configuration,
    ConsentRecorded,
    Credential,
    EvidenceRef,
    ReferenceKind,
    VehicleRegistered,
)
from contracts.findings import Fact, Finding, Subject, SubjectKind
from contracts.names import DeviceClass
from evidence.files import EvidenceFiles
from evidence.store import SiteFile, settle_evidence
from incidents.store.records import EvidenceState
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetter, DeadLetters
from streams.archive.archive import Archive
from system.clock import wall_ms
from tests.incidents.builders import make_finding, still
from tests.ingest.builders import device, site

REF = "pr-7f3a9c1e5d"
OTHER = "pr-of-a-neighbour"
_TABLES = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('public', 'inventory')"
STILL, SEEN = b"a still of an incident" * 50, b"a still of a passage" * 50


def sha_of(data: bytes) -> str:
    """The name of evidence."""
    return hashlib.sha256(data).hexdigest()


def planted_erasure(folder: Path, ref: str = REF) -> Erasure:
    """The erasure of the reference from everything up to now, under the key of the installation in ``folder``."""
    key = ReferenceKey(bytes.fromhex((folder / "erasure.key").read_text()))
    return Erasure("s1", ReferenceKind.PERSON, key.digest_of("s1", ReferenceKind.PERSON, ref), wall_ms())


def passage(event_id: str, at_ms: int, ref: str = REF, evidence: tuple[EvidenceRef, ...] = ()) -> AccessAttempted:
    """A passage by face at the gate."""
    return AccessAttempted(
        event_id=event_id,
        site_id="s1",
        source_id="g1",
        place_id="door-1",
        at_ms=at_ms,
        received_ms=at_ms,
        credential=Credential.FACE,
        granted=True,
        person_ref=ref,
        evidence=evidence,
    )


def planted_records() -> list[Configuration]:
    """A site, its gate, and two rows that name the reference."""
    base: dict[str, Any] = {
        "event_id": "",
        "site_id": "s1",
        "source_id": "config",
        "place_id": "s1",
        "at_ms": 1,
        "version": 0,
    }
    return [
        site(),
        device("g1", DeviceClass.GATE, place_id="door-1"),
        ConsentRecorded(**base, subject_ref=REF, purpose="absence", granted=True),
        VehicleRegistered(**base, vehicle_id="bike-1", owner_refs=(REF, OTHER)),
    ]


def planted_finding(onset_ms: int) -> Finding:
    """A finding about them, with a still."""
    return make_finding(
        rule="presence",
        key=f"gate/{REF}",
        onset_ms=onset_ms,
        subject=Subject(SubjectKind.PERSON, REF),
        place_id="door-1",
        facts=(Fact(code="listed", value=REF),),
        evidence=(still(sha_of(STILL)),),
    )


def plant_letter(folder: Path) -> None:
    """A dead letter as an earlier version wrote it: with what a device had said."""
    letter = DeadLetter(
        at_ms=wall_ms(), reason=RejectReason.BAD_ID, source="s1/g1", size=2, sha256=sha_of(b"{}"), topic="linli/v1/x",
        detail=f"source_id '{REF}' does not match", excerpt="{}",
    )  # fmt: skip
    with closing(DeadLetters(folder)) as letters:
        letters.add(letter)
        letters.flush(wall_ms())


def plant_evidence(folder: Path, store: Store, data: bytes) -> None:
    """The bytes as box b1 has uploaded them."""
    files = EvidenceFiles(folder)
    with files.upload("b1", sha_of(data), 0) as part:
        part.append(data)
    files.finish("b1", sha_of(data))
    with store.write() as connection:
        settle_evidence(
            connection,
            SiteFile("s1", sha_of(data)),
            EvidenceState.PRESENT,
            wall_ms(),
            box_id="b1",
            size_bytes=len(data),
            reason="",
        )


def tables_naming(store: Store) -> set[str]:
    """Every table of PostgreSQL in which some row holds the reference as text or as bytes."""
    found = set()
    with store.read() as connection:
        for schema, table in connection.execute(text(_TABLES)).all():
            row = f"CAST({table} AS text)"
            query = f"SELECT count(*) FROM {schema}.{table} WHERE {row} LIKE '%{REF}%' OR {row} LIKE '%{REF.encode().hex()}%'"  # noqa: E501
            if connection.execute(text(query)).scalar():
                found.add(f"{schema}.{table}")
    return found


def places(folder: Path) -> set[str]:
    """Every place where the reference can be read: raw bytes of any file, and what is compressed or sealed in them."""
    found = {_name(folder, path) for path in folder.rglob("*") if path.is_file() and _holds(path.read_bytes())}
    for path in folder.rglob("*.db"):
        if path.name != "mosquitto.db" and any(_holds(blob) for blob in _inflated(path)):
            found.add(_name(folder, path))
    with closing(DeadLetters(folder / "dead-letters")) as letters:
        if _holds(msgspec.json.encode(letters.list(1_000))):
            found.add("dead-letters")
    with closing(Archive(folder / "archive")) as archive:
        parts = [part for segment in archive.catalogue.segments() for part in archive.read(segment)]
        if _holds(msgspec.json.encode(parts)):
            found.add("segments")
        parts = [part for head in archive.catalogue.open_heads() for part in archive.read_open(head)]
        if _holds(msgspec.json.encode(parts)):
            found.add("open days")
    return found


def _holds(data: bytes) -> bool:
    return REF.encode() in data


def _name(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder)).removesuffix("-wal").removesuffix("-shm")


def _inflated(path: Path) -> list[bytes]:
    found = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f"SELECT * FROM {table}"):
                for cell in row:
                    if isinstance(cell, bytes) and cell[:1] == b"\x78":
                        with suppress(zlib.error):  # what is sealed may begin so by chance
                            found.append(zlib.decompress(cell))
    return found
