"""Whatever is refused, and wherever in it a person stands: the letter that is kept of it names nobody."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from contracts.names import ID_PATTERN
from ingest.pipeline.pipeline import Arrival, IngestPipeline, Refused
from ingest.pipeline.scrub import scrub, scrub_text
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetter, dead_letter
from tests.ingest.builders import NOW_MS, community, door, row, wire

ROOT = Path(__file__).resolve().parents[3]
PERSONAL = (
    "zhang-san",
    "13800138000",
    "138 0013 8000",
    "O'Brien of 3-201",
    "li.si@example.org",
    "京A12345",
    "pr-7f3a9c1e5d",
    '"; "zhang-san',
)
FACE = [0.1234, -0.5678, 0.9012]
TOPICS = ("linli/v1/s1/gate/g1/evt", "linli/v1/s1/edge/b1/evt", "linli/v1/{}/gate/{}/evt", "linli/v1/s1/gate/{}/evt")


def _pipeline() -> IngestPipeline:
    pipeline = IngestPipeline(ShardSettings(mqtt_url="mqtt://x", events_burst=1e9, readings_burst=1e9), "run")
    for record in community():
        pipeline.admission.apply_config(record)
    return pipeline


def _payloads(said: str) -> Iterator[bytes]:
    """Events with ``said`` in the place of each of their fields, as a key, in a list, beside numbers of a face."""
    for event in (door(), row(1, first=1)):
        plain = msgspec.to_builtins(event)
        for field in (*plain, "credential", "person_ref", "gauges", "evidence", "faceVector", said):
            for value in (
                said,
                [said],
                {said: said},
                {"box_id": said, "lane": said},
                FACE,
                {"feature": FACE},
                13_800_138_000,
            ):
                yield msgspec.json.encode(plain | {field: value})
    yield said.encode()
    yield b"{" + said.encode()
    yield wire(door()) + said.encode()


def _letters(said: str) -> Iterator[DeadLetter]:
    pipeline = _pipeline()
    for text in TOPICS:
        topic = text.replace("{}", said)
        for payload in _payloads(said):
            outcome = pipeline.take(Arrival(topic, payload, 1, 1, False, 1), None, NOW_MS, timely=True)
            if isinstance(outcome, Refused):
                yield dead_letter(outcome.reason, outcome.detail, outcome.known, topic, payload, NOW_MS)


@pytest.mark.parametrize("said", PERSONAL)
def test_a_letter_names_nobody_wherever_in_the_message_they_stand(said: str) -> None:
    letters = list(_letters(said))
    assert len(letters) > 40
    parts = [said, *(part for part in said.split() if len(part) > 2), "0.1234", "0.5678", "0013", "8000"]
    for letter in letters:
        kept = f"{letter.source} {letter.topic} {letter.detail} {letter.excerpt}"
        named = [part for part in parts if part in kept and part not in {"138"}]
        assert named == [], kept


def test_what_is_ours_is_kept_so_that_people_see_why() -> None:
    (letter,) = [
        dead_letter(refused.reason, refused.detail, refused.known, arrival.topic, arrival.payload, NOW_MS)
        for arrival in [Arrival(TOPICS[0], wire(door(source_id="g2")), 1, 1, False, 1)]
        for refused in [_pipeline().take(arrival, None, NOW_MS, timely=True)]
        if isinstance(refused, Refused)
    ]
    assert (letter.source, letter.topic) == ("s1/g1", TOPICS[0])
    assert letter.detail == "source_id is not the topic's 'g1'"
    assert '"kind":"door_changed","event_id":"<text 2>","site_id":"s1","source_id":"<text 2>"' in letter.excerpt
    assert f'"at_ms":{NOW_MS},"state":"open"' in letter.excerpt


def test_a_number_is_kept_only_in_a_field_of_numbers_and_if_it_is_nobodys() -> None:
    said = {"power_w": 120.5, "at_ms": 13_800_138_000, "seq": 13_800_138, "person_ref": 138, "temperature_c": [36.5]}
    expected = {"power_w": 120.5, "at_ms": "<number>", "seq": "<number>", "person_ref": "<number>"}
    assert msgspec.json.decode(scrub(msgspec.json.encode(said))) == expected | {"temperature_c": "<list 1>"}


def _refusals() -> Iterator[tuple[str, str]]:
    """The fixed words of every refusal of ingest and of names, and where each stands."""
    for path in sorted([*(ROOT / "ingest").rglob("*.py"), ROOT / "contracts" / "names.py"]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Rejected" and len(node.args) > 1:
                for part in ast.walk(node.args[1]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", part.value


def test_every_word_in_which_ingest_refuses_is_among_the_harmless_ones() -> None:
    found = list(_refusals())
    assert len(found) > 30
    lost = {f"{where}: {words!r}" for where, words in found if "<text" in scrub_text(words)}
    assert lost == set(), "ingest/pipeline/harmless_words.py lacks a word of these refusals"
    assert scrub_text(f"site 'x y' does not match {ID_PATTERN}").endswith(f"does not match {ID_PATTERN}")
