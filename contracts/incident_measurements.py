"""What the incidents' room tells of itself for results: plain values without people, places or incidents."""

from __future__ import annotations

import msgspec


class IncidentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an incident. ``severity`` is that of the finding that opened it, ``state`` that after the change."""

    seq: int
    site_id: str
    rule: str
    severity: str
    origin: str
    change: str
    state: str
    opened_ms: int
    at_ms: int


class FindingTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that an incident took in."""

    finding_id: str
    site_id: str
    due_ms: int
    taken_ms: int


class DeliveryAttempted(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to tell a receiver. ``outcome`` is the outbox's word; ``created_ms`` the delivery's row."""

    delivery_id: str
    nth: int
    site_id: str
    receiver: str
    news: str
    outcome: str
    origin: str
    created_ms: int
    at_ms: int
    took_ms: int
