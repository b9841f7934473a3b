"""What ingest notices of configured devices: refused messages, dropped fields, wrong places, reversed meters. Pure.

A notice about a message that could not be read stands until the device says something that can; where an alarm may be
lost, an hour at least. The others stand until a day has passed without a new one; so do those of who speaks under what
can be no id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from contracts.durations import DAY_MS, HOUR_MS, MINUTE_MS
from contracts.errors import DropReason, RejectReason
from contracts.events import DeviceConfigured, DeviceReported, DeviceStateChanged, Event, PowerSampled
from contracts.names import DeviceClass, is_id
from ingest.pipeline.bounded import LruDict
from ingest.pipeline.near_topics import clean
from ingest.pipeline.salvage import FieldFault, is_lost_alarm
from inventory.notices import DeviceNotice, NoticeCode

KEPT_MS = DAY_MS
STANDS_MS = HOUR_MS
"""Where an alarm may be lost people are told for so long, from when the notice lies where they look: what was lost is
not said again because the device's next word can be read."""
NEGATIVE_W = 5.0
"""Less is the noise of a meter at rest."""
NEGATIVE_READINGS = 10
NEGATIVE_MS = 10 * MINUTE_MS
MAX_METERS = 20_000
MAX_STRANGERS = 100
"""Texts that can be no id, by count: anybody may send them."""
MAX_NAME = 40
"""Of such a text, in characters."""
_LASTING = frozenset({NoticeCode.UNREADABLE, NoticeCode.NEGATIVE_POWER})
_PLACES = {DropReason.OTHER_PLACE: NoticeCode.OTHER_PLACE, DropReason.UNKNOWN_PLACE: NoticeCode.UNKNOWN_PLACE}

_SIGNS_OF_LIFE = frozenset({DeviceReported, DeviceStateChanged})

Key = tuple[str, str, NoticeCode]


def _who(device: DeviceConfigured) -> tuple[str, str]:
    return device.site_id, device.device_id


class _Meter(msgspec.Struct):
    readings: int = 0
    since_ms: int = 0


