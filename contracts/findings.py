"""Findings: what a rule concluded, in codes and numbers, never prose. Sentences come from the console's catalogues."""

from __future__ import annotations

import enum
import hashlib
from typing import Any, Protocol

import msgspec

from contracts.events import EvidenceRef, Ms, Origin, Score, ShortText
from contracts.names import Id

FINDING_VERSION = 1
RULE_FAILED = "rule_failed"
BATCH_UNREADABLE = "batch_unreadable"
ENGINE_FINDINGS = frozenset((RULE_FAILED, BATCH_UNREADABLE))
"""What the engine itself finds, beside its rules: these stand in ``rule``."""


class Phase(enum.StrEnum):
    """Where a finding stands in its episode; RETRACT is made by the reader, never by a rule."""

    OPEN = "open"
    UPDATE = "update"
    CLOSE = "close"
    RETRACT = "retract"


class Severity(enum.StrEnum):
    """How urgent. What a rule's findings start with stands on the rule."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 (info) … 3 (critical)."""
        return _RANKS[self]


_RANKS = {Severity.INFO: 0, Severity.MINOR: 1, Severity.MAJOR: 2, Severity.CRITICAL: 3}


class SubjectKind(enum.StrEnum):
    """The kind of subject that an incident is about."""

    PERSON = "person"
    VEHICLE = "vehicle"
    TAG = "tag"
    PLACE = "place"
    DEVICE = "device"


class Subject(msgspec.Struct, frozen=True):
    """Person, vehicle or tag reference if known, else the smallest place; a device only for device scenarios."""

    kind: SubjectKind
    ref: ShortText


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reason, as a code with its number, unit and the limit it was held against.

    ``code`` is looked up in the catalogues; ``event_ids`` name the events it rests on.
    """

    code: Id
    value: float | str | bool | None = None
    unit: ShortText = ""
    limit: float | None = None
    event_ids: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conclusion of a rule, complete with its identity.

    ``open_id`` is the finding_id of the episode's OPEN; ``nth`` its number since then (the OPEN is 0).
    ``decided_ms`` is the event time of what decided it, ``due_ms`` the moment it was due: ``received_ms`` of the
    deciding event plus the rule's bound, or the deadline plus the bound. ``position`` is the record that decided it,
    ``number`` its place among that record's findings.
    """

    v: int = FINDING_VERSION
    finding_id: ShortText
    open_id: ShortText
    nth: int
    site_id: Id
    rule: Id
    key: ShortText
    phase: Phase
    subject: Subject
    place_id: Id
    onset_ms: Ms
    onset_event_id: ShortText | None
    decided_ms: Ms
    due_ms: Ms
    severity: Severity
    life_safety: bool = False
    verified: bool = True
    confidence: Score = 1.0
    source_id: Id | None = None
    model: ShortText | None = None
    facts: tuple[Fact, ...] = ()
    evidence: tuple[EvidenceRef, ...] = ()
    late_by_ms: int = 0
    origin: Origin = Origin.LIVE
    config_version: int = 0
    rule_version: int = 1
    position: int = 0
    number: int = 0


def finding_id(site_id: str, rule: str, key: str, onset_ms: int, onset_event_id: str | None, nth: int) -> str:
    """Return the id of a finding: 24 hex digits of a hash of what makes it this one (docs/protocol.md#findings)."""
    text = "\x1f".join((site_id, rule, key, str(onset_ms), onset_event_id or "due", str(nth)))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def content_of(finding: Finding) -> Finding:
    """Return what two findings of one id must have in common (docs/protocol.md#one-id-two-contents).

    When and under which versions it was decided is none of it. What the engine says of a failure rests on the failure
    alone: how it showed the second time (another error, a newer program's words) makes it no other one.
    """
    content = msgspec.structs.replace(finding, **_NO_CONTENT)
    return msgspec.structs.replace(content, **_NO_CONTENT_OF_ENGINE) if finding.rule in ENGINE_FINDINGS else content


_NO_CONTENT: dict[str, Any] = {
    "v": FINDING_VERSION,
    "verified": True,
    "late_by_ms": 0,
    "due_ms": 0,
    "config_version": 0,
    "rule_version": 1,
    "position": 0,
    "number": 0,
}
_NO_CONTENT_OF_ENGINE: dict[str, Any] = {"facts": (), "origin": Origin.LIVE, "place_id": ""}


def trace_id(finding: Finding) -> str:
    """Return what every hop of its story is logged under: the event it began with, else the episode's OPEN."""
    return finding.onset_event_id or finding.open_id


def retract_id(open_id: str) -> str:
    """Return the id of the RETRACT of the episode whose OPEN is ``open_id``."""
    return hashlib.blake2b(f"{open_id}\x1fretract".encode(), digest_size=12).hexdigest()


class Rejudge(msgspec.Struct, frozen=True, kw_only=True):
    """A request, part of the log's output: judge ``rules`` of a site again in event time over ``from_ms…to_ms``."""

    site_id: Id
    rules: tuple[Id, ...]
    from_ms: Ms
    to_ms: Ms
    position: int = 0
    number: int = 0


Output = Finding | Rejudge
"""What the engine gives for a record."""


class FindingsReader(Protocol):
    """Findings in the order in which they were decided, numbered forever: a store's or a topic's."""

    def identity(self) -> str:
        """Return the name of the numbers: they mean nothing in a source with another one."""
        ...

    def findings_after(self, n: int, limit: int) -> list[tuple[int, Finding]]:
        """Return at most ``limit`` findings with a number above ``n``, in order."""
        ...
