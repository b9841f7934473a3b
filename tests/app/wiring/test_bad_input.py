"""Bad input through the whole product: each is refused with its reason and shown, and nothing else stops."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.wiring.children import linli_arguments
from app.wiring.run_child import environment, run_settings
from contracts.batch import decode_batch
from contracts.errors import RejectReason
from contracts.events import Configuration, EnvironmentSampled, Event
from contracts.names import DeviceClass
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms
from tests.edge.platform import wait_for
from tests.ingest.builders import device, door, power, row, site
from tests.ingest.clients import Devices
from tests.support.community import RunningCommunity, running_community

pytestmark = [pytest.mark.service, pytest.mark.timeout(180)]

PATIENCE_S = 60
LARGE = 10 * 1024 * 1024
DAY_MS = 86_400_000
SECRET_NAME = "Zhang San"
NOW_MS = wall_ms()


class Bad(msgspec.Struct):
    """One thing that a device should not have said. ``topic`` and ``said`` get the device's own id for ``{me}``.

    ``source`` is what its letter says: ids that the inventory does not have are not kept.
    """

    what: str
    reason: RejectReason
    said: bytes
    topic: str = "linli/v1/s1/gate/{me}/evt"
    source: str = "s1/{me}"


def said(**changes: Any) -> bytes:
    """A door's event by the device itself, with fields changed; None takes one away."""
    event = msgspec.to_builtins(door("e", "{me}", NOW_MS)) | changes
    return msgspec.json.encode({name: value for name, value in event.items() if value is not None})


BAD = [
    Bad("10 MB of JSON", RejectReason.TOO_LARGE, b'{"a": "' + b"x" * LARGE + b'"}'),
    Bad("10 MB of nothing", RejectReason.TOO_LARGE, bytes(LARGE)),
    Bad("deep lists", RejectReason.TOO_DEEP, b"[" * 100_000),
    Bad("a deep object", RejectReason.TOO_DEEP, b'{"a":' * 30_000 + b"1" + b"}" * 30_000),
    Bad("half an event", RejectReason.NOT_JSON, said()[:40]),
    Bad("a word", RejectReason.NOT_JSON, b"open"),
    Bad("bytes", RejectReason.NOT_UTF8, b"\xff\xfe\x00\x01"),
    Bad("a list", RejectReason.WRONG_TYPE, b"[1, 2, 3]"),
    Bad("a state that is none", RejectReason.WRONG_TYPE, said(state=SECRET_NAME)),
    Bad("a number as state", RejectReason.WRONG_TYPE, said(state=1.5)),
    Bad("another version", RejectReason.UNKNOWN_VERSION, said(v=99)),
    Bad("an unknown kind", RejectReason.UNKNOWN_KIND, said(kind="door_blessed")),
    Bad("configuration", RejectReason.UNKNOWN_KIND, said(kind="device_configured")),
    Bad("1970", RejectReason.TOO_OLD, said(at_ms=1, stored=True)),
    Bad("last month", RejectReason.TOO_OLD, said(at_ms=NOW_MS - 31 * DAY_MS, stored=True)),
    Bad("another site's event", RejectReason.WRONG_SITE, said(site_id="s2")),
    Bad("another device's event", RejectReason.WRONG_DEVICE, said(source_id="fire-0")),
    Bad("another class's event", RejectReason.WRONG_DEVICE, msgspec.json.encode(power("e", "{me}", NOW_MS))),
    Bad("a camera's event, by no box", RejectReason.WRONG_DEVICE, msgspec.json.encode(row(1, at_ms=NOW_MS))),
    Bad("a door on the state channel", RejectReason.WRONG_CHANNEL, said(), "linli/v1/s1/gate/{me}/state"),
    Bad("a bad site in the topic", RejectReason.BAD_ID, said(), "linli/v1/S 1/gate/{me}/evt", "unknown"),
    Bad("topic of another vendor", RejectReason.UNKNOWN_TOPIC, said(), "zigbee2mqtt/plug/{me}", "unknown"),
    Bad("an unknown class", RejectReason.UNKNOWN_TOPIC, said(), "linli/v1/s1/door/{me}/evt", "unknown"),
    Bad("a stranger", RejectReason.NOT_CONFIGURED, said(source_id="new"), "linli/v1/s1/gate/new/evt", "s1/unknown"),
    Bad(
        "another community's",
        RejectReason.NOT_CONFIGURED,
        said(site_id="s9", source_id="g1"),
        "linli/v1/s9/gate/g1/evt",
        "unknown",
    ),
]


