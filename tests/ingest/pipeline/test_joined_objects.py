"""Several objects in one message: the one that alarms counts, and what may be one is no calm."""

from __future__ import annotations

import json

import pytest

from contracts.errors import Rejected
from contracts.events import EnvironmentSampled
from tests.ingest.builders import row, smoke, wire
from tests.ingest.pipeline.salvaged import BOX, CALM, read

FIRE = json.dumps({**json.loads(wire(smoke("fire"))), "alarm": True}).encode()
JOINS = (b"\n", b"\r\n", b"", b",", b" , ", b"\0", b";", b"}", b"\n--\n")


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("calm", [CALM, CALM.replace(b'"alarm": false, ', b""), b'{"id": 7}', b"{}"])
def test_an_alarm_behind_another_object_counts(calm: bytes, join: bytes) -> None:
    for payload in (calm + join + FIRE, FIRE + join + calm, calm + join + calm + join + FIRE):
        event, faults = read(payload)
        assert (event, faults) == (smoke("fire"), ["message:trailing"])


def test_an_alarm_in_a_list_of_objects_counts() -> None:
    assert read(b"[" + CALM + b", " + FIRE + b"]")[0] == smoke("fire")


@pytest.mark.parametrize("join", [b"}, ", b"} ", b"},}, ", b"}\n,"])
def test_an_alarm_behind_a_brace_too_many_counts(join: bytes) -> None:
    bare = CALM.replace(b'"alarm": false, ', b"")
    for calm in (bare, CALM):
        event, faults = read(calm[:-1] + join + b'"alarm": true}')
        assert isinstance(event, EnvironmentSampled)
        assert (event.alarm, event.temperature_c) == (True, 41.0)
        assert "message:trailing" in faults


LOST = (
    FIRE[:-1],
    FIRE[: FIRE.index(b"true") + 2],
    b'{"kind": "environment_sampled"',
    FIRE.replace(b"true", b'"maybe"'),
)


@pytest.mark.parametrize("lost", LOST)
def test_what_may_be_an_alarm_behind_another_object_is_no_calm(lost: bytes) -> None:
    event, faults = read(CALM + b"\n" + lost)
    assert isinstance(event, EnvironmentSampled)
    assert (event.alarm, event.temperature_c, faults) == (False, 41.0, ["message:trailing", "alarm:trailing"])
    with pytest.raises(Rejected):
        read(json.dumps({**json.loads(wire(smoke())), "alarm": False}).encode() + lost)


def test_of_rows_in_one_message_the_first_is_the_message() -> None:
    event, faults = read(wire(row(1)) + b"\n" + wire(row(2)), BOX)
    assert (event, faults) == (row(1), ["message:trailing"])


def test_of_an_alarm_that_is_there_twice_one_that_cannot_be_read_is_no_calm() -> None:
    event, faults = read(CALM[:-1] + b', "alarm": "maybe"}')
    assert isinstance(event, EnvironmentSampled)
    assert (event.alarm, faults) == (False, ["alarm:unknown_word"])
    assert read(CALM[:-1] + b', "alarm": "off"}')[1] == ["alarm:twice"]
