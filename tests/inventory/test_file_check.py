"""A file of an inventory is looked over as a whole: each fault by its line, with what was expected, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.durations import DAY_MS
from contracts.events import AnyEvent, Configuration
from inventory.file_check import check_file, faults_in_force
from inventory.file_import import parse_inventory, read_inventory
from simulator.generate import SimulationRequest, generate

NOW_MS = 1_796_000_000_000
WHOLE = """site_id = "s1"
[[site]]
name = "Willow Court"
[[place]]
place_id = "b1"
kind = "building"
use = "outdoor"
building = "b1"
[[place]]
place_id = "door"
kind = "door"
use = "entrance"
parent_id = "b1"
[[device]]
device_id = "box"
device_class = "edge"
place_id = "b1"
[[device]]
device_id = "cam"
device_class = "cam"
place_id = "door"
box_id = "box"
silent_after_ms = 180000
"""
EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "inventory.toml"


def toml(text: str, in_force: list[Configuration] | None = None) -> list[str]:
    """What is wrong with a text in TOML, a line a fault."""
    return [str(fault) for fault in check_file(read_inventory(text, toml=True, now_ms=NOW_MS), in_force or ())]


def lines(*rows: dict[str, Any]) -> list[str]:
    """What is wrong with JSON records, one a line."""
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return [str(fault) for fault in check_file(read_inventory(text, toml=False, now_ms=NOW_MS))]


def test_what_is_right_has_no_fault() -> None:
    assert toml(WHOLE) == toml(EXAMPLE.read_text(encoding="utf-8")) == []
    events: list[AnyEvent] = generate(SimulationRequest(seed=3, days=1, sites=1)).events
    assert lines(*[json.loads(msgspec.json.encode(event)) for event in events]) == []


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ('[[site]]\nname = "x"', "line 24: [[site]] number 2: 's1' stands in line 2 already; expected each once"),
        (
            '[[device]]\ndevice_id = "box"\ndevice_class = "edge"\nplace_id = "b1"',
            "line 24: [[device]] number 3: 'box' stands in line 14 already; expected each once",
        ),
        (
            '[[device]]\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "dor"',
            "line 27: [[device]] number 3: place_id = 'dor': there is no such place; did you mean 'door'?",
        ),
        (
            '[[device]]\ndevice_id = "c"\ndevice_class = "cam"\nplace_id = "b1"\nbox_id = "none-here"',
            "line 28: [[device]] number 3: box_id = 'none-here': there is no such device; "
            "expected the id of a [[device]] of this site",
        ),
        (
            '[[device]]\ndevice_id = "c"\ndevice_class = "cam"\nplace_id = "b1"\nbox_id = "cam"',
            "line 28: [[device]] number 3: box_id = 'cam' is of class cam; expected a device of class edge",
        ),
        (
            '[[device]]\ndevice_id = "e"\ndevice_class = "edge"\nplace_id = "b1"\nbox_id = "box"',
            "line 28: [[device]] number 3: box_id = 'box': 'e' is a box itself; expected no box_id",
        ),
        (
            '[[place]]\nplace_id = "p"\nkind = "zone"\nuse = "shed"\nparent_id = "nowhere-at-all"',
            "line 28: [[place]] number 3: parent_id = 'nowhere-at-all': there is no such place; "
            "expected the id of a [[place]] of this site",
        ),
        (
            '[[place]]\nplace_id = "p"\nkind = "zone"\nuse = "shed"\nbuilding = "b7"',
            "line 28: [[place]] number 3: building = 'b7': there is no such place; expected the id of a",
        ),
        (
            '[[place]]\nplace_id = "p"\nkind = "zone"\nuse = "shed"\nparent_id = "p"',
            "line 28: [[place]] number 3: parent_id = 'p' is the place itself; expected the place around it",
        ),
        (
            '[[device]]\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "b1"\nsilent_after_ms = 180',
            "line 28: [[device]] number 3: silent_after_ms = 180: expected 10000 (10 s) to 31 days, in milliseconds; "
            "seconds? Then write 180000",
        ),
        (
            '[[device]]\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "b1"\nsilent_after_ms = 31000000000',
            "line 28: [[device]] number 3: silent_after_ms = 31000000000: expected 10000 (10 s) to 31 days, "
            "in milliseconds; microseconds? Then write 31000000",
        ),
        (
            '[[threshold]]\nrule = "smoke_or_heta"\nname = "clear_ms"\nvalue = 60000',
            "line 25: [[threshold]] number 1: no rule is called 'smoke_or_heta'; did you mean 'smoke_or_heat'?",
        ),
        (
            '[[threshold]]\nrule = "smoke_or_heat"\nname = "clear_ms"\nvalue = 60',
            "line 27: [[threshold]] number 1: smoke_or_heat.clear_ms is 60, expected 1000 to 3600000 ms "
            "(default 60000); seconds? Then write 60000; `linli rules show smoke_or_heat` says what it means",
        ),
        (
            '[[device]]\ndevice_id = "g"\ndevice_class = "Gate"\nplace_id = "b1"',
            "line 26: [[device]] number 3: device_class = 'Gate': "
            "expected one of gate, cam, meter, sensor, tag, lift, edge; did you mean 'gate'?",
        ),
        (
            '[[device]]\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "b1"\nconsented = "yes"',
            "line 28: [[device]] number 3: consented = 'yes': expected true or false, got text",
        ),
        (
            '[[device]]\ndevice_id = "G 1"\ndevice_class = "gate"\nplace_id = "b1"',
            "line 25: [[device]] number 3: device_id 'G 1' is no id; "
            "expected at most 40 small letters, digits, - and _, with a letter or digit first",
        ),
        (
            '[[place]]\nplace_id = "p"\nkind = "zone"\nuse = "shed"\nflor = 2',
            "line 28: [[place]] number 3: unknown key 'flor'; did you mean 'floor'?",
        ),
        ('[[devices]]\ndevice_id = "g"', "did you mean 'device'?"),
        (
            '[[visitor]]\nregistration_id = "v"\nhost_place_id = "b1"\nfrom_ms = 1796086800\nto_ms = 1796119200000',
            "line 27: [[visitor]] number 1: from_ms = 1796086800: expected a time since 1970, of a day from 2000 to "
            "2100, in milliseconds; seconds? Then write 1796086800000",
        ),
        (
            '[[vehicle]]\nvehicle_id = "a"\ntag_id = "t"\n[[vehicle]]\nvehicle_id = "b"\ntag_id = "t"',
            "line 29: [[vehicle]] number 2: tag_id = 't' is on vehicle 'a' already; expected each on one",
        ),
        (
            '[[device]]\nsite_id = "s2"\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "s2"',
            "line 25: site 's2' has no [[site]] table, here or in the inventory; expected one with its name",
        ),
        (
            '[[consent]]\nsubject_ref = "p"\npurpose = "meter"\ngranted = true\nuntil_ms = 2027-12-01',
            "line 28: [[consent]] number 1: until_ms = datetime.date(2027, 12, 1): expected a whole number, got a date",
        ),
    ],
)
def test_each_fault_is_told_by_its_line_with_what_was_expected(added: str, said: str) -> None:
    found = toml(WHOLE + added)
    assert [line for line in found if said not in line] == []
    assert found


def test_a_circle_of_places_is_told_at_each_of_them() -> None:
    text = WHOLE.replace('use = "outdoor"', 'use = "outdoor"\nparent_id = "door"')
    assert toml(text) == [
        "line 8: [[place]] number 1: parent_id = 'door': the places around it come back to it (b1 → door → b1); "
        "expected an end at the site",
        "line 14: [[place]] number 2: parent_id = 'b1': the places around it come back to it (door → b1 → door); "
        "expected an end at the site",
    ]


def test_all_faults_of_a_file_are_told_and_none_that_follows_from_another() -> None:
    text = WHOLE.replace('use = "entrance"', 'use = "gate"').replace('name = "Willow', 'nam = "Willow')
    assert [line.partition(":")[0] for line in toml(text)] == ["line 2", "line 3", "line 12"]


def test_lines_of_a_long_text_are_not_taken_for_tables() -> None:
    text = WHOLE.replace('"Willow Court"', '"""a\n[[device]]\nplace_id = 1\n"""') + "[[device]]\ndevice_id = 3\n"
    assert toml(text)[0].startswith("line 27: [[device]] number 3: device_class is missing")
    assert toml(text)[1] == "line 28: [[device]] number 3: device_id = 3: expected text, got a whole number"


def test_rows_in_a_form_without_lines_are_told_by_number() -> None:
    assert toml('site_id = "s1"\nsite = [{name = "x"}]\nplace = [{place_id = "p"}]') == [
        "[[place]] number 1: kind is missing; expected one of site, building, unit, floor, room, door, lift, "
        "column, zone",
        "[[place]] number 1: use is missing; expected one of dwelling, lobby, corridor, stair, lift, entrance, shed, "
        "common, outdoor, facade",
    ]


def test_json_records_are_told_by_their_lines_too() -> None:
    site = {"kind": "site_configured", "site_id": "s1", "name": "x"}
    gate = {"kind": "device_configured", "site_id": "s1", "device_id": "g", "device_class": "gate", "place_id": "s1"}
    assert lines(site, gate) == []
    assert lines(site, gate | {"version": 1}, gate | {"version": 2, "removed": True}) == []  # what a program wrote
    assert lines(site, gate, gate) == ["line 3: device_configured: 'g' stands in line 2 already; expected each once"]
    assert lines(site, gate | {"place_id": "p"}, {"kind": "device_configurd"}) == [
        "line 2: device_configured: place_id = 'p': there is no such place; "
        "expected the id of a [[place]] of this site",
        "line 3: unknown kind 'device_configurd'; did you mean 'device_configured'?",
    ]
    assert check_file(read_inventory('{"kind": "x", "kind": "y"}', toml=False, now_ms=1))[0].line == 1


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n"])
def test_a_file_without_records_is_a_fault(text: str) -> None:
    assert "holds no record" in toml(text)[0]


def test_a_part_of_an_inventory_fits_to_what_is_in_force_already() -> None:
    there = parse_inventory(WHOLE, toml=True, now_ms=1)
    part = 'site_id = "s1"\n[[device]]\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "door"\n'
    assert len(toml(part)) == 2  # alone: no site, no place
    assert toml(part, there) == []
    taken = 'site_id = "s1"\n[[place]]\nplace_id = "door"\nkind = "door"\nuse = "entrance"\nremoved = true\n'
    assert toml(taken, there) == [
        "s1: device 'cam': place_id = 'door': there is no such place; expected the id of a [[place]] of this site "
        "(it is in the inventory; this file takes it away)"
    ]
    wrong = parse_inventory(
        WHOLE.replace('place_id = "door"\nbox', 'place_id = "gone-long-ago"\nbox'), toml=True, now_ms=1
    )
    assert toml(part, wrong) == []  # what is wrong there already is no fault of the file
    assert [line[:15] for line in faults_in_force(wrong)] == ["s1: device 'cam"]
    assert faults_in_force(there) == []


def test_a_place_that_is_written_flat_may_be_removed() -> None:
    text = 'site_id = "s1"\n[[place]]\nplace_id = "p"\nkind = "door"\nuse = "entrance"\nremoved = true\n'
    (record,) = parse_inventory(text, toml=True, now_ms=1)
    assert record.removed


def test_a_device_that_reports_monthly_may_be_silent_for_as_long() -> None:
    assert toml(WHOLE.replace("180000", str(31 * DAY_MS))) == toml(WHOLE.replace("180000", "10000")) == []
    assert toml(WHOLE.replace("180000", "9999")) != []


BUILDING = WHOLE.replace('building = "b1"\n', 'building = "b1"\nFIELD\n', 1)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (f"floor = {10**23}", "line 9: [[place]] number 1: floor: expected a number of at most 18 digits"),
        (f"floor = 0x{'f' * 6_000}", "line 9: [[place]] number 1: floor: expected a number of at most 18 digits"),
        (f"floor = {'9' * 5_000}", "line 9: a number of thousands of digits; expected one of at most 18"),
        ("floor = 5000000000", "line 9: [[place]] number 1: floor = 5000000000: expected -20 to 200"),
        ("floor = -21", "line 9: [[place]] number 1: floor = -21: expected -20 to 200"),
    ],
)
def test_a_number_that_no_floor_has_is_told_by_its_line(field: str, said: str) -> None:
    assert toml(BUILDING.replace("FIELD", field)) == [said]


def test_a_floor_below_the_ground_or_of_a_tower_is_right() -> None:
    for floor in (-20, 0, 200):
        assert toml(BUILDING.replace("FIELD", f"floor = {floor}")) == []


@pytest.mark.parametrize("name", ["\\ud800", "a\\udfffb"])
def test_half_a_character_is_told_by_its_line(name: str) -> None:
    text = f'{{"kind": "site_configured", "site_id": "s1", "name": "{name}"}}'
    for line in (text, text.replace('"s1"', f'"{name}"')):
        found = [str(fault) for fault in check_file(read_inventory(line, toml=False, now_ms=NOW_MS))]
        assert found and all(one.startswith("line 1: ") for one in found) and "half of a character" in found[0]


@pytest.mark.parametrize("number", [str(10**30), "9" * 5_000, f"-{10**19}"])
def test_a_number_that_is_kept_nowhere_is_told_by_its_line(number: str) -> None:
    line = f'{{"kind": "site_configured", "site_id": "s1", "name": "x", "version": {number}, "at_ms": {number}}}'
    found = [str(fault) for fault in check_file(read_inventory(line, toml=False, now_ms=NOW_MS))]
    assert found and all(one.startswith("line 1: ") for one in found)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('[[consent]]\nsubject_ref = "p"\npurpose = "metre"\ngranted = true',
         "line 26: [[consent]] number 1: purpose = 'metre' is none; expected one of absence, meter; "
         "did you mean 'meter'?"),
        ('[[vehicle]]\nvehicle_id = "v1"\nowner_refs = ["p-1", "138 0013 8000"]',
         "line 26: [[vehicle]] number 1: owner_refs reads as a telephone number, a mail address or an identity card's "
         "number; expected a reference that names nobody, such as p-8f3a61"),
        ('[[consent]]\nsubject_ref = "\\u001b[2J"\npurpose = "meter"\ngranted = true',
         "line 25: [[consent]] number 1: subject_ref holds the character U+001B, which is not seen; "
         "expected letters that people can read"),
    ],
)  # fmt: skip
def test_what_would_mean_nothing_or_too_much_is_told(row: str, said: str) -> None:
    assert toml(f"{WHOLE}{row}\n") == [said]


@pytest.mark.parametrize("letter", ["\\u0000", "\\u001b", "\\u202e", "\\u2066", "\\u0085", "\\ufeff"])
def test_characters_that_nobody_sees_are_in_no_name(letter: str) -> None:
    for name in ("Willow Court", "box"):
        text = WHOLE.replace('name = "Willow Court"', f'name = "Willow{letter}"') if name != "box" else WHOLE.replace(
            'device_id = "box"\n', f'device_id = "box"\nname = "a{letter}"\n')  # fmt: skip
        (found,) = toml(text)
        assert "name holds the character U+" in found


def test_names_in_many_languages_are_right() -> None:
    for name in ("柳园 3 号楼", "Bâtiment «A» – nº 1", "البناية", "👨\u200d👩\u200d👧"):
        assert toml(WHOLE.replace("Willow Court", name)) == []


@pytest.mark.parametrize("zone", ["Factory", "localtime"])
def test_a_time_zone_of_no_place_is_told(zone: str) -> None:
    (found,) = toml(WHOLE.replace('name = "Willow Court"', f'name = "Willow Court"\ntime_zone = "{zone}"'))
    assert f"time zone '{zone}' is unknown" in found


@pytest.mark.parametrize("ref", ["13800138000", "+86 138-0013-8000", "010 6552 9988", "11010519491231002X", "a@b.cn"])
def test_a_persons_number_is_no_reference(ref: str) -> None:
    (found,) = toml(f'{WHOLE}[[vehicle]]\nvehicle_id = "v1"\nowner_refs = ["{ref}"]\n')
    assert "expected a reference that names nobody" in found and ref not in found
