"""Erasing a reference from every store, each in its own way, and looking again later (docs/retention.md).

What can be changed is changed at once. What is immutable ages out, and the answer says by when. What a legal hold
covers is left, and the answer says which hold. Looking again is the same walk without the changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from contracts.erasure import Erasure
from governance import audit
from governance.erasure_answers import ErasureOutcome, ErasureResult, aged_past
from governance.erasure_at_once import (
    erase_archive,
    erase_dead_letters,
    erase_incidents,
    erase_inventory,
    find_incidents,
)
from governance.erasure_by_age import BOX_MS, erase_judged, find_in_log
from governance.erasure_register import order_erasure, ordered_erasures
from governance.erasure_stores import ACTOR, Stores
from governance.holds import held_now
from governance.incident_erasure import find_mentions
from streams.sqlite_file import empty_wal

_UNDER_HOLD = frozenset({"inventory", "archive", "snapshots"})


def erase(stores: Stores, erasure: Erasure) -> list[ErasureResult]:
    """Erase what can be erased, and say what became of the reference in each store. Safe to repeat."""
    now_ms = stores.clock_ms()
    with stores.store.write() as connection:
        order_erasure(connection, erasure, ACTOR, now_ms)
    hold = _hold_on(stores, erasure)
    log, evidence = find_in_log(stores, erasure)
    answers = [erase_inventory(stores, erasure, dry=bool(hold)), log, *erase_judged(stores, erasure, dry=False)]
    answers += [*erase_incidents(stores, erasure, evidence), *erase_archive(stores, erasure, dry=bool(hold))]
    answers = [_kept(answer, hold) for answer in answers] + erase_dead_letters(stores, erasure)
    answers.append(
        ErasureResult(
            store="box spools",
            outcome=ErasureOutcome.AGES_OUT,
            detail="what boxes have not sent",
            due_ms=now_ms + BOX_MS,
        )
    )
    with stores.store.write() as connection:
        detail = {answer.store: f"{answer.outcome} {answer.detail}".strip() for answer in answers}
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
        answers = [erase_inventory(stores, each.erasure, dry=True), find_in_log(stores, each.erasure)[0]]
        answers += erase_judged(stores, each.erasure, dry=True, asked_ms=each.asked_ms)
        answers += [*find_incidents(stores, each.erasure), *erase_archive(stores, each.erasure, dry=True)]
        answers += erase_dead_letters(stores, each.erasure, dry=True)
        yield each.erasure, [_kept(aged_past(answer, stores.clock_ms()), hold) for answer in answers]


def _hold_on(stores: Stores, erasure: Erasure) -> str:
    """Return the hold that keeps what names the reference: one on the site, or on an incident naming it. "": none."""
    with stores.store.read() as connection:
        site = held_now(connection).sites.get(erasure.site_id)
        holds = {str(hold) for hold in find_mentions(connection, erasure).held.values()}
    return ", ".join(sorted(holds | ({str(site)} if site else set())))


def _kept(answer: ErasureResult, hold: str) -> ErasureResult:
    """Return that it is kept. Under a hold tables and archive stay whole: the held incident rests on them."""
    if hold and answer.store in _UNDER_HOLD and answer.outcome in {ErasureOutcome.STILL_THERE, ErasureOutcome.AGES_OUT}:
        return msgspec.structs.replace(answer, outcome=ErasureOutcome.HELD, detail=f"{answer.detail}, by {hold}")
    return answer
