"""Peers that are not reached, or go before they answer."""

from __future__ import annotations

from delivery.backoff import AttemptOutcome
from delivery.conformance.case import Case, Way
from delivery.conformance.moves import end_sending, hold, reset

CONNECTIONS = (
    Case(name="nobody listens", outcome=AttemptOutcome.RETRY, way=Way.REFUSED, is_told=False),
    Case(name="the name has no address", outcome=AttemptOutcome.RETRY, way=Way.NO_NAME, is_told=False),
    Case(name="nobody takes the connection", outcome=AttemptOutcome.RETRY, way=Way.UNTAKEN, is_cut=True, is_told=False),
    Case(name="a reset before the request was read", script=(reset,), outcome=AttemptOutcome.RETRY, is_told=False),
    Case(
        name="a close before the request was read", script=(end_sending,), outcome=AttemptOutcome.RETRY, is_told=False
    ),
    Case(name="a peer that never reads", script=(hold,), outcome=AttemptOutcome.RETRY, is_cut=True, is_told=False),
)
