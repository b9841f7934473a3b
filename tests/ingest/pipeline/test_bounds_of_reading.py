"""However deep or long a message is: the alarm in it is found, in bounded time, or the message is refused."""

from __future__ import annotations

import json

import pytest

from contracts.errors import Rejected, RejectReason
from ingest.pipeline.decode import MAX_SCANNED_BYTES, decode, mentions_life_safety, spool_mark
from tests.ingest.builders import door, row, wire
from tests.ingest.pipeline.salvaged import BOX, GATE, SENSOR, full_with, read


def _nested(levels: int, open_: str = '{"a":', close: str = "}") -> bytes:
    return (open_ * levels + "1" + close * levels).encode()


@pytest.mark.parametrize("levels", [17, 40, 5_000])
@pytest.mark.parametrize(("opening", "close"), [('{"a":', "}"), ("[", "]"), ('{"}":["]",', "]}")])
def test_an_alarm_beside_a_makers_deep_field_is_found(levels: int, opening: str, close: str) -> None:
    deep = _nested(levels, opening, close)
    for payload in (full_with()[:-1] + b', "raw": ' + deep + b"}", b'{"raw": ' + deep + b", " + full_with()[1:]):
        assert read(payload) == read(full_with())
    with pytest.raises(Rejected) as caught:
        decode(SENSOR, full_with()[:-1] + b', "raw": ' + deep[:-1], "run-1")
    assert caught.value.reason is RejectReason.TOO_DEEP


@pytest.mark.parametrize("size", [300_000, 900_000])
def test_an_alarm_beside_a_makers_picture_is_found(size: int) -> None:
    picture = b'"picture": "' + b"A" * size + b'"'
    for payload in (full_with()[:-1] + b", " + picture + b"}", b"{" + picture + b", " + full_with()[1:]):
        assert read(payload) == read(full_with())
    with pytest.raises(Rejected) as caught:
        decode(SENSOR, full_with()[:-1] + b", " + picture, "run-1")
    assert caught.value.reason is RejectReason.TOO_LARGE


def test_what_is_scanned_for_an_alarm_is_bounded_and_only_a_sensors() -> None:
    picture = b', "picture": "' + b"A" * MAX_SCANNED_BYTES + b'"}'
    gate = json.dumps({**json.loads(wire(door())), "picture": "A" * 300_000}).encode()
    for topic, payload in ((SENSOR, full_with()[:-1] + picture), (GATE, gate)):
        with pytest.raises(Rejected) as caught:
            decode(topic, payload, "run-1")
        assert caught.value.reason is RejectReason.TOO_LARGE
    assert mentions_life_safety(b'{"kind":"object_fell"' + picture)


def test_a_row_that_is_too_deep_is_still_recognised() -> None:
    payload = wire(row(5))[:-1] + b',"raw":' + _nested(40) + b"}"
    assert read(payload, BOX)[0] == row(5)
    mark = spool_mark(payload.replace(b'"e_bike"', b"7"))
    assert mark is not None
    assert mark.seq == 5


def test_hostile_texts_take_time_in_proportion_to_their_length() -> None:
    for text in (
        b'{"a" x' + b'\\"' * 100_000,
        b'{"a":' + b'"x" ' * 60_000,
        b'{"kind":' + b"\\" * 200_000,
        b"{" + b'"' * 99_999,
        b'{"a":' * 200_000,
        b'{"a":' * 17 + b'"\\' * 400_000,
        b'{"kind":"x"}' + b"{}" * 400_000,
    ):
        with pytest.raises(Rejected):
            decode(SENSOR, text, "run-1")
