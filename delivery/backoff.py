"""When a delivery is tried again, and when it is given up. Pure: jitter comes in as an argument."""

from __future__ import annotations

import enum

import msgspec

from contracts.incidents import DeliveryState

FIRST_MS = 1_000
LONGEST_MS = 15 * 60_000
"""Also the most that a receiver's ``Retry-After`` counts for: an error page must not silence it for a day."""
LIFE_SAFETY_LONGEST_MS = 2 * 60_000
MISCONFIGURED_MS = 60_000  # a person has to fix it; more often only fills the other side's log
UNREADABLE_TRIES = 5


class AttemptOutcome(enum.StrEnum):
    """The outcome of one attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    UNREADABLE = "unreadable"
    REJECTED = "rejected"


class DeliveryStep(msgspec.Struct, frozen=True):
    """Where a delivery goes after an attempt: settled, or pending until ``due_ms``. ``reason`` is a code."""

    state: DeliveryState
    due_ms: int
    reason: str = ""


def longest_ms(*, life_safety: bool) -> int:
    """Return how long a piece of news may wait for its next attempt."""
    return LIFE_SAFETY_LONGEST_MS if life_safety else LONGEST_MS


def wait_ms(attempt: int, jitter: float, longest_ms: int = LONGEST_MS) -> int:
    """Return how long to wait after attempt ``attempt`` (from 1): doubling from 1 s to ``longest_ms``, half of it
    jitter.

    ``jitter`` is uniform in 0–1.

    >>> wait_ms(1, 0.0), wait_ms(1, 1.0), wait_ms(40, 1.0)
    (500, 1000, 900000)
    """
    ceiling = min(FIRST_MS * 2 ** min(attempt - 1, 20), longest_ms)
    return int(ceiling / 2 + ceiling / 2 * jitter)


def after_attempt(
    outcome: AttemptOutcome,
    *,
    attempt: int,
    now_ms: int,
    created_ms: int,
    give_up_ms: int,
    retry_after_s: float | None,
    jitter: float,
    longest_ms: int = LONGEST_MS,
) -> DeliveryStep:
    """Return what becomes of a delivery after attempt number ``attempt`` (from 1).

    ``longest_ms`` bounds the wait, whatever the receiver asked for.
    """
    match outcome:
        case AttemptOutcome.DELIVERED:
            return DeliveryStep(DeliveryState.DELIVERED, now_ms)
        case AttemptOutcome.REJECTED:
            return DeliveryStep(DeliveryState.REJECTED, now_ms, "rejected")
        case AttemptOutcome.UNREADABLE if attempt >= UNREADABLE_TRIES:
            return DeliveryStep(DeliveryState.UNCONFIRMED, now_ms, "unreadable_receipt")
        case AttemptOutcome.RETRY | AttemptOutcome.MISCONFIGURED | AttemptOutcome.UNREADABLE:
            wait = wait_ms(attempt, jitter, longest_ms)
            if outcome is AttemptOutcome.MISCONFIGURED:
                wait = max(wait, MISCONFIGURED_MS)
            asked_ms = int(min((retry_after_s or 0) * 1000, longest_ms))
            due_ms = now_ms + max(wait, asked_ms)
            if due_ms > created_ms + give_up_ms:
                return DeliveryStep(DeliveryState.REJECTED, now_ms, "gave_up")
            return DeliveryStep(DeliveryState.PENDING, due_ms, outcome.value)
