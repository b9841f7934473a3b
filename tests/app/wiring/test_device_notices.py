"""What ingest noticed of a device becomes an operator's alarm, a line of the doctor and a word on the page."""

from __future__ import annotations

from pathlib import Path

import msgspec

from app.operations.doctor.everywhere import devices
from app.wiring.incidents import told_by_ingest
from console.api.present import Presenter
from console.catalogue import catalogue
from contracts.names import DeviceClass
from identity.roles import Principal
from incidents.monitor.stuck_work_monitor import StuckWorkMonitor
from incidents.store.operator_alarms import AlarmCode, standing_alarms
from inventory.directory import MemoryDirectory
from inventory.directory_relay import DirectoryRelay
from inventory.inventory import Inventory
from inventory.last_seen import LastSeen
from inventory.notices import DeviceNotice, NoticeCode
from tests.incidents.builders import T0, ManualClock, make_store
from tests.ingest.builders import device, site

LOST = DeviceNotice(
    site_id="s1",
    device_id="smoke-1",
    code=NoticeCode.UNREADABLE,
    detail="not_json",
    count=3,
    first_ms=T0,
    last_ms=T0,
    life_safety=True,
)

OWNED, NOTHING = {"s1"}.__contains__, set[str]().__contains__
"""What is a shard's own of the sites."""


def _inventory(tmp_path: Path) -> Inventory:
    inventory = Inventory(tmp_path / "config.db")
    inventory.put([site(), device("smoke-1", DeviceClass.SENSOR)])
    return inventory


def test_an_alarm_that_may_be_lost_is_raised_once_and_cleared_when_readable(tmp_path: Path) -> None:
    inventory, store, clock = _inventory(tmp_path), make_store(tmp_path), ManualClock(T0)
    monitor = StuckWorkMonitor(store, told=told_by_ingest(inventory), clock_ms=clock)
    gate = msgspec.structs.replace(LOST, device_id="g1", life_safety=False)
    inventory.notices.put([LOST, gate], "log/0", OWNED)
    for _ in range(3):
        monitor.step()
        clock.advance(10_000)
    with store.read() as connection:
        raised = [(one.code, one.subject, one.detail, one.times) for one in standing_alarms(connection)]
    assert raised == [(AlarmCode.DEVICE_UNREADABLE, "s1/smoke-1", "not_json", 1)]
    inventory.notices.put([gate], "log/0", OWNED)
    monitor.step()
    with store.read() as connection:
        assert standing_alarms(connection) == []


def test_of_what_two_shards_noticed_the_newer_word_counts_until_one_owns_it(tmp_path: Path) -> None:
    inventory = _inventory(tmp_path)
    newer = msgspec.structs.replace(LOST, count=9, last_ms=T0 + 5)
    inventory.notices.put([newer], "log/1", NOTHING)
    inventory.notices.put([LOST], "log/0", NOTHING)
    assert inventory.notices.current() == [newer]
    inventory.notices.put([LOST], "log/0", OWNED)
    assert inventory.notices.current() == [LOST]


def test_the_doctor_says_each_notice_with_what_to_do_the_worst_first() -> None:
    meter = msgspec.structs.replace(LOST, code=NoticeCode.NEGATIVE_POWER, life_safety=False)
    others = [msgspec.structs.replace(meter, device_id=f"m{n}") for n in range(25)]
    lines = list(devices([*others, LOST]))
    assert [line.detail for line in lines[:1]] == ["s1/smoke-1 unreadable: not_json (3 times)"]
    assert [line.detail for line in lines[20:]] == ["6 more"]
    assert all(line.remedy for line in lines)


def test_the_page_shows_a_noticed_device_as_unhealthy_and_says_why(tmp_path: Path) -> None:
    inventory, directory = _inventory(tmp_path), MemoryDirectory()
    inventory.notices.put([LOST], "log/0", OWNED)
    DirectoryRelay(inventory, directory).catch_up()
    shown = Presenter(directory, catalogue("en"), Principal("boss", {})).device(
        inventory.devices()[0], LastSeen(T0, online=True), T0
    )
    assert (shown.state, [(one.code, one.detail, one.count) for one in shown.notices]) == (
        "unhealthy",
        [("unreadable", "not_json", 3)],
    )
    assert shown.notices[0].text == catalogue("en").word("notice", NoticeCode.UNREADABLE)
