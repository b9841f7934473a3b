"""Erasing a reference: what names it in events, findings and texts, and what is left in its place. Pure.

References are known here by their digests alone, so whoever keeps the list of what was erased keeps no reference. A
digest is made with the installation's key: without it nobody finds the reference by trying. Digests of earlier versions
were made without; they are recognised until they are replaced, for which the reference need not be known.

A tombstone takes the place of a reference that a row cannot do without. It is the same everywhere, so that what
belonged together still does, and it leads nowhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from contracts.events import (
    AccessAttempted,
    AnyEvent,
    ConsentRecorded,
    Event,
    ReferenceErased,
    ReferenceKind,
    TagSeen,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.events.unread import UnreadEvent
from contracts.findings import Fact, Finding, Subject, SubjectKind

_TOMBSTONE = "erased-"
_TOKEN = re.compile(r"[^\s,;:/|\"'()<>\[\]{}\\\x1f]+")
"""What may be a reference inside a text; keys join their parts with ``/``."""
_SUBJECTS = {
    SubjectKind.PERSON: ReferenceKind.PERSON,
    SubjectKind.VEHICLE: ReferenceKind.VEHICLE,
    SubjectKind.TAG: ReferenceKind.TAG,
}


_KEYED = "k"
"""How a digest with a key begins; one without is hexadecimal alone."""
_NAME = 5
_REST_BYTES = 13
MIN_KEY_BYTES, MAX_KEY_BYTES = 16, 64


class ReferenceKey:
    """The secret with which an installation tells references apart. Without one digests are those of earlier versions.

    ``name`` tells keys apart; it is part of each digest, so that one made with another key is known as such.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        named = hashlib.blake2b(b"name", key=secret, digest_size=8).hexdigest()
        self.name = named[:_NAME] if secret else ""

    def __repr__(self) -> str:
        return f"ReferenceKey({self.name or 'none'})"

    def digest_of(self, site_id: str, kind: ReferenceKind, ref: str) -> str:
        """Return 32 characters that tell a reference of a site without naming it."""
        return self.keyed(digest_of(site_id, kind, ref))

    def keyed(self, digest: str) -> str:
        """Return the digest under the key of one that was made without; one with a key stays as it is."""
        if not self._secret or key_name(digest):
            return digest
        rest = hashlib.blake2b(digest.encode(), key=self._secret, digest_size=_REST_BYTES).hexdigest()
        return f"{_KEYED}{self.name}{rest}"

    def is_foreign(self, digest: str) -> bool:
        """Return whether a digest was made with another key: what it stands for cannot be recognised with this one."""
        return key_name(digest) not in {"", self.name}


UNKEYED = ReferenceKey()


def key_name(digest: str) -> str:
    """Return the name of the key that a digest was made with; empty for none."""
    return digest[1 : 1 + _NAME] if digest.startswith(_KEYED) else ""


class Erasure(msgspec.Struct, frozen=True):
    """One reference of one site is erased from everything received up to ``before_ms``."""

    site_id: str
    kind: ReferenceKind
    digest: str
    before_ms: int


def digest_of(site_id: str, kind: ReferenceKind, ref: str) -> str:
    """Return the digest without a key, as earlier versions kept it: whoever guesses the reference can tell."""
    return hashlib.blake2b("\x1f".join((site_id, kind, ref)).encode(), digest_size=16).hexdigest()


def tombstone_of(digest: str) -> str:
    """Return what stands where the reference stood; a well-formed id."""
    return _TOMBSTONE + digest[:24]


def is_tombstone(text: str) -> bool:
    """Return whether ``text`` stands for an erased reference."""
    return text.startswith(_TOMBSTONE)


def erasure_of(record: ReferenceErased) -> Erasure:
    """Return the erasure that a configuration record orders."""
    return Erasure(record.site_id, record.reference, record.digest, record.before_ms)


def was_erased(finding: Finding) -> bool:
    """Return whether a reference was taken out of ``finding``: it no longer says what was decided under its id."""
    values = (finding.key, finding.subject.ref, *(fact.value for fact in finding.facts if isinstance(fact.value, str)))
    return any(is_tombstone(token) for value in values for token in _TOKEN.findall(value))


