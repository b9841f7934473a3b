"""A file's lines pass the same pipeline as messages do; what does not is counted with its reason and its line."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from contracts.errors import RejectReason
from contracts.events import AnyEvent
from ingest.pipeline.event_file import EventFile
from tests.streams.support import T0, access, device

_RECORD = msgspec.structs.replace(device(1, 0, "d1"), place_id="p-d1")
_KNOWN = access("e1", 1_000)


def _lines(*events: AnyEvent) -> list[bytes]:
    return [msgspec.json.encode(event) + b"\n" for event in events]


def _read(lines: Iterable[bytes]) -> tuple[list[AnyEvent], EventFile]:
    source = EventFile()
    return list(source.events(lines)), source


def test_events_of_recorded_devices_pass_as_they_are_and_empty_lines_are_none() -> None:
    events, source = _read([*_lines(_RECORD), b"\n", *_lines(_KNOWN)])
    assert events == [_RECORD, _KNOWN]
    assert (source.accepted, source.refused, source.pending_devices()) == (2, {}, 0)


def test_devices_without_a_record_are_counted_and_skipped() -> None:
    stranger = access("e2", 2_000, "d9")
    events, source = _read(_lines(_RECORD, stranger, stranger, _KNOWN))
    assert events == [_RECORD, _KNOWN]
    refusal = source.refused[RejectReason.NOT_CONFIGURED]
    assert (refusal.count, refusal.first_line, source.pending_devices()) == (2, 2, 1)


def test_the_clock_rules_run_on_the_files_own_time() -> None:
    future = access("e2", 60_000, received_ms=2_000)
    ancient = access("e3", -31 * 86_400_000, received_ms=3_000, stored=True)
    events, source = _read(_lines(_RECORD, future, ancient))
    assert [(e.at_ms, e.device_at_ms, e.future) for e in events[1:]] == [(T0 + 2_000, T0 + 60_000, True)]
    assert list(source.refused) == [RejectReason.TOO_OLD]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"rubbish\n", RejectReason.NOT_JSON),
        (b"\xff\xfe\n", RejectReason.NOT_JSON),
        (b'{"kind":"nothing"}\n', RejectReason.WRONG_TYPE),
        (b"[" * 40 + b"\n", RejectReason.TOO_DEEP),
        (b" " * 300_000 + b"1\n", RejectReason.TOO_LARGE),
        (_lines(msgspec.structs.replace(_KNOWN, received_ms=0))[0], RejectReason.OUT_OF_RANGE),
        (_lines(msgspec.structs.replace(_KNOWN, v=99))[0], RejectReason.UNKNOWN_VERSION),
    ],
)
def test_a_bad_line_is_counted_with_its_reason_and_stops_nothing(line: bytes, reason: RejectReason) -> None:
    events, source = _read([*_lines(_RECORD), line, *_lines(_KNOWN)])
    assert events == [_RECORD, _KNOWN]
    assert {name: (r.count, r.first_line) for name, r in source.refused.items()} == {reason: (1, 2)}


def test_what_is_right_in_a_line_is_kept_and_the_rest_is_counted() -> None:
    line = (
        _lines(_KNOWN)[0]
        .replace(b'"p-d1"', b'"Not An Id"')
        .replace(b'"granted":true', b'"granted":"yes","quality":NaN')
    )
    events, source = _read([*_lines(_RECORD), b"\xef\xbb\xbf" + line])
    assert events == [_RECORD, _KNOWN]
    assert source.dropped == {"message:encoding": 1, "place_id:wrong_type": 1, "quality:not_a_number": 1}
    assert source.refused == {}
