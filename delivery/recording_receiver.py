"""The fake of :class:`delivery.receiver.Receiver`: ships for tests and dry runs."""

from __future__ import annotations

from delivery.deliveries import Delivery
from delivery.receiver import Receipt


class RecordingReceiver:
    """A receiver that keeps what it gets and answers as scripted.

    ``answers`` are used one after another, then every delivery is confirmed.
    """

    def __init__(self, name: str, answers: list[Receipt | Exception] | None = None) -> None:
        self._name = name
        self._answers = list(answers or [])
        self.got: list[Delivery] = []

    @property
    def name(self) -> str:
        """See :class:`delivery.receiver.Receiver`."""
        return self._name

    def send(self, delivery: Delivery) -> Receipt:
        """See :class:`delivery.receiver.Receiver`."""
        self.got.append(delivery)
        answer = self._answers.pop(0) if self._answers else Receipt.CONFIRMED
        if isinstance(answer, Exception):
            raise answer
        return answer
