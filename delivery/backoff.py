"""When a delivery is tried again, and when it is given up. Pure: the dice come in as an argument."""

from __future__ import annotations

import enum

import msgspec

from contracts.incidents import DeliveryState

FIRST_MS = 1_000
LONGEST_MS = 15 * 60_000
MISCONFIGURED_MS = 60_000  # a person has to mend it; more often only fills the other side's log
UNREADABLE_TRIES = 5


class Outcome(enum.StrEnum):
    """What one attempt came to."""

    DELIVERED = "delivered"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    UNREADABLE = "unreadable"
    REJECTED = "rejected"


class Step(msgspec.Struct, frozen=True):
    """Where a delivery goes after an attempt: settled, or pending until ``due_ms``. ``reason`` is a code."""

    state: DeliveryState
    due_ms: int
    reason: str = ""


def wait_ms(attempt: int, dice: float) -> int:
    """How long to wait after attempt number ``attempt`` (from 1): doubling from 1 s to 15 min, half of it jitter.

    ``dice`` is uniform in 0–1.

    >>> wait_ms(1, 0.0), wait_ms(1, 1.0), wait_ms(40, 1.0)
    (500, 1000, 900000)
    """
    ceiling = min(FIRST_MS * 2 ** min(attempt - 1, 20), LONGEST_MS)
    return int(ceiling / 2 + ceiling / 2 * dice)


def after_attempt(
    outcome: Outcome,
    *,
    attempt: int,
    now_ms: int,
    created_ms: int,
    give_up_ms: int,
    retry_after_s: float | None,
    dice: float,
) -> Step:
    """What becomes of a delivery after attempt number ``attempt`` (from 1)."""
    match outcome:
        case Outcome.DELIVERED:
            return Step(DeliveryState.DELIVERED, now_ms)
        case Outcome.REJECTED:
            return Step(DeliveryState.REJECTED, now_ms, "rejected")
        case Outcome.UNREADABLE if attempt >= UNREADABLE_TRIES:
            return Step(DeliveryState.UNCONFIRMED, now_ms, "unreadable_receipt")
        case Outcome.RETRY | Outcome.MISCONFIGURED | Outcome.UNREADABLE:
            wait = wait_ms(attempt, dice)
            if outcome is Outcome.MISCONFIGURED:
                wait = max(wait, MISCONFIGURED_MS)
            due_ms = now_ms + max(wait, int((retry_after_s or 0) * 1000))
            if due_ms > created_ms + give_up_ms:
                return Step(DeliveryState.REJECTED, now_ms, "gave_up")
            return Step(DeliveryState.PENDING, due_ms, outcome.value)
