"""What each status comes to, ``Retry-After``, and redirects that nobody follows.

Every answer carries the body of an acceptance: a status that refuses is not softened by it.
"""

from __future__ import annotations

from collections.abc import Iterable

from delivery.backoff import AttemptOutcome
from delivery.conformance.case import Case
from delivery.conformance.moves import answer, read, redirect
from delivery.http.statuses import LONGEST_RETRY_AFTER_S

_DELIVERED = (200, 201, 202, 203, 206, 207, 208, 226, 299)
_NO_BODY = (204,)
_REDIRECTS = (301, 302, 303, 307, 308)
_MISCONFIGURED = (300, 304, 305, 306, 310, 399, 401, 402, 403, 404, 405, 407)
_RETRY = (102, 103, 199, 408, 423, 425, 429, 500, 502, 503, 504, 506, 507, 508, 510, 511, 520, 599, 600, 999)
_REJECTED = (400, 406, *range(409, 419), 421, 422, 424, 426, 428, 431, 451, 499, 501, 505)

_ASKED = {"0": 0.0, "7": 7.0, " 120 ": 120.0, "86400": 86_400.0}
_TOO_LONG = ("86401", "999999999999", "9" * 400)
_UNREADABLE = ("", "soon", "-1", "1.5", "1e9", "7, 8", "Mon, 23 Nov 2026 03:34:20 GMT", "0x10", "inf", "nan")


def _each(statuses: Iterable[int], outcome: AttemptOutcome | None) -> list[Case]:
    return [Case(name=f"a status of {status}", script=(read, answer(status)), outcome=outcome) for status in statuses]


def _asking(header: str, retry_after_s: float | None, status: int = 503) -> Case:
    shown = header if len(header) < 40 else f"{len(header)} digits"
    outcome = AttemptOutcome.MISCONFIGURED if status == 401 else AttemptOutcome.RETRY
    script = (read, answer(status, f"Retry-After: {header}"))
    return Case(
        name=f"a {status} that asks to wait {shown!r}", script=script, outcome=outcome, retry_after_s=retry_after_s
    )


STATUSES = (
    *_each(_DELIVERED, AttemptOutcome.DELIVERED),
    *_each(_NO_BODY, None),
    *_each(_MISCONFIGURED, AttemptOutcome.MISCONFIGURED),
    *_each(_RETRY, AttemptOutcome.RETRY),
    *_each(_REJECTED, AttemptOutcome.REJECTED),
    *(_asking(header, seconds) for header, seconds in _ASKED.items()),
    *(_asking(header, LONGEST_RETRY_AFTER_S) for header in _TOO_LONG),
    *(_asking(header, None) for header in _UNREADABLE),
    _asking("7", 7.0, status=429),
    _asking("7", 7.0, status=401),
    *(
        Case(
            name=f"a {status} to another server is not followed",
            script=(read, redirect(status)),
            outcome=AttemptOutcome.MISCONFIGURED,
        )
        for status in _REDIRECTS
    ),
    Case(
        name="a redirect that leads back to itself is not followed",
        script=(read, redirect(307, to="/")),
        outcome=AttemptOutcome.MISCONFIGURED,
    ),
    Case(
        name="a redirect to a file of this machine is not followed",
        script=(read, redirect(302, to="file:///etc/hostname")),
        outcome=AttemptOutcome.MISCONFIGURED,
    ),
)
