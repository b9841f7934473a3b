"""Peers that are not reached, or go before they answer."""

from __future__ import annotations

from delivery.backoff import Outcome
from delivery.conformance.case import Case, Way
from delivery.conformance.moves import end_sending, hold, reset

CONNECTIONS = (
    Case(name="nobody listens", outcome=Outcome.RETRY, way=Way.REFUSED, is_told=False),
    Case(name="the name has no address", outcome=Outcome.RETRY, way=Way.NO_NAME, is_told=False),
    Case(name="nobody takes the connection", outcome=Outcome.RETRY, way=Way.UNTAKEN, is_cut=True, is_told=False),
    Case(name="a reset before the request was read", script=(reset,), outcome=Outcome.RETRY, is_told=False),
    Case(name="a close before the request was read", script=(end_sending,), outcome=Outcome.RETRY, is_told=False),
    Case(name="a peer that never reads", script=(hold,), outcome=Outcome.RETRY, is_cut=True, is_told=False),
)
