"""Erasing a reference from every store, each in its own way, and looking again later (docs/retention.md).

What can be changed is changed at once. What is immutable ages out, and the answer says by when. What a legal hold
covers is left, and the answer says which hold. Looking again is the same walk without the changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from contracts.erasure import Erasure, ReferenceKey, key_name
from contracts.errors import Permanent, Rejected
from governance import audit
from governance.digest_renewal import DigestRenewal
from governance.erasure_answers import ErasureOutcome, ErasureResult, aged_past
from governance.erasure_at_once import (
    erase_archive,
    erase_dead_letters,
    erase_heard,
    erase_incidents,
    erase_inventory,
    find_incidents,
)
from governance.erasure_by_age import BOX_MS, erase_judged, find_in_audit, find_in_log
from governance.erasure_register import order_erasure, ordered_erasures
from governance.erasure_stores import ACTOR, Stores
from governance.holds import held_now
from governance.incident_erasure import find_mentions
from streams.sqlite_file import empty_wal

_MOST_SAID = 300
_UNDER_HOLD = frozenset({"inventory", "archive", "snapshots"})


def erase(stores: Stores, erasure: Erasure) -> list[ErasureResult]:
    """Erase what can be erased, and say what became of the reference in each store. Safe to repeat."""
    now_ms, key = stores.clock_ms(), stores.reference_key
    erasure = msgspec.structs.replace(erasure, digest=key.keyed(erasure.digest))
    DigestRenewal(stores.store, stores.inventory, stores.archive, key)(now_ms)
    with stores.store.write() as connection:
        order_erasure(connection, erasure, ACTOR, now_ms)
    hold, evidence = _hold_on(stores, erasure), set[str]()
    answers = [
        *step_over("inventory", lambda: [erase_inventory(stores, erasure, dry=bool(hold))]),
        *step_over("log", lambda: [_in_log(stores, erasure, evidence)]),
        *step_over("findings", lambda: erase_judged(stores, erasure, dry=False)),
        *step_over("incidents", lambda: erase_incidents(stores, erasure, evidence)),
        *step_over("archive", lambda: erase_archive(stores, erasure, dry=bool(hold))),
    ]
    answers = [_kept(answer, hold) for answer in answers]
    answers += step_over("dead letters", lambda: erase_dead_letters(stores, erasure))
    answers += step_over("pending", lambda: [erase_heard(stores, erasure)])
    answers += step_over("audit log", lambda: [find_in_audit(stores, erasure)])
    answers.append(
        ErasureResult(
            store="box spools",
            outcome=ErasureOutcome.AGES_OUT,
            detail="what boxes have not sent",
            due_ms=now_ms + BOX_MS,
        )
    )
    with stores.store.write() as connection:
        detail = {answer.store: answer.outcome.value for answer in answers}  # its words may quote what somebody wrote
        audit.record(connection, ACTOR, "erasure.done", erasure.digest, detail, now_ms)
    for path in stores.sqlite_files:
        if path.exists():
            empty_wal(path)
    return answers


def verify(stores: Stores) -> Iterator[tuple[Erasure, list[ErasureResult]]]:
    """Yield, for every erasure ever asked for, what each store says now. Nothing is changed."""
    with stores.store.read() as connection:
        asked = ordered_erasures(connection)
    for each in asked:
        hold = _hold_on(stores, each.erasure)
        answers = [*_known_by(stores.reference_key, each.erasure), *_found(stores, each.erasure, each.asked_ms)]
        yield each.erasure, [_kept(aged_past(answer, stores.clock_ms()), hold) for answer in answers]


def _known_by(key: ReferenceKey, erasure: Erasure) -> list[ErasureResult]:
    """Return what keeps the reference from being recognised, so that every store would look clean."""
    if not key.is_foreign(erasure.digest):
        return []
    said = f"made with key {key_name(erasure.digest)}, here is {key.name or 'none'}: put erasure.key_file back"
    return [ErasureResult(store="key", outcome=ErasureOutcome.STILL_THERE, detail=said)]


def _found(stores: Stores, erasure: Erasure, asked_ms: int) -> list[ErasureResult]:
    """Return what each store holds now."""
    return [
        *step_over("inventory", lambda: [erase_inventory(stores, erasure, dry=True)]),
        *step_over("log", lambda: [_in_log(stores, erasure, set())]),
        *step_over("findings", lambda: erase_judged(stores, erasure, dry=True, asked_ms=asked_ms)),
        *step_over("incidents", lambda: find_incidents(stores, erasure)),
        *step_over("archive", lambda: erase_archive(stores, erasure, dry=True)),
        *step_over("dead letters", lambda: erase_dead_letters(stores, erasure, dry=True)),
        *step_over("pending", lambda: [erase_heard(stores, erasure, dry=True)]),
        *step_over("audit log", lambda: [find_in_audit(stores, erasure)]),
    ]


def _in_log(stores: Stores, erasure: Erasure, evidence: set[str]) -> ErasureResult:
    """Return by when the log lets go of it; adds the evidence that its events name."""
    answer, named = find_in_log(stores, erasure)
    evidence |= named
    return answer


def step_over(store: str, work: Callable[[], list[ErasureResult]]) -> list[ErasureResult]:
    """Return the answers of ``work``. What cannot be read keeps no other store from being erased, and is said.

    Raises:
        Transient: a server is away; all of it is asked for again.
    """
    try:
        return work()
    except (Permanent, Rejected, msgspec.DecodeError, ValueError, OSError) as error:
        said = f"cannot be read: {type(error).__name__}: {error}"[:_MOST_SAID]
        return [ErasureResult(store=store, outcome=ErasureOutcome.STILL_THERE, detail=said)]


def _hold_on(stores: Stores, erasure: Erasure) -> str:
    """Return the hold that keeps what names the reference: one on the site, or on an incident naming it. "": none."""
    with stores.store.read() as connection:
        site = held_now(connection).sites.get(erasure.site_id)
        holds = {str(hold) for hold in find_mentions(connection, erasure, stores.reference_key).held.values()}
    return ", ".join(sorted(holds | ({str(site)} if site else set())))


def _kept(answer: ErasureResult, hold: str) -> ErasureResult:
    """Return that it is kept. Under a hold tables and archive stay whole: the held incident rests on them."""
    if hold and answer.store in _UNDER_HOLD and answer.outcome in {ErasureOutcome.STILL_THERE, ErasureOutcome.AGES_OUT}:
        return msgspec.structs.replace(answer, outcome=ErasureOutcome.HELD, detail=f"{answer.detail}, by {hold}")
    return answer
