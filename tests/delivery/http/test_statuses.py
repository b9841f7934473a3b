"""One reading of statuses and of ``Retry-After`` for all receivers."""

from __future__ import annotations

import pytest

from contracts.errors import Permanent, Transient
from delivery.http.statuses import raise_for_status, retry_after_s
from delivery.receiver import ReceiverMisconfigured


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_success_raises_nothing(status: int) -> None:
    raise_for_status(status, None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, Transient) for status in (100, 429, 500, 599, 999)],
        *[(status, ReceiverMisconfigured) for status in (302, 401)],
        *[(status, Permanent) for status in (400, 499, 501, 505)],
    ],
)
def test_anything_else_raises_what_the_table_says(status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^status {status}$") as caught:
        raise_for_status(status, 7.0)
    assert type(caught.value) is error
    assert getattr(caught.value, "retry_after_s", 7.0) == 7.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *[("0", 0.0), (" 7 ", 7.0), ("99999999", 86_400.0), ("9" * 5_000, 86_400.0)],
        *[(text, None) for text in (None, "", "-1", "1.5", "soon", "\u0667", "Mon, 23 Nov 2026 03:34:20 GMT")],
    ],
)
def test_a_peer_may_ask_for_a_day_at_most_and_only_in_seconds(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header) == seconds
