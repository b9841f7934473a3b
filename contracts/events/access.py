"""Gates and doors: credentials shown, doors opened, people passing."""

from __future__ import annotations

import enum

from contracts.events.envelope import Event, PersonRef, Score, Seq, ShortText


class Credential(enum.StrEnum):
    """What was shown to a gate."""

    FACE = "face"
    CARD = "card"
    QR = "qr"
    PIN = "pin"
    FINGERPRINT = "fingerprint"
    ID_CARD = "id_card"
    REMOTE = "remote"  # opened from a phone or the guard's desk
    BUTTON = "button"  # the exit button inside
    NONE = "none"


class Direction(enum.StrEnum):
    """Seen from the community: ``in`` enters it, the building or the unit."""

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


class AccessAttempted(Event, frozen=True, kw_only=True, tag="access_attempted"):
    """Someone showed a credential to a gate (or a button or remote opened it). ``place_id`` is the door."""

    credential: Credential
    granted: bool
    direction: Direction = Direction.IN
    person_ref: PersonRef | None = None
    registration_id: ShortText | None = None  # the visitor registration that the credential belongs to
    reason: ShortText | None = None  # of a denial: unknown_face, expired, wrong_pin, not_allowed, antipassback, duress
    quality: Score | None = None


class DoorState(enum.StrEnum):
    """What a door contact or the gate's own logic reports."""

    OPEN = "open"
    CLOSED = "closed"
    FORCED = "forced"
    HELD_OPEN = "held_open"


class DoorChanged(Event, frozen=True, kw_only=True, tag="door_changed"):
    """A door's state as its contact reports it. A repeated state is no change. ``place_id`` is the door."""

    state: DoorState


class PassageObserved(Event, frozen=True, kw_only=True, tag="passage_observed"):
    """One person crossed a door's line (a camera's track, or a turnstile's count). No identity."""

    direction: Direction
    track_id: Seq
    score: Score = 1.0
