"""``linli devices``: what each device said last, beside a process that runs, and why others are pending."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.main import linli
from contracts.batch import Batch
from contracts.names import DeviceClass
from inventory.inventory import Inventory
from inventory.last_seen import LastSeen
from inventory.pending import PendingDevice, PendingTopic
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms
from tests.ingest.builders import device, site
from tests.streams.support import T0, passage, reported


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with closing(Inventory(tmp_path / "linli-data" / "config.db")) as inventory:
        inventory.put([site("s1"), site("s2"), *(device(name, DeviceClass.GATE) for name in ("d1", "d2", "d3"))])
    return tmp_path / "linli-data"


def run(*words: str) -> Result:
    return CliRunner().invoke(linli, ["devices", *words])


def test_what_was_kept_and_what_the_log_has_had_since_are_told(data: Path) -> None:
    with closing(Inventory(data / "config.db")) as inventory:
        inventory.keep_last_seen({("s1", "d1"): LastSeen(T0, True, None, "door_changed")}, T0)
    with closing(DayLog(data)) as log:  # its writer holds it open
        events = (passage("e1", 2_000, "d2"), reported("r1", 3_000, "d2", healthy=False))
        log.append([Batch(partition=0, watermark_ms=T0 + 5_000, events=events)])
        heard = run("heard")
    assert heard.exit_code == 0, heard.output
    assert [line.split("\t") for line in heard.stdout.splitlines()] == [
        ["s1", "d1", "gate", "online", "2027-01-15T08:00:00Z", "door_changed"],
        ["s1", "d2", "gate", "unhealthy", "2027-01-15T08:00:03Z", "device_reported"],
        ["s1", "d3", "gate", "never_heard", "-", "-"],
    ]
    assert run("heard", "--site", "s1").stdout == heard.stdout
    assert run("heard", "--site", "s2").stderr == "no devices are in the inventory\n"


def test_a_pending_device_is_listed_with_its_reason_and_the_old_name_goes_on(data: Path) -> None:
    now_ms = wall_ms()
    waiting = [
        PendingDevice("s1", "d11", "gate", 3, "door_changed", now_ms),
        PendingDevice("s2", "d1", "gate", 2, "door_changed", now_ms),
        PendingDevice("s9", "d1", "", 1, "door_changed", now_ms),
        PendingDevice("s1", "thermometer", "sensor", 0, "environment_sampled", now_ms),
    ]
    topics = [
        PendingTopic("zigbee2mqtt/kitchen", 2, 10, now_ms),
        PendingTopic("linli/v1/s1/gate/G1/evt", 1, 10, now_ms),
    ]
    with closing(Inventory(data / "config.db")) as inventory:
        inventory.waiting.put(waiting, topics)
    pending = run("pending")
    assert [line.split("\t")[-1] for line in pending.stdout.splitlines()] == [
        "it is not in the inventory; did you mean 'd1'?",
        "the inventory has it at site s1",
        "the inventory has no site 's9'",
        "it is not in the inventory",
        "'zigbee2mqtt/kitchen' is not linli/v1/site/class/device/channel",
        "device 'G1' does not match ^[a-z0-9][a-z0-9_-]{0,39}$",
    ]
    alias = CliRunner().invoke(linli, ["inventory", "pending"])
    assert alias.stdout == pending.stdout
    assert "linli devices pending" in CliRunner().invoke(linli, ["inventory", "pending", "--help"]).stdout
