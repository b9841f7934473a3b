"""Registrations by time: the same answers as looking at every one of them, without looking at every one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.durations import DAY_MS
from contracts.events import DeviceConfigured, VisitorRegistered
from contracts.names import DeviceClass
from detectors.core.site_view import SiteView, apply_record

T0 = 1_800_000_000_000
DOORS = ("door1", "door2", "door3")


def _registered(version: int, key: str, at_ms: int, **more: Any) -> VisitorRegistered:
    base: dict[str, Any] = {"event_id": f"c{version}", "site_id": "s1", "source_id": "config", "place_id": "s1"}
    return VisitorRegistered(
        **base, at_ms=at_ms, version=version, registration_id=key, host_place_id="s1", **{"to_ms": 0, **more}
    )


def _any_record(rng: random.Random, version: int, now_ms: int) -> VisitorRegistered:
    begin_ms = now_ms + rng.randrange(-3, 3) * DAY_MS // 2
    return _registered(
        version,
        f"v{rng.randrange(12)}",
        now_ms - rng.choice((0, 0, DAY_MS)),
        from_ms=begin_ms,
        to_ms=begin_ms + rng.choice((-5, 0, DAY_MS // 3, 4 * DAY_MS)),
        door_ids=tuple(rng.choices(DOORS, k=rng.randrange(3))),
        removed=rng.random() < 0.2,
    )


def _fold_all(visitors: dict[str, VisitorRegistered], event: VisitorRegistered) -> None:
    """What a record does to the registrations, by looking at each of them."""
    for key in [key for key, visitor in visitors.items() if visitor.to_ms + DAY_MS < event.at_ms]:
        del visitors[key]
    visitors.pop(event.registration_id, None)
    if not event.removed:
        visitors[event.registration_id] = event


def _expected(visitors: dict[str, VisitorRegistered], door_id: str, at_ms: int, shown: set[str]) -> bool:
    return any(
        v.from_ms <= at_ms <= v.to_ms and key not in shown and (not v.door_ids or door_id in v.door_ids)
        for key, v in visitors.items()
    )


@given(st.integers(0, 2**32))
def test_it_gives_the_answers_of_a_search_through_all(seed: int) -> None:
    rng = random.Random(seed)
    view, visitors, now_ms = SiteView(site_id="s1"), dict[str, VisitorRegistered](), T0
    for version in range(1, 120):
        now_ms += rng.choice((0, 1, DAY_MS // 4))
        record = _any_record(rng, version, now_ms)
        apply_record(view, record)
        _fold_all(visitors, record)
        assert view.visitors == visitors
        at_ms, shown = now_ms + rng.randrange(-DAY_MS, DAY_MS), {f"v{rng.randrange(14)}" for _ in range(3)}
        for door_id in DOORS:
            assert view.expects_visitors(door_id, at_ms, shown) == _expected(visitors, door_id, at_ms, shown)
        if rng.random() < 0.05:  # as after a restart
            view = SiteView(site_id="s1", visitors=dict(view.visitors), config_version=view.config_version)


class Searched(dict[Any, Any]):
    """A table that counts how often somebody looks through all of it."""

    searches = 0

    def _search(self, look: Callable[[], Any]) -> Any:
        self.searches += 1
        return look()

    def items(self) -> Any:
        return self._search(super().items)

    def values(self) -> Any:
        return self._search(super().values)

    def __iter__(self) -> Any:
        return self._search(super().__iter__)


def test_neither_a_registration_nor_a_passage_searches_all_of_them() -> None:
    visitors = Searched({f"old{n}": _registered(0, f"old{n}", T0, from_ms=T0, to_ms=T0 + DAY_MS) for n in range(1_000)})
    view = SiteView(site_id="s1", visitors=visitors)
    for n in range(2_000):
        apply_record(view, _registered(n + 1, f"v{n}", T0, from_ms=T0, to_ms=T0 + DAY_MS, door_ids=("door1",)))
        assert view.expects_visitors("door2", T0 - 1, ()) is False
    assert (len(visitors), visitors.searches <= 2) == (3_000, True)
    apply_record(view, _registered(9_999, "late", T0 + 9 * DAY_MS, to_ms=T0 + 9 * DAY_MS))
    assert list(dict(visitors)) == ["late"]
    assert visitors.searches <= 5


@pytest.mark.parametrize("count", [1, 60])
def test_devices_of_a_place_stay_sorted_while_they_come_move_and_go(count: int) -> None:
    view, rng = SiteView(site_id="s1"), random.Random(count)
    places: dict[str, str] = {}
    for version in range(1, 400):
        name, place_id, removed = f"d{rng.randrange(count):02}", rng.choice(("p1", "p2")), rng.random() < 0.3
        base: dict[str, Any] = {"event_id": "c", "site_id": "s1", "source_id": "config", "at_ms": T0}
        apply_record(
            view,
            DeviceConfigured(
                **base,
                version=version,
                place_id=place_id,
                device_id=name,
                device_class=DeviceClass.METER,
                removed=removed,
            ),
        )
        places.pop(name, None)
        if not removed:
            places[name] = place_id
        there = {p: tuple(sorted(d for d, at in places.items() if at == p)) for p in set(places.values())}
        assert view.devices_at == there