def me(n: int) -> str:
    """The device that says the n-th bad thing: each its own, so that letters tell them apart and no quota is met."""
    return f"bad-{n}"


def who(what: str) -> str:
    """The device that says ``what``."""
    return next(me(n) for n, bad in enumerate(BAD) if bad.what == what)


def inventory() -> list[Configuration]:
    """A gate for each bad thing, and a fire sensor for the good one that follows each."""
    records: list[Configuration] = [site()]
    for n in range(len(BAD)):
        records.append(device(me(n), DeviceClass.GATE))
        records.append(device(f"fire-{n}", DeviceClass.SENSOR, place_id=f"fire-{n}"))
    records += [device(name, DeviceClass.SENSOR, place_id=name) for name in ("late", "early", "kept")]
    return records


def alarm(source_id: str, at_ms: int) -> EnvironmentSampled:
    """A fire sensor's alarm, in a place of its own."""
    return EnvironmentSampled(
        event_id=f"{source_id}-1", site_id="s1", source_id=source_id, place_id=source_id, at_ms=at_ms, alarm=True
    )


def now_ms() -> int:
    """The wall clock, epoch ms."""
    return wall_ms()


def tell(devices: Devices, event: Event) -> None:
    """Publish a sensor's event."""
    devices.send(f"linli/v1/s1/sensor/{event.source_id}/evt", msgspec.json.encode(event))


def say_everything(port: int) -> None:
    """Each bad thing, and a good one after it; then alarms said again, from the future and from weeks ago."""
    with Devices(port) as devices:
        for n, bad in enumerate(BAD):
            own = me(n)
            devices.send(bad.topic.replace("{me}", own), bad.said.replace(b"{me}", own.encode()))
            tell(devices, alarm(f"fire-{n}", now_ms()))
        replayed = alarm("fire-0", now_ms())
        for _ in range(3):
            tell(devices, replayed)
        tell(devices, alarm("early", now_ms() + 400 * DAY_MS))
        tell(devices, alarm("late", now_ms() - 20 * DAY_MS))
        tell(devices, msgspec.structs.replace(alarm("kept", now_ms() - 20 * DAY_MS), stored=True))
        devices.confirmed(PATIENCE_S)


