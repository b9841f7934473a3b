"""Factories for this room's tests: findings, a site, a clock that only moves when told."""

from __future__ import annotations

from typing import Any

from app.wiring.rule_facts import finding_facts
from contracts.events import DeviceConfigured, EvidenceRef, PlaceConfigured, SiteConfigured
from contracts.findings import Fact, Finding, Phase, Subject, SubjectKind, finding_id, retract_id
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse
from contracts.rules import facts_of
from inventory.directory import MemoryDirectory
from tests.support.stores import make_store

T0 = 1_795_400_000_000  # 2026-11-23 11:33:20 +08:00, 03:33:20 UTC
RULES = finding_facts()
SHA_A = "a" * 64
SHA_B = "b" * 64


__all__ = ["SHA_A", "SHA_B", "T0", "ManualClock", "make_directory", "make_finding", "make_store", "still"]


class ManualClock:
    """Epoch ms that moves only by :meth:`advance`."""

    def __init__(self, now_ms: int = T0) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


def make_finding(
    *,
    rule: str = "stranger_entry",
    site: str = "s1",
    key: str = "door-1",
    onset_ms: int = T0,
    nth: int = 0,
    phase: Phase = Phase.OPEN,
    **changes: Any,
) -> Finding:
    """A finding of an episode that began at ``onset_ms``; its ids are the real ones."""
    opening = finding_id(site, rule, key, onset_ms, None, 0)
    own = retract_id(opening) if phase is Phase.RETRACT else finding_id(site, rule, key, onset_ms, None, nth)
    decided_ms = changes.pop("decided_ms", onset_ms + nth * 1000)
    values: dict[str, Any] = {
        "finding_id": own,
        "open_id": opening,
        "nth": nth,
        "site_id": site,
        "rule": rule,
        "key": key,
        "phase": phase,
        "subject": Subject(SubjectKind.PLACE, key),
        "place_id": key,
        "onset_ms": onset_ms,
        "onset_event_id": None,
        "decided_ms": decided_ms,
        "due_ms": decided_ms + 200,
        "severity": facts_of(RULES, rule).severity,
        "life_safety": facts_of(RULES, rule).life_safety,
        "facts": (Fact(code="gap_s", value=3.2, unit="s", limit=5.0),),
    }
    return Finding(**(values | changes))


def still(sha256: str = SHA_A, **changes: Any) -> EvidenceRef:
    """A reference to a still."""
    values: dict[str, Any] = {
        "evidence_id": f"e-{sha256[:6]}",
        "kind": "still",
        "sha256": sha256,
        "bytes": 1000,
        "mime": "image/jpeg",
        "from_ms": T0,
        "to_ms": T0,
    }
    return EvidenceRef(**(values | changes))


def make_directory(*sites: str, time_zone: str = "Asia/Shanghai") -> MemoryDirectory:
    """Sites with a building ``b1``, a unit, a room 1203 and a door ``door-1`` with gate ``gate-1`` each."""
    directory = MemoryDirectory()
    for site in sites or ("s1",):
        for record in _records(site, time_zone):
            directory.apply(record)
    return directory


def _records(site: str, time_zone: str) -> list[SiteConfigured | PlaceConfigured | DeviceConfigured]:
    base: dict[str, Any] = {"event_id": "c", "site_id": site, "source_id": "config", "place_id": site, "at_ms": 0}
    places = (
        Place(place_id="b1", kind=PlaceKind.BUILDING, use=PlaceUse.COMMON, building="b1", name="1号楼"),
        Place(place_id="u1", kind=PlaceKind.UNIT, use=PlaceUse.COMMON, parent_id="b1", building="b1", name="2单元"),
        Place(place_id="r1203", kind=PlaceKind.ROOM, use=PlaceUse.DWELLING, parent_id="u1", building="b1", floor=12),
        Place(place_id="door-1", kind=PlaceKind.DOOR, use=PlaceUse.ENTRANCE, parent_id="u1", name="单元门"),
    )
    gate = {**base, "place_id": "door-1", "device_id": "gate-1", "device_class": DeviceClass.GATE, "name": "门禁一"}
    return [
        SiteConfigured(**base, version=1, name=f"{site}花园", time_zone=time_zone),
        *(PlaceConfigured(**base, version=n + 2, place=place) for n, place in enumerate(places)),
        DeviceConfigured(**gate, version=9),
    ]
