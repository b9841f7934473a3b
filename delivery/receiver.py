"""The port of a receiver: what every kind is to the outbox."""

from __future__ import annotations

import enum
from typing import Protocol

from contracts.errors import Transient
from delivery.deliveries import Delivery


class Receipt(enum.StrEnum):
    """A receiver's answer to a delivery that it did not refuse."""

    CONFIRMED = "confirmed"
    UNREADABLE = "unreadable"  # a success whose receipt is not ours: a proxy's page, a truncated answer


class ReceiverMisconfigured(Transient):
    """The other side refuses us, not the message (credentials, address): a person must fix it, then it passes."""


class Receiver(Protocol):
    """Tells one party. Idempotent by ``delivery_id``: the other side may get a delivery twice and counts it once.

    A kind that speaks HTTP proves that it keeps this contract by :mod:`delivery.conformance`.
    """

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