class Eraser:
    """Takes the references of ``erasures`` out of whatever it is given. What names none comes back as it was.

    Args:
        key: that their digests were made with; digests without a key are recognised too.
    """

    def __init__(self, erasures: Iterable[Erasure], key: ReferenceKey = UNKEYED) -> None:
        self._key = key
        self._before: dict[str, dict[tuple[ReferenceKind, str], int]] = {}
        for erasure in erasures:
            site = self._before.setdefault(erasure.site_id, {})
            of = (erasure.kind, erasure.digest)
            site[of] = max(site.get(of, 0), erasure.before_ms)

    def event(self, event: AnyEvent) -> AnyEvent | None:
        """Return ``event`` without the references; None when it is about nothing else."""
        kept: AnyEvent | None = event
        if event.site_id in self._before:
            match event:
                case AccessAttempted():
                    kept = self._access(event)
                case TagSeen() if self._names(event, ReferenceKind.TAG, event.tag_id):
                    kept = msgspec.structs.replace(
                        event, tag_id=self.tombstone(event.site_id, ReferenceKind.TAG, event.tag_id)
                    )
                case VisitorRegistered() if self._names(event, ReferenceKind.VISITOR, event.registration_id):
                    kept = None
                case ConsentRecorded() if self._names(event, ReferenceKind.PERSON, event.subject_ref):
                    kept = None
                case VehicleRegistered():
                    kept = self._vehicle(event)
                case UnreadEvent() if self._may_name(event):
                    kept = None
                case _:
                    pass
        return kept

    def finding(self, finding: Finding) -> Finding:
        """Return ``finding`` without the references: tombstones in its key, subject and facts."""
        if finding.site_id not in self._before:
            return finding
        at_ms = finding.decided_ms
        subject, kind = finding.subject, _SUBJECTS.get(finding.subject.kind)
        if kind is not None and self.covers(finding.site_id, kind, subject.ref, at_ms):
            subject = Subject(subject.kind, self.tombstone(finding.site_id, kind, subject.ref))
        key = self.text(finding.site_id, finding.key, at_ms)[:80]
        facts = tuple(self._fact(finding, fact) for fact in finding.facts)
        if (subject, key, facts) == (finding.subject, finding.key, finding.facts):
            return finding
        return msgspec.structs.replace(finding, subject=subject, key=key, facts=facts)

    def text(self, site_id: str, text: str, at_ms: int) -> str:
        """Return ``text`` with a tombstone for every word in it that is one of the references (of any kind)."""
        site = self._before.get(site_id)
        if not site or not text:
            return text
        return _TOKEN.sub(lambda found: self._word(site, site_id, found[0], at_ms), text)

    def words(self, site_id: str, value: Any) -> Any:
        """Return a value of lists and dictionaries with a tombstone for each of the references, in any text of it."""
        match value:
            case str():
                return self.text(site_id, value, 0)
            case dict():
                return {self.words(site_id, key): self.words(site_id, each) for key, each in value.items()}
            case list() | tuple():
                return [self.words(site_id, each) for each in value]
            case _:
                return value

    def covers(self, site_id: str, kind: ReferenceKind, ref: str, at_ms: int) -> bool:
        """Return whether ``ref`` is erased from what was received at ``at_ms``."""
        site = self._before.get(site_id)
        return site is not None and at_ms <= self._erased_before(site, kind, digest_of(site_id, kind, ref))

    def tombstone(self, site_id: str, kind: ReferenceKind, ref: str) -> str:
        """Return what takes the place of ``ref``."""
        return tombstone_of(self._key.digest_of(site_id, kind, ref))

    def _erased_before(self, site: dict[tuple[ReferenceKind, str], int], kind: ReferenceKind, plain: str) -> int:
        """Return up to when a reference is erased, by its digest with the key or without; -1: it is not."""
        return max(site.get((kind, self._key.keyed(plain)), -1), site.get((kind, plain), -1))

    def _access(self, event: AccessAttempted) -> AccessAttempted:
        person, visitor = event.person_ref, event.registration_id
        if person is not None and self._names(event, ReferenceKind.PERSON, person):
            person = None
        if visitor is not None and self._names(event, ReferenceKind.VISITOR, visitor):
            visitor = None
        if (person, visitor) == (event.person_ref, event.registration_id):
            return event
        return msgspec.structs.replace(event, person_ref=person, registration_id=visitor)

    def _vehicle(self, event: VehicleRegistered) -> VehicleRegistered | None:
        if self._names(event, ReferenceKind.VEHICLE, event.vehicle_id):
            return None
        tag_id = event.tag_id
        if tag_id is not None and self._names(event, ReferenceKind.TAG, tag_id):
            tag_id = None
        owners = tuple(ref for ref in event.owner_refs if not self._names(event, ReferenceKind.PERSON, ref))
        if (tag_id, owners) == (event.tag_id, event.owner_refs):
            return event
        return msgspec.structs.replace(event, tag_id=tag_id, owner_refs=owners)

    def _may_name(self, event: UnreadEvent) -> bool:
        """Return whether a word of what cannot be read is one of the references: then it goes as a whole."""
        said = msgspec.msgpack.decode(event.unread.raw)
        return any(self.text(event.site_id, text, event.received_ms) != text for text in texts_in(said))

    def _names(self, event: Event, kind: ReferenceKind, ref: str) -> bool:
        return self.covers(event.site_id, kind, ref, event.received_ms or event.at_ms)

    def _fact(self, finding: Finding, fact: Fact) -> Fact:
        if not isinstance(fact.value, str):
            return fact
        value = self.text(finding.site_id, fact.value, finding.decided_ms)
        return fact if value == fact.value else msgspec.structs.replace(fact, value=value)

    def _word(self, site: dict[tuple[ReferenceKind, str], int], site_id: str, word: str, at_ms: int) -> str:
        for kind in ReferenceKind:
            plain = digest_of(site_id, kind, word)
            if at_ms <= self._erased_before(site, kind, plain):
                return tombstone_of(self._key.keyed(plain))
        return word


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a value of lists and dictionaries, their keys too."""
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield from texts_in(key)
                yield from texts_in(each)
        case list() | tuple():
            for each in value:
                yield from texts_in(each)
        case _:
            pass
