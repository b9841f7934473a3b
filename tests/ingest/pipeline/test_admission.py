"""Only devices of the inventory are heard, each through whom it may speak; the others are pending, within bounds."""

from __future__ import annotations

import msgspec
import pytest

from contracts.errors import Rejected, RejectReason
from contracts.events import PlaceConfigured
from contracts.names import DeviceClass, parse_topic
from contracts.places import Place, PlaceKind, PlaceUse
from ingest.pipeline.admission import MAX_PENDING, Admission
from tests.ingest.builders import NOW_MS, community, device, door, power, row


def _admission() -> Admission:
    admission = Admission()
    for record in community():
        admission.apply_config(record)
    return admission


def test_configured_devices_pass_and_nobody_is_pending() -> None:
    admission = _admission()
    admission.check(door(), parse_topic("linli/v1/s1/gate/g1/evt"))
    admission.check(row(1), parse_topic("linli/v1/s1/edge/b1/evt"))
    admission.check(row(1))
    admission.check(door())
    assert admission.pending_devices() == []
    assert admission.pending_topics() == []


def test_a_device_without_a_record_is_pending_with_a_count_and_its_last_event() -> None:
    admission = _admission()
    for n in range(3):
        with pytest.raises(Rejected) as caught:
            admission.check(door(source_id="g9"), parse_topic("linli/v1/s1/gate/g9/evt"), NOW_MS + n)
        assert caught.value.reason is RejectReason.NOT_CONFIGURED
    (waiting,) = admission.pending_devices()
    assert (waiting.site_id, waiting.device_id, waiting.device_class, waiting.count) == ("s1", "g9", "gate", 3)
    assert (waiting.last_kind, waiting.last_ms) == ("door_changed", NOW_MS + 2)
    admission.apply_config(device("g9", DeviceClass.GATE))
    admission.check(door(source_id="g9"))
    assert admission.pending_devices() == []


def test_a_removed_device_is_pending_again() -> None:
    admission = _admission()
    admission.apply_config(device("g1", DeviceClass.GATE, removed=True))
    with pytest.raises(Rejected):
        admission.check(door())
    assert [waiting.device_id for waiting in admission.pending_devices()] == ["g1"]


@pytest.mark.parametrize(
    ("topic", "source", "record"),
    [
        ("linli/v1/s1/edge/b2/evt", "c1", device("b2", DeviceClass.EDGE)),
        ("linli/v1/s1/cam/c1/evt", "c1", device("b2", DeviceClass.EDGE)),
        ("linli/v1/s1/edge/b1/evt", "c2", device("c2", DeviceClass.CAM)),
        ("linli/v1/s1/edge/g1/evt", "c3", device("c3", DeviceClass.CAM, "g1")),
    ],
    ids=["another box", "the camera past its box", "a camera of no box", "a box that is a gate"],
)
def test_a_camera_is_heard_through_its_box_alone(topic: str, source: str, record: object) -> None:
    admission = _admission()
    admission.apply_config(record)  # type: ignore[arg-type]
    event = msgspec.structs.replace(row(1), source_id=source, spool=None)
    with pytest.raises(Rejected) as caught:
        admission.check(event, parse_topic(topic))
    assert caught.value.reason is RejectReason.WRONG_DEVICE
    assert admission.pending_devices() == []


def test_a_device_does_not_change_its_class() -> None:
    with pytest.raises(Rejected, match="wrong_device"):
        _admission().check(door(), parse_topic("linli/v1/s1/lift/g1/evt"))
    with pytest.raises(Rejected, match="wrong_device"):
        _admission().check(power(source_id="c1", spool=row(1).spool), parse_topic("linli/v1/s1/edge/b1/evt"))


def test_those_who_wait_are_bounded() -> None:
    admission = _admission()
    for n in range(MAX_PENDING + 50):
        admission.unknown_topic(f"x/{n}", 10, NOW_MS)
        with pytest.raises(Rejected):
            admission.check(door(source_id=f"x{n}"))
    assert len(admission.pending_topics()) == len(admission.pending_devices()) == MAX_PENDING
    assert admission.pending_topics()[-1].topic == f"x/{MAX_PENDING + 49}"


def test_a_site_is_known_by_the_place_that_stands_for_it() -> None:
    admission = _admission()
    assert admission.sites() == {"s1": "s1"}
    whole = Place(place_id="whole", kind=PlaceKind.SITE, use=PlaceUse.OUTDOOR)
    admission.apply_config(
        PlaceConfigured(
            event_id="", site_id="s1", source_id="config", place_id="whole", at_ms=1, version=9, place=whole
        )
    )
    assert admission.sites() == {"s1": "whole"}
