"""The contract of a receiver, the same table of HTTP statuses for each of them, and the recording fake."""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from contracts.errors import Permanent, Transient
from delivery.deliveries import Delivery


class Receipt(enum.StrEnum):
    """What a receiver gave back for a delivery it did not refuse."""

    CONFIRMED = "confirmed"
    UNREADABLE = "unreadable"  # a success whose receipt is not ours: a proxy's page, a truncated answer


class Misconfigured(Transient):
    """The other side refuses us, not the message (credentials, address): a person must mend it, then it passes."""


class Receiver(Protocol):
    """Tells one party. Idempotent by ``delivery_id``: the other side may get a delivery twice and counts it once."""

    @property
    def name(self) -> str:
        """Its name in the configuration and in every row."""
        ...

    def send(self, delivery: Delivery) -> Receipt:
        """Send the delivery's payload once, within the receiver's own time limit.

        Raises:
            Transient: try again, not before ``retry_after_s``. Permanent: trying again cannot help.
        """
        ...


class Verdict(enum.StrEnum):
    """What an HTTP status means for a delivery."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    REJECTED = "rejected"


_RETRY = frozenset({408, 423, 425, 429})
_OURS_TO_MEND = frozenset({401, 402, 403, 404, 405, 407})
_NEVER = frozenset({501, 505})


def verdict_of(status: int) -> Verdict:
    """The one reading of HTTP statuses that all receivers share. Redirects are not followed: a signature names a path.

    >>> verdict_of(204), verdict_of(429), verdict_of(301)
    (<Verdict.ACCEPTED: 'accepted'>, <Verdict.RETRY: 'retry'>, <Verdict.MISCONFIGURED: 'misconfigured'>)
    """
    if 200 <= status < 300:
        return Verdict.ACCEPTED
    if status in _OURS_TO_MEND or 300 <= status < 400:
        return Verdict.MISCONFIGURED
    if status in _RETRY or (500 <= status < 600 and status not in _NEVER):
        return Verdict.RETRY
    return Verdict.REJECTED


def raise_for_status(status: int, retry_after_s: float | None) -> None:
    """Nothing for a success; otherwise the error that the table gives.

    Raises:
        Transient, Misconfigured, Permanent: with the status in the message.
    """
    match verdict_of(status):
        case Verdict.ACCEPTED:
            return
        case Verdict.RETRY:
            raise Transient(f"status {status}", retry_after_s)
        case Verdict.MISCONFIGURED:
            raise Misconfigured(f"status {status}", retry_after_s)
        case Verdict.REJECTED:
            raise Permanent(f"status {status}")


class RecordingReceiver:
    """A receiver that keeps what it gets and answers as scripted; ships for tests and dry runs.

    ``answers`` are used one after another, then every delivery is confirmed.
    """

    def __init__(self, name: str, answers: list[Receipt | Exception] | None = None) -> None:
        self._name = name
        self._answers = list(answers or [])
        self.got: list[Delivery] = []

    @property
    def name(self) -> str:
        """See :class:`Receiver`."""
        return self._name

    def send(self, delivery: Delivery) -> Receipt:
        """See :class:`Receiver`."""
        self.got.append(delivery)
        answer = self._answers.pop(0) if self._answers else Receipt.CONFIRMED
        if isinstance(answer, Exception):
            raise answer
        return answer


class ReceiptBody(msgspec.Struct, frozen=True):
    """What Linli's own contract asks a receiver to answer: the key of what it accepted."""

    delivery_id: str
