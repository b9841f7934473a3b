"""Whatever is on the wire, only ``Rejected`` is raised, and what is accepted can be written to the log and read back.

``LINLI_FUZZ_CASES`` sets how many cases each decoder gets (default 5,000; ``make fuzz`` runs 100,000), and
``LINLI_FUZZ_SEED`` where they begin; a failure names its case.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.batch import Batch, decode_batch, encode_batch
from contracts.errors import ConfigurationError, Rejected
from contracts.events import (
    AccessAttempted,
    AnyEvent,
    BacklogDrained,
    Credential,
    DeviceStateChanged,
    Direction,
    EvidenceRef,
    Lane,
    ObjectFell,
    PassageObserved,
    RowsDropped,
    TagSeen,
)
from contracts.names import Topic, parse_topic
from ingest.pipeline.acks import PendingPuback
from ingest.pipeline.decode import decode, spool_mark
from ingest.pipeline.pipeline import Arrival, IngestPipeline
from ingest.pipeline.scrub import scrub
from ingest.settings import ShardSettings
from inventory.file_import import parse_inventory
from tests.ingest.builders import NOW_MS, community, door, power, reported, row, smoke, wire

CASES = int(os.environ.get("LINLI_FUZZ_CASES", "5000"))
SEED = int(os.environ.get("LINLI_FUZZ_SEED", "20261123"))
COMMON: dict[str, Any] = {"event_id": "x1", "site_id": "s1", "place_id": "p1", "at_ms": NOW_MS}
CLIP = EvidenceRef(evidence_id="e", kind="clip", sha256="0" * 64, bytes=5, mime="video/mp4", from_ms=1, to_ms=2)
FALL = ObjectFell(
    **COMMON,
    source_id="c1",
    track_id=2,
    started_ms=NOW_MS,
    duration_ms=900,
    calibrated=True,
    floor=4.5,
    column="col-1",
    spool=row(8).spool,
    evidence=(CLIP,),
)
ATTEMPT = AccessAttempted(
    **COMMON,
    source_id="g1",
    credential=Credential.FACE,
    granted=True,
    person_ref="p-1",
    direction=Direction.OUT,
    quality=0.5,
)
LOSS = RowsDropped(**COMMON, source_id="b1", spool_id="sp1", lane=Lane.LIVE, from_seq=1, to_seq=2, from_ms=1, to_ms=2)
DRAINED = BacklogDrained(**COMMON, source_id="b1", spool_id="sp1", spool=row(9).spool)
WILL = DeviceStateChanged(**COMMON, source_id="g1", online=False, reason="last_will")
SEEDS: list[tuple[str, AnyEvent]] = [
    ("linli/v1/s1/gate/g1/evt", door(seq=4, model="m@1")),
    ("linli/v1/s1/gate/g1/evt", reported(gauges={"frames_per_s": 20.0, "disk_free_pct": 3.5})),
    ("linli/v1/s1/gate/g1/evt", ATTEMPT),
    ("linli/v1/s1/gate/g1/state", WILL),
    ("linli/v1/s1/meter/m1/tele", power(voltage_v=230.0, power_factor=-0.5)),
    ("linli/v1/s1/sensor/smoke-1/evt", smoke()),
    ("linli/v1/s1/tag/t1/tele", TagSeen(**COMMON, source_id="t1", tag_id="tag-1", rssi_dbm=-60.0)),
    ("linli/v1/s1/cam/c9/evt", PassageObserved(**COMMON, source_id="c9", direction=Direction.IN, track_id=1)),
    ("linli/v1/s1/edge/b1/evt", row(7, first=3)),
    ("linli/v1/s1/edge/b1/evt", FALL),
    ("linli/v1/s1/edge/b1/evt", DRAINED),
    ("linli/v1/s1/edge/b1/evt", LOSS),
]
WILD: list[Any] = [
    None, True, -1, 0, 2**53, 2**63, 2**64, 10**400, -(10**30), 1e308, 0.1, "", "x" * 90, "a/b", "S1", "\x00", "é" * 30,
    [], {}, [[[[]]]], {"a": {"b": {}}}, "s2", "g2", "linli", "open", [1] * 300, {str(n): n for n in range(100)},
]  # fmt: skip
RAW = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b"tru", b"[" * 40,
       b"{" * 300, b"0x1f", b"01", b"'a'", b"\xff\xfe", b"\xef\xbb\xbf", b"/**/", b"1_000", b"\x00"]  # fmt: skip
TOPICS = ["", "#", "/", "linli/v1/s1/gate/g1", "linli/v1//gate/g1/evt", "linli/v2/s1/gate/g1/evt", "a" * 70_000,
          "\ufffd", "linli/v1/s1/gate/g1/evt/x", "linli/v1/s1/robot/g1/evt", "linli/v1/s1/gate/G1/evt"]  # fmt: skip


def _structural(rng: random.Random, event: AnyEvent) -> bytes:
    """A valid message with one to three fields exchanged, dropped, added or replaced by something raw."""
    fields: dict[str, Any] = json.loads(wire(event))
    raw: dict[str, bytes] = {}
    for _ in range(rng.randint(1, 3)):
        key = rng.choice([*fields, "spool", "gauges", "evidence", "extra", "v", "seq", "stored", "device_at_ms"])
        match rng.randrange(4):
            case 0:
                fields.pop(key, None)
            case 1:
                fields[key] = rng.choice(WILD)
            case 2:
                fields[key] = {"box_id": rng.choice(WILD), "spool_id": "sp", "lane": rng.choice(["live", 1]), "seq": 1}
            case _:
                fields[key] = f"RAW{len(raw)}"
                raw[f'"RAW{len(raw)}"'] = rng.choice(RAW)
    text = json.dumps(fields, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    for mark, value in raw.items():
        text = text.replace(mark.encode(), value)
    return text


def _bytewise(rng: random.Random, event: AnyEvent) -> bytes:
    """A valid message with a few bytes changed, cut, doubled or inserted."""
    data = bytearray(wire(event))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(1, 30)]
            case 2:
                data[at:at] = data[max(0, at - rng.randrange(1, 40)) : at]
            case _:
                data[at:at] = rng.choice(RAW)
    return bytes(data)


def _case(rng: random.Random) -> tuple[str, bytes]:
    topic, event = rng.choice(SEEDS)
    if rng.random() < 0.05:
        topic = rng.choice(TOPICS)
    kind = rng.random()
    if kind < 0.6:
        return topic, _structural(rng, event)
    if kind < 0.95:
        return topic, _bytewise(rng, event)
    return topic, rng.randbytes(rng.randrange(200)) if rng.random() < 0.5 else wire(event)


def _fuzz(one: Callable[[random.Random], bool]) -> None:
    accepted = 0
    for n in range(CASES):
        try:
            accepted += one(random.Random(SEED * 1_000_003 + n))
        except Exception as error:
            raise AssertionError(f"case {n} of seed {SEED}: {error!r}") from error
    assert 0 < accepted < CASES, "a fuzzer that never (or always) gets through tests nothing"


def test_the_decoder_raises_only_rejected_and_what_it_accepts_can_be_logged() -> None:
    def one(rng: random.Random) -> bool:
        topic, payload = _case(rng)
        spool_mark(payload)
        try:
            parsed: Topic = parse_topic(topic)
            event = decode(parsed, payload, "run-1")
        except Rejected:
            return False
        batch = Batch(partition=0, watermark_ms=1, events=(event,))
        assert decode_batch(encode_batch(batch)) == batch
        return True

    _fuzz(one)


def test_the_pipeline_gives_every_message_an_end() -> None:
    pipeline = IngestPipeline(ShardSettings(mqtt_url="", events_burst=1e9, readings_burst=1e9), "run")
    for record in community():
        pipeline.admission.apply_config(record)

    def one(rng: random.Random) -> bool:
        topic, payload = _case(rng)
        arrival = Arrival(topic, payload, 1, 1, retain=rng.random() < 0.1, connection=1)
        outcome = pipeline.take(arrival, PendingPuback(1, 1), NOW_MS + rng.randrange(10_000), timely=True)
        assert outcome.pending_ack.receipt is not None
        return hasattr(outcome, "event")

    _fuzz(one)


def test_scrubbing_never_raises_and_the_inventory_says_what_is_wrong() -> None:
    lines = [msgspec.json.encode(record).decode() for record in community()]

    def one(rng: random.Random) -> bool:
        assert len(scrub(_case(rng)[1])) <= 1_000
        text = list(rng.choice(lines))
        for _ in range(rng.randint(0, 4)):
            text[rng.randrange(len(text))] = rng.choice('{}[]",:0x\\é')
        try:
            return bool(parse_inventory("".join(text), toml=rng.random() < 0.1, now_ms=1))
        except ConfigurationError:
            return False

    _fuzz(one)


@pytest.mark.parametrize("size", [256 * 1024, 256 * 1024 + 1, 10_000_000])
@pytest.mark.parametrize("filler", [b"[", b'{"a":', b'"', b" ", b"9", b"\\", b'"\\', b'"a",'])
def test_large_and_nested_payloads_end_quickly(size: int, filler: bytes) -> None:
    payload = (b'{"kind":"door_changed","x":' + filler * (size // len(filler)))[:size]
    with pytest.raises(Rejected):
        decode(parse_topic("linli/v1/s1/gate/g1/evt"), payload, "run-1")
    spool_mark(payload)
    scrub(payload)
