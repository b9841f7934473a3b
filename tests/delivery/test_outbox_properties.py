"""However many rows are worked on together, receivers hear the same and the same is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from contracts.errors import Permanent, Transient
from contracts.findings import Phase
from delivery import outbox
from delivery.deliveries import Delivery
from delivery.receiver import Receipt, ReceiverMisconfigured
from delivery.recording_receiver import RecordingReceiver
from incidents.store.operator_alarms import AlarmCode
from incidents.store.schema import alarms, attempts, deliveries
from tests.delivery.post import Post
from tests.incidents.builders import make_finding
from tests.support.folders import fast_folder


@pytest.fixture(scope="module", autouse=True)
def unhurried() -> Iterator[None]:
    """A step has time for all that is due, however slow the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "BEGIN_FOR_S", 3600.0)
        yield


_MEANT: dict[str, Callable[[], Receipt]] = {
    "confirmed": lambda: Receipt.CONFIRMED,
    "unreadable": lambda: Receipt.UNREADABLE,
    "down": lambda: _fail(Transient("down")),
    "refused": lambda: _fail(Permanent("no")),
    "misconfigured": lambda: _fail(ReceiverMisconfigured("status 401")),
}


def _fail(error: Exception) -> NoReturn:
    raise error


class Moody(RecordingReceiver):
    """Answers a delivery's first attempt as its key says, and confirms it afterwards."""

    def __init__(self, answers: Sequence[str]) -> None:
        super().__init__("hook")
        self._moods = answers

    def send(self, delivery: Delivery) -> Receipt:
        super().send(delivery)
        mood = self._moods[int(delivery.delivery_id, 16) % len(self._moods)]
        return Receipt.CONFIRMED if delivery.attempts else _MEANT[mood]()


@settings(max_examples=15, deadline=None)
@given(
    answers=st.lists(st.sampled_from(sorted(_MEANT)), min_size=1, max_size=8),
    doors=st.lists(st.integers(0, 3), min_size=1, max_size=6),
)
def test_together_or_one_at_a_time_each_incident_s_news_and_every_row_is_the_same(
    answers: list[str], doors: list[int]
) -> None:
    assert _told(answers, doors, together=True) == _told(answers, doors, together=False)


def _told(answers: list[str], doors: list[int], *, together: bool) -> tuple[dict[str, list[str]], list[object]]:
    """Return what was sent, by incident, and written of some incidents; in few steps or one attempt a step."""
    receiver = Moody(answers)
    with fast_folder() as folder:
        post = Post(folder, receiver)
        for nth, door in enumerate(doors):
            ends = door in doors[:nth]
            phase = Phase.RETRACT if ends else Phase.OPEN
            post.take(make_finding(key=f"door-{door}", phase=phase, nth=int(ends)), make_finding(key=f"other-{door}"))
            post.take(make_finding(key=f"more-{door}", verified=door != 1))
            _drain(post, together=together)
            post.clock.advance(90_000)
        _drain(post, together=together)
        lasting = select(alarms).where(alarms.c.code != AlarmCode.RECEIVER_FAILING.value)  # that is of the last attempt
        with post.store.read() as connection:
            rows: list[object] = [
                sorted(map(str, connection.execute(query))) for query in (select(deliveries), select(attempts), lasting)
            ]
        post.store.close()
    sent = {delivery.incident_id: list[str]() for delivery in receiver.got}
    for delivery in receiver.got:
        sent[delivery.incident_id].append(delivery.delivery_id)
    return sent, rows


def _drain(post: Post, *, together: bool) -> None:
    while post.outbox.step(lambda: together):
        pass
