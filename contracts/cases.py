"""Cases: the six steps of the closed loop, as names and a table. An unlisted pair is refused.

Diagrams in ``docs/`` are generated from the table. Names and table only, until the closed loop with grid and police is
built.
"""

from __future__ import annotations

import enum


class CaseState(enum.StrEnum):
    """The six steps 采集上报 核实立案 指挥派遣 处理反馈 核查结案 考核评价, and their side states."""

    REPORTED = "reported"
    REGISTERED = "registered"
    VOIDED = "voided"
    DISPATCHED = "dispatched"
    SIGNED = "signed"
    HANDLED = "handled"
    RETURNED = "returned"
    CLOSED = "closed"
    EVALUATED = "evaluated"
    SUSPENDED = "suspended"


class CaseAction(enum.StrEnum):
    """What moves a case; supervise and extend mark it without moving it."""

    REGISTER = "register"
    VOID = "void"
    DISPATCH = "dispatch"
    SIGN = "sign"
    HANDLE = "handle"
    RETURN = "return"
    CLOSE = "close"
    EVALUATE = "evaluate"
    SUSPEND = "suspend"
    RESUME = "resume"


CASE_TABLE: dict[tuple[CaseState, CaseAction], CaseState] = {
    (CaseState.REPORTED, CaseAction.REGISTER): CaseState.REGISTERED,
    (CaseState.REPORTED, CaseAction.VOID): CaseState.VOIDED,
    (CaseState.REGISTERED, CaseAction.DISPATCH): CaseState.DISPATCHED,
    (CaseState.REGISTERED, CaseAction.SUSPEND): CaseState.SUSPENDED,
    (CaseState.DISPATCHED, CaseAction.SIGN): CaseState.SIGNED,
    (CaseState.DISPATCHED, CaseAction.RETURN): CaseState.RETURNED,
    (CaseState.DISPATCHED, CaseAction.SUSPEND): CaseState.SUSPENDED,
    (CaseState.SIGNED, CaseAction.HANDLE): CaseState.HANDLED,
    (CaseState.SIGNED, CaseAction.RETURN): CaseState.RETURNED,
    (CaseState.HANDLED, CaseAction.CLOSE): CaseState.CLOSED,
    (CaseState.HANDLED, CaseAction.RETURN): CaseState.RETURNED,
    (CaseState.RETURNED, CaseAction.DISPATCH): CaseState.DISPATCHED,
    (CaseState.SUSPENDED, CaseAction.RESUME): CaseState.REGISTERED,
    (CaseState.CLOSED, CaseAction.EVALUATE): CaseState.EVALUATED,
}


class CaseAuthority(enum.StrEnum):
    """Who owns a case's state: under ``platform`` we request and mirror."""

    LINLI = "linli"
    PLATFORM = "platform"