def linli(community: RunningCommunity, *arguments: str) -> str:
    """Return what a ``linli`` command prints beside the running community."""
    settings = run_settings(community.folder, community.mqtt_url, 0, "")
    done = subprocess.run(
        linli_arguments(*arguments),
        cwd=community.folder,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout


def letters(community: RunningCommunity) -> list[list[str]]:
    """The dead letters as listed: number, time, reason, source, size, what was wrong."""
    listed = linli(community, "dead-letters", "list", "--limit", "1000")
    return [line.split("\t") for line in listed.splitlines()]


def in_log(folder: Path) -> dict[str, list[Event]]:
    """Return what each sensor's alarm became in the log."""
    log = DayLog(folder)
    found: dict[str, list[Event]] = {}
    for record in log.read(0, 1_000_000):
        for event in decode_batch(record.data).events:
            if isinstance(event, EnvironmentSampled):
                found.setdefault(event.source_id, []).append(event)
    log.close()
    return found


def test_bad_input_is_refused_with_a_reason_and_good_events_become_incidents(tmp_path: Path) -> None:
    with running_community(tmp_path, inventory()) as community:
        say_everything(int(community.mqtt_url.rsplit(":", 1)[1]))
        expected = len(BAD) + 3
        wait_for(lambda: len(community.get("incidents", limit=200)["incidents"]) >= expected, "incidents")
        wait_for(lambda: len(letters(community)) >= len(BAD), "dead letters")
        check_letters(community)
        wait_for(lambda: "s9" in linli(community, "inventory", "pending"), "pending devices")
        check_pending(linli(community, "inventory", "pending"))
        check_health(community.get("health"))
        incidents = community.get("incidents", limit=200)["incidents"]
        assert community.linli.running()
    assert Counter(i["place_id"] for i in incidents) == Counter(
        [*(f"fire-{n}" for n in range(len(BAD))), "early", "late", "kept"]
    )
    assert {i["scenario"] for i in incidents} == {"smoke_or_heat"}
    check_times(in_log(tmp_path))


def check_letters(community: RunningCommunity) -> None:
    """Every bad thing has one letter with its reason, nothing else has one, and no value of a person is in them."""
    listed = letters(community)
    wanted = Counter((bad.source.replace("{me}", me(n)), str(bad.reason)) for n, bad in enumerate(BAD))
    assert Counter((line[3], line[2]) for line in listed) == wanted
    large = [line for line in listed if line[2] == "too_large"]
    assert [line[5] for line in large] == ["more than the 262144 bytes that are read"] * 2
    named = next(line for line in listed if line[3] == f"s1/{who('a state that is none')}")
    shown = linli(community, "dead-letters", "show", named[0])
    assert f"linli/v1/s1/gate/{who('a state that is none')}/evt" in shown
    assert SECRET_NAME not in shown
    assert SECRET_NAME not in "".join(field for line in listed for field in line)
    only = linli(community, "dead-letters", "list", "--reason", "too_old")
    assert [line.split("\t")[3] for line in only.splitlines()] == [f"s1/{who('last month')}", f"s1/{who('1970')}"]


def check_pending(listed: str) -> None:
    """Who knocked without being in the inventory, and topics that are none of ours, with how often."""
    rows = [line.split("\t") for line in listed.splitlines()]
    assert {(r[1], r[2], r[3], r[4], r[5]) for r in rows if r[0] == "device"} == {
        ("s1", "new", "gate", "1", "door_changed"),
        ("s9", "g1", "gate", "1", "door_changed"),
    }
    assert {(r[1], r[2]) for r in rows if r[0] == "topic"} == {
        (f"zigbee2mqtt/plug/{who('topic of another vendor')}", "1"),
        (f"linli/v1/s1/door/{who('an unknown class')}/evt", "1"),
        (f"linli/v1/S 1/gate/{who('a bad site in the topic')}/evt", "1"),
    }


def check_health(health: dict[str, Any]) -> None:
    """Everything refused is counted by reason, and what was said again; one clock is wrong.

    A later alarm of the same id is neither.
    """
    figures = health["figures"]
    refused = {name: count for name, count in figures.items() if name.startswith("refused_")}
    assert refused == {f"refused_{reason}": count for reason, count in Counter(bad.reason for bad in BAD).items()}
    assert figures["messages_received"] == 2 * len(BAD) + 6
    assert (figures["events_doubled"], figures["ids_reused"]) == (2, 1)
    alarms = [(alarm["code"], alarm["subject"]) for alarm in health["alarms"]]
    assert alarms in ([], [("device_clock_wrong", "s1/early")])  # it is told within seconds


def check_times(sensors: dict[str, list[Event]]) -> None:
    """A live alarm is one of now, whatever its clock says, and marked; one that was stored weeks ago stays so."""
    (early,), (late,), (kept,) = sensors["early"], sensors["late"], sensors["kept"]
    assert (early.at_ms, early.future, early.untrusted) == (early.received_ms, True, True)
    assert early.device_at_ms is not None and early.device_at_ms - early.at_ms > 399 * DAY_MS
    assert (late.future, late.at_ms) == (False, late.received_ms)
    assert (kept.future, kept.device_at_ms) == (False, None)
    assert kept.received_ms - kept.at_ms > 19 * DAY_MS
