"""What ingest noticed of devices that are in the inventory, for the page, the doctor and operators. Pure."""

from __future__ import annotations

import enum

import msgspec


class NoticeCode(enum.StrEnum):
    """What is wrong with a device's words. Closed: it is stored, and the page has a sentence for each."""

    UNREADABLE = "unreadable"  # a message, or its alarm, could not be read at all
    FAULTY = "faulty"  # fields were dropped from its messages
    OTHER_PLACE = "other_place"  # it names a place that is not the inventory's
    UNKNOWN_PLACE = "unknown_place"  # it names a place that the inventory does not have
    NEGATIVE_POWER = "negative_power"  # a meter that only gives power back: its clamp is reversed


class DeviceNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One notice. ``detail`` is codes, ids and numbers; ``life_safety``: an alarm may be lost by it."""

    site_id: str
    device_id: str
    code: NoticeCode
    detail: str
    count: int
    first_ms: int
    last_ms: int
    life_safety: bool = False