class DeviceNotices:
    """The notices of one shard. Bounded: a notice of each code for each device of the inventory, and 100 strangers."""

    def __init__(self) -> None:
        self._standing: dict[Key, DeviceNotice] = {}
        self._kept_ms: dict[Key, int] = {}
        self._mended: set[Key] = set()  # said something that can be read since
        self._meters: LruDict[tuple[str, str], _Meter] = LruDict(MAX_METERS, _Meter)
        self.changes = 0  # grows with everything that is news

    def load(self, notices: Iterable[DeviceNotice]) -> None:
        """Take what an earlier run noticed."""
        loaded = {(one.site_id, one.device_id, one.code): one for one in notices}
        self._standing |= loaded
        self._kept_ms |= {key: one.last_ms for key, one in loaded.items()}

    def kept(self, now_ms: int) -> None:
        """Take that what stands was written where people look."""
        for key in self._standing:
            self._kept_ms.setdefault(key, now_ms)

    def current(self, now_ms: int, is_known: Callable[[str, str], object]) -> list[DeviceNotice]:
        """Return what stands, by site and device; ``is_known`` says whether the inventory still has one."""
        for key, one in list(self._standing.items()):
            lasts = one.code in _LASTING and is_id(one.device_id)
            old = not lasts and one.last_ms < now_ms - KEPT_MS
            gone = is_id(one.device_id) and not is_known(one.site_id, one.device_id)
            if old or gone or self._is_over(key, one, now_ms):
                self._end(key)
        return [self._standing[key] for key in sorted(self._standing)]

    def refused(self, device: DeviceConfigured, reason: RejectReason, now_ms: int, *, life_safety: bool) -> None:
        """Note that a message of the device was refused.

        Args:
            device: its record.
            reason: why.
            now_ms: ingest time.
            life_safety: whether it may have been an alarm of fire, or a fall.
        """
        serious = life_safety or device.device_class is DeviceClass.SENSOR
        self._note(_who(device), NoticeCode.UNREADABLE, reason.value, now_ms, life_safety=serious)

    def stranger(self, site_id: str, said: str, reason: RejectReason, now_ms: int) -> None:
        """Note that a device of life safety speaks under what can be no id, so that nobody can configure it."""
        name = clean(said, MAX_NAME) if len(said) <= MAX_NAME else f"{clean(said, MAX_NAME - 1)}…"  # is no id
        strangers = sum(not is_id(device_id) for _, device_id, _ in self._standing)
        if strangers < MAX_STRANGERS or (site_id, name, NoticeCode.UNREADABLE) in self._standing:
            self._note((site_id, name), NoticeCode.UNREADABLE, reason.value, now_ms, life_safety=True)

    def accepted(self, device: DeviceConfigured, event: Event, faults: Sequence[FieldFault], now_ms: int) -> None:
        """Note what was wrong in a message of the device that was accepted, and what is right again."""
        unreadable = next((fault for fault in faults if is_lost_alarm(fault)), None) if faults else None
        if unreadable is not None:
            self._note(_who(device), NoticeCode.UNREADABLE, str(unreadable), now_ms, life_safety=True)
        elif self._standing and type(event) not in _SIGNS_OF_LIFE:
            self._mend((device.site_id, device.device_id, NoticeCode.UNREADABLE))
        if faults:
            self._note_faults(device, faults, now_ms)
        if type(event) is PowerSampled:
            self._metered(device, event, now_ms)

    def _note_faults(self, device: DeviceConfigured, faults: Sequence[FieldFault], now_ms: int) -> None:
        fields = []
        for fault in faults:
            if fault.reason in _PLACES:
                self._note(_who(device), _PLACES[fault.reason], f"{fault.said} for {device.place_id}", now_ms)
            else:
                fields.append(str(fault))
        if fields:
            self._note(_who(device), NoticeCode.FAULTY, " ".join(fields[:8]), now_ms)

    def _metered(self, device: DeviceConfigured, event: PowerSampled, now_ms: int) -> None:
        if event.power_w > NEGATIVE_W:
            self._meters.forget(_who(device))
            if self._standing:
                self._end((device.site_id, device.device_id, NoticeCode.NEGATIVE_POWER))
        elif event.power_w < -NEGATIVE_W:
            meter = self._meters[_who(device)]
            meter.since_ms = meter.since_ms if meter.readings else event.at_ms
            meter.readings += 1
            if meter.readings >= NEGATIVE_READINGS and event.at_ms - meter.since_ms >= NEGATIVE_MS:
                self._note(_who(device), NoticeCode.NEGATIVE_POWER, f"{event.power_w:.0f} W", now_ms)

    def _note(
        self, who: tuple[str, str], code: NoticeCode, detail: str, now_ms: int, *, life_safety: bool = False
    ) -> None:
        key = (*who, code)
        before = self._standing.get(key)
        self.changes += 1
        self._mended.discard(key)
        self._standing[key] = DeviceNotice(
            site_id=who[0],
            device_id=who[1],
            code=code,
            detail=detail,
            count=before.count + 1 if before else 1,
            first_ms=before.first_ms if before else now_ms,
            last_ms=now_ms,
            life_safety=life_safety or (before is not None and before.life_safety),
        )

    def _mend(self, key: Key) -> None:
        one = self._standing.get(key)
        if one is None:
            return
        if one.life_safety:
            self._mended.add(key)
        else:
            self._end(key)

    def _is_over(self, key: Key, one: DeviceNotice, now_ms: int) -> bool:
        """Return whether people could see a notice long enough; after a clock that went back, at once."""
        kept_ms = self._kept_ms.get(key)
        if key not in self._mended or kept_ms is None:
            return False
        return not 0 <= now_ms - max(kept_ms, one.last_ms) < STANDS_MS

    def _end(self, key: Key) -> None:
        self._kept_ms.pop(key, None)
        self._mended.discard(key)
        if self._standing.pop(key, None) is not None:
            self.changes += 1
