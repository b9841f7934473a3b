"""Our names and words in other spellings are ours; a maker's own are not."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Rejected
from contracts.events import EnvironmentSampled
from ingest.pipeline.decode import check_keys
from ingest.pipeline.spelling import is_misspelled
from tests.ingest.builders import power, smoke, wire
from tests.ingest.pipeline.salvaged import CALM, FULL, METER, full_with, read


@pytest.mark.parametrize("word", ["on", "ON", "true", "True", "1", 1, 1.0, "yes", " alarm "])
def test_an_alarm_in_another_spelling_is_one(word: object) -> None:
    event, faults = read(full_with(alarm=word))
    assert (event, faults) == (read(full_with())[0], [])


SPELLED = ("Alarm", "ALARM", "alarm ", " alarm", "aLaRm", "_alarm", "ａｌａｒｍ", "al\\u0061rm", "Al\\u0061rm")


@pytest.mark.parametrize("key", SPELLED)
@pytest.mark.parametrize("value", ["true", "1", '"ON"'])
def test_an_alarm_under_its_name_in_another_spelling_is_one(key: str, value: str) -> None:
    for payload in (wire(smoke()), full_with()):
        spelled = payload.replace(b'"alarm":true', b'"alarm": true').replace(
            b'"alarm": true', f'"{key}": {value}'.encode()
        )
        assert read(spelled)[0] == read(payload)[0]


def test_beside_an_alarm_that_is_false_one_in_another_spelling_counts() -> None:
    for more in (b'"Alarm": true', b'"Alarm": false, "ALARM": true'):
        event, faults = read(CALM[:-1] + b", " + more + b"}")
        assert isinstance(event, EnvironmentSampled)
        assert (event.alarm, faults) == (True, ["alarm:twice"])


def test_every_field_is_found_in_another_spelling() -> None:
    said = {
        re.sub("_(.)", lambda found: found[1].upper(), name): value for name, value in FULL.items() if value != "m@1"
    }
    event, faults = read(json.dumps(said).encode())
    assert (event, faults) == (msgspec.structs.replace(read(full_with())[0], model=None), [])
    shouted = json.loads(wire(power(voltage_v=231.0)))
    assert read(json.dumps({k.upper(): v for k, v in shouted.items()}).encode(), METER) == (power(voltage_v=231.0), [])


def test_a_makers_own_keys_are_none_of_ours() -> None:
    for key, value in {"V": 230, "Model": "SD-119", "Origin": "factory", "Evidence": 3, "Spool": "x", "A": 1.5}.items():
        assert read(full_with()[:-1] + f', "{key}": {json.dumps(value)}}}'.encode()) == (read(full_with())[0], [])
    two = json.dumps({**json.loads(wire(power())), "Voltage_V": 231.0, "VOLTAGE_V": 229.0}).encode()
    assert read(two, METER) == (power(), ["voltage_v:twice"])


@pytest.mark.parametrize("kind", ["Environment_Sampled", "environment_sampled ", "ENVIRONMENT_SAMPLED"])
def test_a_kind_in_another_spelling_is_that_kind(kind: str) -> None:
    assert read(full_with(kind=kind))[0] == read(full_with())[0]


NOTHING: tuple[dict[str, Any], ...] = (
    {},
    {"smoke": True},
    {"state": "ALARM"},
    {"data": {"alarm": True}},
    {"alarm_state": 1},
    {"battery_pct": 80},
)


@pytest.mark.parametrize("said", NOTHING, ids=str)
def test_a_sensor_that_says_neither_an_alarm_nor_a_reading_is_not_calm(said: dict[str, Any]) -> None:
    bare = {name: value for name, value in json.loads(wire(smoke())).items() if name != "alarm"}
    for fields in ({**bare, **said}, {**bare, **said, "at_ms": "noon"}):
        with pytest.raises(Rejected):
            read(json.dumps(fields).encode())
        for enough in ({"humidity_pct": 40}, {"alarm": False}):
            event, faults = read(json.dumps({**fields, **enough}).encode())
            assert isinstance(event, EnvironmentSampled)
            assert (event.alarm, [fault for fault in faults if "at_ms" not in fault]) == (False, [])


@pytest.mark.parametrize(("text", "value"), [("21.5", 21.5), ("21.5 °C", 21.5), ("+5", 5.0), ("-3", -3.0)])
def test_a_number_in_quotes_is_a_number(text: str, value: float) -> None:
    event, faults = read(full_with(temperature_c=text))
    assert isinstance(event, EnvironmentSampled)
    assert (event.temperature_c, faults) == (value, [])


KEYS = st.lists(st.from_regex(r"(alarm|Alarm|gravity_ms|Gravity_MS|smoke|x|)[12]{0,2}", fullmatch=True), max_size=4)


@given(KEYS, KEYS, st.integers(0, 999))
def test_what_was_looked_at_before_changes_no_verdict(earlier: list[str], keys: list[str], number: int) -> None:
    """Of messages that differ in digits alone the keys are looked at once, unless digits may count."""
    for said in (earlier, keys):
        payload = ("{" + ", ".join(f'"{key}": {number}' for key in said) + "}").encode()
        named = [key.encode() for key in said if key]
        wrong = len(named) != len(set(named)) or any(map(is_misspelled, named))
        with pytest.raises(Rejected) if wrong else nullcontext():
            check_keys(payload)
