"""Devices, and whether Linli itself works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request

from console.api import models
from console.api.bounds import Code
from console.api.context import COOKIE, ConsoleContext, ContextIn, Judging, ReaderIn, WordsIn
from identity.roles import Principal, Right
from incidents.store.changes import head
from incidents.store.operator_alarms import Alarm, AlarmCode, standing_alarms
from inventory.last_seen import LastSeen

router = APIRouter(prefix="/api/v1", tags=["operation"])


@router.get("/devices", responses={401: {"model": models.ErrorOut}})
def devices(
    reader: ReaderIn,
    context: ContextIn,
    site: Annotated[list[Code], Query(max_length=50)] = [],  # noqa: B006
) -> models.DeviceList:
    """Return the devices of the reader's sites: where they are, when last heard, and how they are."""
    now_ms, scope = context.clock_ms(), reader.person.sites(Right.VIEW_DEVICES)
    found = []
    for site_id in context.directory.sites():
        if site_id in scope and (not site or site_id in site):
            heard = context.health.last_seen(site_id)
            known = context.directory.devices(site_id)
            found += [
                reader.present.device(device, heard.get(device.device_id, LastSeen()), now_ms) for device in known
            ]
    return models.DeviceList(devices=found)


@router.get("/health")
def health(request: Request, context: ContextIn, words: WordsIn) -> models.HealthOut:
    """Return ``ok`` or ``degraded`` for everybody; alarms and figures for who may see them."""
    with context.store.read() as connection:
        alarms = alarms_now(standing_alarms(connection), context.judging)
        seq = head(connection)
    person = _person(request, context)
    shown = person is not None and person.sites(Right.VIEW_HEALTH).every  # alarms name incidents of any site
    unjudged = [alarm.first_ms for alarm in alarms if alarm.code is AlarmCode.NOTHING_JUDGED]
    return models.HealthOut(
        status="degraded" if alarms else "ok",
        now_ms=context.clock_ms(),
        seq=seq,
        nothing_judged_since_ms=min(unjudged, default=None) if person is not None else None,
        alarms=[
            models.AlarmOut(
                code=alarm.code.value,
                text=words.word("alarm", alarm.code),
                subject=alarm.subject,
                detail=alarm.detail,
                first_ms=alarm.first_ms,
                last_ms=alarm.last_ms,
                times=alarm.times,
            )
            for alarm in alarms
        ]
        if shown
        else None,
        figures=dict(context.figures()) if shown else None,
    )


def alarms_now(stored: Sequence[Alarm], judging: Judging | None) -> list[Alarm]:
    """Return the alarms that stand; whether anything is judged is said by who knows it itself, also while nothing can
    be stored.
    """
    if judging is None:
        return list(stored)
    known = judging()
    return [*([] if known is None else [known]), *(one for one in stored if one.code is not AlarmCode.NOTHING_JUDGED)]


def _person(request: Request, context: ConsoleContext) -> Principal | None:
    token = request.cookies.get(COOKIE)
    session = context.users.session_of(token) if token else None
    return None if session is None else session.person
