"""Scenes at a unit's door: who shows what, when the door opens, who crosses its line, and when it closes again."""

from __future__ import annotations

import random

import msgspec

from contracts.events import AccessAttempted, Credential, Direction, DoorChanged, DoorState, PassageObserved
from simulator.community import Unit
from simulator.script import Script

STRANGER = "stranger_entry"

CREDENTIALS = (Credential.FACE, Credential.FACE, Credential.FACE, Credential.CARD, Credential.QR, Credential.PIN)
# A stranger's finding may rest on the passage (its onset) and be decided a little later, when no credential came.
DECISION_MS = 60_000


class Person(msgspec.Struct, frozen=True):
    """Someone with a credential of their own."""

    person_ref: str
    credential: Credential


class Door:
    """One door with its gate and camera; scenes are played on it one after another."""

    def __init__(self, script: Script, rng: random.Random, unit: Unit) -> None:
        self.script = script
        self.rng = rng
        self.unit = unit
        self._track = rng.randint(1, 5_000)

    # --- what ordinary people do --------------------------------------------------------------------------------------

    def enter(self, at_ms: int, people: tuple[Person, ...]) -> None:
        """Play people who come in together, each with a credential of their own."""
        show_ms = at_ms
        for person in people:
            self._access(show_ms, person.credential, person_ref=person.person_ref)
            show_ms += self.rng.randint(900, 1_800)
        self._cross_and_close(at_ms, [self._step(show_ms, n) for n in range(len(people))])

    def leave(self, at_ms: int, count: int) -> None:
        """Play people who go out by the exit button."""
        self._access(at_ms, Credential.BUTTON, direction=Direction.OUT)
        self._cross_and_close(at_ms, [self._step(at_ms, n) for n in range(count)], Direction.OUT)

    def visit(self, at_ms: int, registration_id: str, count: int) -> None:
        """Play a registered party that comes in on one QR code of its registration."""
        self._access(at_ms, Credential.QR, registration_id=registration_id)
        self._cross_and_close(at_ms, [self._step(at_ms, n) for n in range(count)])
        self._near_miss(at_ms, "visitor_party")

    def deliver(self, at_ms: int) -> None:
        """Play a courier who is let in from a resident's phone, and leaves five minutes later."""
        self._access(at_ms, Credential.REMOTE)
        self._cross_and_close(at_ms, [self._step(at_ms, 0)])
        self._near_miss(at_ms, "remote_opened")

    # --- what only looks wrong ----------------------------------------------------------------------------------------

    def deny(self, at_ms: int) -> None:
        """Play an unknown face that is denied, tries once more, and goes away."""
        self._denied(at_ms, "unknown_face")
        self._denied(at_ms + self.rng.randint(3_000, 6_000), "unknown_face")
        self._near_miss(at_ms, "denied_and_left")

    def deny_then_card(self, at_ms: int, person: Person) -> None:
        """Play a resident whose face is not recognised, and whose card is."""
        self._denied(at_ms, "unknown_face")
        card_ms = at_ms + self.rng.randint(4_000, 9_000)
        self._access(card_ms, Credential.CARD, person_ref=person.person_ref)
        self._cross_and_close(card_ms, [self._step(card_ms, 0)])
        self._near_miss(at_ms, "denied_then_card")

    # --- what is wrong ------------------------------------------------------------------------------------------------

    def tailgate(self, at_ms: int, person: Person) -> None:
        """Play someone without a credential who follows a resident in."""
        self._access(at_ms, person.credential, person_ref=person.person_ref)
        first = self._step(at_ms, 0)
        second = first + self.rng.randint(1_200, 2_600)
        self._cross_and_close(at_ms, [first, second])
        self._stranger(first, second, "tailgate")

    def denied_tailgate(self, at_ms: int, person: Person) -> None:
        """Play an unknown face that is denied, waits, and follows the next resident in."""
        self._denied(at_ms, "unknown_face")
        self.tailgate(at_ms + self.rng.randint(12_000, 25_000), person)

    def hold_open(self, at_ms: int, person: Person) -> None:
        """Play a resident who holds the door; twenty seconds later somebody else walks in."""
        self._access(at_ms, person.credential, person_ref=person.person_ref)
        self._door(at_ms + 400, DoorState.OPEN)
        first = self._step(at_ms, 0)
        self._pass(first, Direction.IN)
        held_ms = at_ms + 15_000
        self._door(held_ms, DoorState.HELD_OPEN)
        stranger = held_ms + self.rng.randint(3_000, 12_000)
        self._pass(stranger, Direction.IN)
        self._door(stranger + self.rng.randint(2_500, 6_000), DoorState.CLOSED)
        self._stranger(stranger, stranger, "held_open")

    def slip_in(self, at_ms: int) -> None:
        """Play a resident who leaves by the button, and somebody who slips in through the open door."""
        self._access(at_ms, Credential.BUTTON, direction=Direction.OUT)
        out = self._step(at_ms, 0)
        self._door(at_ms + 400, DoorState.OPEN)
        self._pass(out, Direction.OUT)
        inside = out + self.rng.randint(1_000, 2_500)
        self._pass(inside, Direction.IN)
        self._door(inside + 3_000, DoorState.CLOSED)
        self._stranger(inside, inside, "slip_in")

    def overfill(self, at_ms: int, registration_id: str, party_size: int) -> None:
        """Play a party of one person more than its registration has."""
        self._access(at_ms, Credential.QR, registration_id=registration_id)
        steps = [self._step(at_ms, n) for n in range(party_size + 1)]
        self._cross_and_close(at_ms, steps)
        self._stranger(steps[0], steps[-1], "party_exceeded")

    # --- single events ------------------------------------------------------------------------------------------------

    def _step(self, shown_ms: int, number: int) -> int:
        """Return when the ``number``-th person of a group crosses the line."""
        return shown_ms + 1_600 + number * 1_700 + self.rng.randint(0, 700)

    def _cross_and_close(self, opened_ms: int, steps: list[int], direction: Direction = Direction.IN) -> None:
        self._door(opened_ms + self.rng.randint(250, 600), DoorState.OPEN)
        for step in steps:
            self._pass(step, direction)
        self._door(steps[-1] + self.rng.randint(2_000, 4_000), DoorState.CLOSED)

    def _access(
        self,
        at_ms: int,
        credential: Credential,
        *,
        direction: Direction = Direction.IN,
        person_ref: str | None = None,
        registration_id: str | None = None,
    ) -> None:
        self.script.say(
            AccessAttempted(
                **self.script.header(self.unit.gate_id, self.unit.door_id, at_ms),
                credential=credential,
                granted=True,
                direction=direction,
                person_ref=person_ref,
                registration_id=registration_id,
                quality=round(self.rng.uniform(0.82, 0.99), 2) if credential is Credential.FACE else None,
            )
        )

    def _denied(self, at_ms: int, reason: str) -> None:
        self.script.say(
            AccessAttempted(
                **self.script.header(self.unit.gate_id, self.unit.door_id, at_ms),
                credential=Credential.FACE,
                granted=False,
                reason=reason,
                quality=round(self.rng.uniform(0.3, 0.6), 2),
            )
        )

    def _door(self, at_ms: int, state: DoorState) -> None:
        self.script.say(
            DoorChanged(
                **self.script.header(self.unit.gate_id, self.unit.door_id, at_ms),
                state=state,
            )
        )

    def _pass(self, at_ms: int, direction: Direction) -> None:
        self._track += 1
        self.script.say(
            PassageObserved(
                **self.script.header(self.unit.camera_id("door"), self.unit.door_id, at_ms),
                direction=direction,
                track_id=self._track,
                score=round(self.rng.uniform(0.7, 0.98), 2),
            )
        )

    def _stranger(self, from_ms: int, to_ms: int, detail: str) -> None:
        self.script.expect(STRANGER, self.unit.door_id, from_ms, to_ms + DECISION_MS, detail)

    def _near_miss(self, at_ms: int, detail: str) -> None:
        self.script.near_miss(STRANGER, self.unit.door_id, at_ms, at_ms + DECISION_MS, detail)
