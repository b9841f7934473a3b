"""Real pictures through the whole product: people at a gate and falling things become incidents with still and clip."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from contracts.events import DeviceReported
from contracts.names import Channel, DeviceClass, Topic
from inventory.file_import import parse_inventory
from simulator.publish import EventPublisher
from system.clock import wall_ms
from tests.edge.models import shared_manifest
from tests.edge.platform import wait_for
from tests.support.community import RunningCommunity, running_community
from tests.support.shared import need_shared

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(900)]

PASSAGES = 2
ALL_PASSAGES = 6
"""We end after the second, 44 s in; while the last clips come from a busy machine, further people pass."""
APART_MS = 10_000  # two people are at least 16 s apart; a machine that is behind plays them further apart
FALLS = {("high_altitude_throw", "facade-1"): 2, ("high_altitude_throw", "facade-3"): 2}
"""The word goes at once, the pictures follow it."""
ENDED = "camera_impaired"
"""A film that is over is a camera without pictures; how soon we end, the machine decides."""
GATE = ("stranger_entry", "door-1")
PATIENCE_S = 400  # it takes 50 s; a machine with other work to do decodes more slowly than the films play
INVENTORY = """
site_id = "s1"
[[site]]
name = "Willow Court"
[[place]]
place_id = "door-1"
kind = "door"
use = "entrance"
[[place]]
place_id = "facade-1"
kind = "column"
use = "facade"
[[place]]
place_id = "facade-3"
kind = "column"
use = "facade"
[[place]]
place_id = "street"
kind = "zone"
use = "outdoor"
[[device]]
device_id = "gate-1"
device_class = "gate"
place_id = "door-1"
[[device]]
device_id = "box-1"
device_class = "edge"
place_id = "door-1"
[[device]]
device_id = "cam-gate"
device_class = "cam"
place_id = "door-1"
box_id = "box-1"
[[device]]
device_id = "cam-facade-1"
device_class = "cam"
place_id = "facade-1"
box_id = "box-1"
[[device]]
device_id = "cam-facade-3"
device_class = "cam"
place_id = "facade-3"
box_id = "box-1"
[[device]]
device_id = "cam-street"
device_class = "cam"
place_id = "street"
box_id = "box-1"
"""


def box_file(community: RunningCommunity) -> Path:
    """A box that watches the gate through ONNX, both facades uncalibrated, and a street where nothing falls."""
    folder = community.folder
    model = shared_manifest("yolox_nano_416", folder)
    token = community.enrol("box-1", "s1")
    text = f"""
[box]
id = "box-1"
site = "s1"
data = "box"
place_id = "door-1"
[mqtt]
url = "{community.mqtt_url}"
[console]
url = "{community.page}"
token_file = "{token.name}"
[[camera]]
id = "cam-gate"
source = "{need_shared("clips/gate/one-by-one-person-detection.mp4")}"
place_id = "door-1"
analysers = ["passages"]
model = "{model.name}"
upload_passages = true
[[camera.line]]
place_id = "door-1"
start = [0.62, 1.0]
end = [0.62, 0.0]
"""
    falls = {
        "cam-facade-1": ("facade-1", "falling/facade_office1.mp4"),
        "cam-facade-3": ("facade-3", "falling/facade_office3.mp4"),
        "cam-street": ("street", "negatives/traffic_640x360.avi"),
    }
    for camera, (place, clip) in falls.items():
        text += f'[[camera]]\nid = "{camera}"\nsource = "{need_shared(f"clips/{clip}")}"\nplace_id = "{place}"\n'
        text += 'analysers = ["high_altitude_throw"]\n'
    file = folder / "box.toml"
    file.write_text(text)
    return file


def gate_lives(community: RunningCommunity) -> None:
    """The gate says that it lives and shows no credential: so whoever passes has none, proven."""
    gate = EventPublisher(community.mqtt_url, "gate-1")
    gate.start()
    now_ms = wall_ms()
    event = DeviceReported(event_id="alive-1", site_id="s1", source_id="gate-1", place_id="door-1", at_ms=now_ms, seq=1)
    gate.send(Topic("s1", DeviceClass.GATE, "gate-1", Channel.EVT), event)
    assert gate.wait_confirmed(PATIENCE_S)
    gate.stop()


def seen(community: RunningCommunity) -> list[dict[str, Any]]:
    """Return the incidents of what the clips hold, without those of clips that are over."""
    return [one for one in community.incidents() if one["incident"]["scenario"] != ENDED]


def counted(incidents: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Scenario and place of each incident → its findings."""
    return {(i["incident"]["scenario"], i["incident"]["place_id"]): len(i["findings"]) for i in incidents}


def complete(incidents: list[dict[str, Any]]) -> bool:
    """Whether both falls and the passages have arrived, pictures too."""
    found = counted(incidents)
    states = [piece["state"] for one in incidents for piece in one["evidence"]]
    pictured = len(states) == 2 * (len(FALLS) + found.get(GATE, 0)) and set(states) == {"present"}
    return found.keys() >= {*FALLS, GATE} and found[GATE] >= PASSAGES and pictured


def check_evidence(community: RunningCommunity, piece: dict[str, Any]) -> None:
    """The bytes are those that the event named, and are a picture or a film."""
    data = community.console.get(f"/api/v1/evidence/{piece['sha256']}").content
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (piece["sha256"], piece["size_bytes"])
    if piece["kind"] == "still":
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
        return
    file = community.folder / "clip.mp4"
    file.write_bytes(data)
    lasts_ms = piece["to_ms"] - piece["from_ms"]
    assert lasts_ms > 1_000
    assert lasts_of(file) == pytest.approx(lasts_ms, abs=250)  # how many pictures it has, the machine's speed decides


def lasts_of(film: Path) -> float:
    """From a film's first picture to its last one, in ms; every one of them is decoded."""
    capture, times_ms = cv2.VideoCapture(str(film)), list[float]()
    while capture.read()[0]:
        times_ms.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    capture.release()
    return times_ms[-1] - times_ms[0]


def test_real_people_and_real_falls_become_incidents_with_still_and_clip_each_once(tmp_path: Path) -> None:
    records = parse_inventory(INVENTORY, toml=True, now_ms=wall_ms())
    with running_community(tmp_path, records) as community:
        gate_lives(community)
        with community.box(box_file(community)):
            wait_for(lambda: complete(seen(community)), "everything that the clips hold", PATIENCE_S)
        incidents = seen(community)
        for piece in (piece for one in incidents for piece in one["evidence"]):
            check_evidence(community, piece)
        expected = {one["incident"]["incident_id"] for one in incidents}
        wait_for(lambda: community.receiver.told_incidents() >= expected, "the receiver is told")
    found = counted(incidents)
    passages = found[GATE]
    assert found == {**FALLS, GATE: passages} and len(incidents) == len(found)
    assert PASSAGES <= passages <= ALL_PASSAGES
    assert all(one["incident"]["verified"] and one["incident"]["origin"] == "live" for one in incidents)
    people = [one for i in incidents if i["incident"]["scenario"] == GATE[0] for one in i["findings"]]
    assert all(one["model"].startswith("yolox_nano_416@") for one in people)
    passed_ms = sorted(one["decided_ms"] for one in people)
    assert all(after - before >= APART_MS for before, after in pairwise(passed_ms)), "nobody is counted twice"
    kinds = Counter(piece["kind"] for one in incidents for piece in one["evidence"])
    assert kinds == {"still": 2 + passages, "clip": 2 + passages}
    assert community.receiver.told_twice() == 0
