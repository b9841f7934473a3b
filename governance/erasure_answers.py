"""What each store answers to an erasure: what became of the reference there, and by when it is gone. Pure."""

from __future__ import annotations

import enum

import msgspec


class ErasureOutcome(enum.StrEnum):
    """What became of the reference in one store."""

    CLEAN = "clean"  # it is not there
    ERASED = "erased"
    AGES_OUT = "ages out"
    HELD = "held"
    STILL_THERE = "still there"


class ErasureResult(msgspec.Struct, frozen=True, kw_only=True):
    """One store's answer. ``due_ms``: when what ages out is gone; ``detail``: counts, or the hold."""

    store: str
    outcome: ErasureOutcome
    detail: str = ""
    due_ms: int | None = None


def counted(store: str, count: int, what: str, *, dry: bool) -> ErasureResult:
    """Return the answer of a store that holds ``count``: when ``dry`` they are still there, otherwise erased."""
    if not count:
        return ErasureResult(store=store, outcome=ErasureOutcome.CLEAN)
    return ErasureResult(
        store=store, outcome=ErasureOutcome.STILL_THERE if dry else ErasureOutcome.ERASED, detail=f"{count} {what}"
    )


def aged_past(answer: ErasureResult, now_ms: int) -> ErasureResult:
    """Return the answer as it stands now: what should have aged out and has not is still there."""
    if answer.outcome is ErasureOutcome.AGES_OUT and answer.due_ms is not None and answer.due_ms < now_ms:
        return msgspec.structs.replace(answer, outcome=ErasureOutcome.STILL_THERE)
    return answer
