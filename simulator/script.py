"""What is being written about one community: events in true time as they happen, and the truth beside them."""

from __future__ import annotations

import random

from contracts.durations import DAY_MS, HOUR_MS
from contracts.events import AnyEvent, EventHeader, event_header
from simulator.community import TIME_ZONE_OFFSET_MS, Community
from simulator.faults import Fault
from simulator.truth import Truth


class Script:
    """Collects a community's events and truths.

    Life is scripted between ``from_ms`` and ``to_ms``; from there to ``quiet_to_ms`` devices only say that they live.
    ``faults`` are known beforehand.
    """

    def __init__(
        self,
        seed: str,
        community: Community,
        from_ms: int,
        to_ms: int,
        quiet_to_ms: int,
        faults: tuple[Fault, ...],
    ) -> None:
        self.seed = seed
        self.community = community
        self.site_id = community.site_id
        self.from_ms = from_ms
        self.to_ms = to_ms
        self.quiet_to_ms = quiet_to_ms
        self.faults = faults
        self.events: list[AnyEvent] = []
        self.truths: list[Truth] = []
        self.skews_ms: dict[str, int] = {}  # device → how far its clock is off
        self.alarming: dict[
            str, list[tuple[int, int]]
        ] = {}  # sensor or camera → when it alarms or is impaired: no calm report then

    def stream(self, name: str) -> random.Random:
        """Return a random stream of its own: what one part draws never changes what another draws."""
        return random.Random(f"{self.seed}/{self.site_id}/{name}")

    def header(self, source_id: str, place_id: str, at_ms: int) -> EventHeader:
        """Return what an event of the community begins with; ids are given when it is sent (simulator.arrival)."""
        return event_header(self.site_id, source_id, place_id, at_ms)

    def say(self, event: AnyEvent) -> None:
        """Say that something happened and its device noticed."""
        self.events.append(event)

    def expect(self, rule: str, subject: str, from_ms: int, to_ms: int, detail: str, *, place_id: str = "") -> None:
        """Expect one episode of ``rule`` right here."""
        self._truth(rule, subject, place_id, from_ms, to_ms, detail, expected=True)

    def near_miss(self, rule: str, subject: str, from_ms: int, to_ms: int, detail: str, *, place_id: str = "") -> None:
        """Note what looks like ``rule``'s situation, but is none."""
        self._truth(rule, subject, place_id, from_ms, to_ms, detail, expected=False)

    def _truth(
        self, rule: str, subject: str, place_id: str, from_ms: int, to_ms: int, detail: str, *, expected: bool
    ) -> None:
        self.truths.append(
            Truth(
                site_id=self.site_id,
                rule=rule,
                subject=subject,
                place_id=place_id or subject,
                from_ms=from_ms,
                to_ms=to_ms,
                expected=expected,
                detail=detail,
            )
        )

    def local_days(self) -> list[int]:
        """Return the local midnights (epoch ms) of the days that touch the script's time."""
        first = (self.from_ms + TIME_ZONE_OFFSET_MS) // DAY_MS * DAY_MS - TIME_ZONE_OFFSET_MS
        return list(range(first, self.to_ms, DAY_MS))

    def holds(self, from_ms: int, to_ms: int) -> bool:
        """Return whether the whole of ``from_ms…to_ms`` lies in the script's time."""
        return self.from_ms <= from_ms and to_ms <= self.to_ms

    def healthy(self, device_id: str, from_ms: int, to_ms: int) -> bool:
        """Return whether no fault of the device, or of the box that speaks for it, touches ``from_ms…to_ms``."""
        names = (device_id, self.community.box_of(device_id))
        return all(f.device_id not in names or f.to_ms < from_ms or f.from_ms > to_ms for f in self.faults)

    def pick_start(
        self, rng: random.Random, duration_ms: int, hours: tuple[float, float] = (0, 24), day: int | None = None
    ) -> int:
        """Draw a start for something lasting ``duration_ms``, in the local ``hours`` if the script's time allows it.

        The hours may run past midnight: (22, 29) is ten in the evening to five in the morning. ``day`` limits it to
        that stretch of 24 hours since the script began, which then holds it whole.
        """
        earliest = self.from_ms + (day or 0) * DAY_MS
        until_ms = self.to_ms if day is None else min(self.to_ms, earliest + DAY_MS)
        start = earliest
        for _ in range(64):
            start = rng.randint(earliest, max(earliest, until_ms - duration_ms))
            hour = (start + TIME_ZONE_OFFSET_MS) % DAY_MS / HOUR_MS
            if hours[0] <= hour < hours[1] or hours[0] <= hour + 24 < hours[1]:
                return start
        return start

    @property
    def days(self) -> int:
        """How many stretches of 24 hours the script's time begins."""
        return -(-(self.to_ms - self.from_ms) // DAY_MS)
