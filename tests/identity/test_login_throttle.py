"""Throttling: by name and address together, and by address; attempts count before they are tried."""

from __future__ import annotations

import pytest

from identity.login_throttle import LoginThrottle, network_of

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
HOUR_MS = 3_600_000


def test_a_throttled_pair_waits_longer_each_time_and_is_forgotten_after_an_hour() -> None:
    throttle, waits = LoginThrottle(2, 100), []
    now_ms = 0
    for _ in range(6):
        waits.append(throttle.reserve("wang", HOME, now_ms))
        now_ms += waits[-1]
        if waits[-1]:
            assert throttle.reserve("wang", HOME, now_ms) == 0
    assert waits == [0, 0, 2000, 4000, 8000, 16_000]
    assert throttle.reserve("wang", HOME, now_ms + HOUR_MS + 1) == 0


def test_attempts_that_are_not_over_yet_count_like_failures() -> None:
    throttle = LoginThrottle()
    assert [throttle.reserve("wang", HOME, 0) for _ in range(7)] == [0, 0, 0, 0, 0, 2000, 2000]


def test_a_name_never_waits_where_it_did_not_fail() -> None:
    throttle = LoginThrottle()
    for n in range(60):
        throttle.reserve("admin", f"203.0.113.{n}", 0)
    for _ in range(60):
        throttle.reserve("admin", ELSEWHERE, 0)
    assert throttle.reserve("admin", HOME, 0) == 0


def test_an_address_waits_whatever_names_it_tries_and_others_do_not() -> None:
    throttle = LoginThrottle()
    waits = [throttle.reserve(f"name-{n}", ELSEWHERE, 0) for n in range(30)]
    assert waits == [0] * 20 + [2000] * 10
    assert throttle.reserve("name-0", HOME, 0) == 0


def test_a_success_forgets_the_pair_and_not_what_the_address_did_besides() -> None:
    throttle = LoginThrottle(5, 6)
    for n in range(5):
        throttle.reserve(f"name-{n}", HOME, 0)
    throttle.reserve("wang", HOME, 0)
    throttle.succeeded("wang", HOME)
    assert [throttle.reserve("li", HOME, 0) for _ in range(2)] == [0, 2000]


def test_an_attempt_that_was_not_tried_does_not_count() -> None:
    throttle = LoginThrottle(1)
    assert throttle.reserve("wang", HOME, 0) == 0
    throttle.not_tried("wang", HOME)
    assert throttle.reserve("wang", HOME, 0) == 0


def test_a_clock_that_was_set_back_makes_nobody_wait_for_it() -> None:
    throttle = LoginThrottle(1)
    throttle.reserve("wang", HOME, 10**12)
    assert throttle.reserve("wang", HOME, 0) == 2000


def test_what_is_remembered_is_bounded() -> None:
    throttle = LoginThrottle(1, 10**9)
    for n in range(10_001):
        throttle.reserve(f"name-{n}", HOME, 0)
    assert throttle.reserve("name-0", HOME, 0) == 0
    assert throttle.reserve("name-10000", HOME, 0) == 2000


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), ("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1")],
)
def test_addresses_of_one_line_are_counted_together(one: str, other: str) -> None:
    assert network_of(one) == network_of(other)
    assert network_of(one) != network_of("192.0.2.2")
