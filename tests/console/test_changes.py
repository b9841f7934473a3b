"""What the feed follows, by one writer; by many writers at once: tests/incidents/store/test_postgresql.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.store.changes import changes_after
from tests.console.support import World
from tests.incidents.builders import make_finding


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6), limit=st.integers(1, 5))
def test_changes_are_numbered_without_gaps_in_order_of_commit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int
) -> None:
    world = World(tmp_path_factory.mktemp("changes"))
    for batch, size in enumerate(sizes):
        world.take(*(make_finding(key=f"k{batch}-{n}") for n in range(size)))
    seen: list[int] = []
    with world.store.read() as connection:
        while found := changes_after(connection, seen[-1] if seen else 0, limit):
            seen += [change.seq for change in found]
    world.store.close()
    assert seen == list(range(1, sum(sizes) + 1))
