"""The inbox of a shard: its bound holds for lists, too."""

from __future__ import annotations

import threading

from ingest.shard.inbox import Inbox


def test_a_list_longer_than_the_room_goes_in_piece_by_piece_and_in_order() -> None:
    inbox: Inbox[int] = Inbox(limit=4)
    writer = threading.Thread(target=inbox.put, args=(range(10),))
    writer.start()
    taken: list[int] = []
    while len(taken) < 10:
        some = inbox.take(5.0)
        assert 0 < len(some) <= 4
        taken += some
    writer.join(10)
    assert not writer.is_alive()
    assert taken == list(range(10))


def test_closing_lets_whoever_waits_go() -> None:
    inbox: Inbox[int] = Inbox(limit=1)
    writer = threading.Thread(target=inbox.put, args=([1, 2, 3],))
    writer.start()
    inbox.close()
    writer.join(10)
    assert not writer.is_alive()
