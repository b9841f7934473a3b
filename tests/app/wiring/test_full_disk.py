"""``linli run`` on a disk that is full: it waits, the page says so, and everything goes on when there is room."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.wiring.ports import free_port
from contracts.names import DeviceClass
from inventory.inventory import Inventory
from system.clock import wall_ms
from tests.ingest.builders import device, site, smoke
from tests.ingest.clients import PATIENCE_S, Devices, wait_until
from tests.support.broker import running_broker
from tests.support.district_run import logged_in
from tests.support.linli_run import HOST, ended, running, settings_over, wait_for
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow, pytest.mark.timeout(300)]


def _full(console: httpx.Client) -> bool:
    """Whether health says that messages are not judged, and that it is the disk."""
    answer = console.get("/api/v1/health")
    assert answer.status_code == 200, answer.text
    health = answer.json()
    return health["nothing_judged_since_ms"] is not None and " is full: free space" in str(health["alarms"])


def _incidents(console: httpx.Client) -> int:
    return len(console.get("/api/v1/incidents").json()["incidents"])


def test_a_full_disk_is_waited_for_and_said_and_what_came_meanwhile_is_found_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk, running_broker("mosquitto", tmp_path / "broker") as broker:
        data = disk.folder / "data"
        with closing(Inventory(data / "config.db")) as inventory:
            inventory.put([site(), device("smoke-1", DeviceClass.SENSOR)])
        page = f"http://{HOST}:{(port := free_port(HOST, 0))}"
        settings = settings_over(data, mqtt_url=broker.url, console_port=str(port), archive_folder=str(data / "kept"))
        with running(tmp_path, settings) as child:
            wait_for(child, lambda: "ready" in child.tail(), "page")
            with closing(logged_in(page, (data / "first-password").read_text().strip())) as console:
                disk.fill()
                with Devices(broker.port) as devices:
                    devices.say(smoke(at_ms=wall_ms()))
                    devices.send("linli/v1/s1/sensor/smoke-1/evt", b"no json")
                wait_for(child, lambda: _full(console), "alarm of a full disk")
                wait_for(child, lambda: "work=judged" in child.tail(20_000), "wait")
                assert child.running() and _full(console) and _incidents(console) == 0
                disk.free()
                assert wait_until(lambda: _incidents(console) == 1, PATIENCE_S), child.tail(5_000)
                assert wait_until(lambda: not _full(console), PATIENCE_S)
            assert child.stop() == 0
        assert "thread_failed" not in child.tail(1_000_000)
        assert "Traceback" not in child.tail(1_000_000)


def test_a_start_on_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        data = disk.folder / "data"
        data.mkdir()
        disk.fill()
        with running(tmp_path, settings_over(data)) as child:
            assert ended(child) == 1
            (last,) = [line for line in child.tail(100_000).splitlines() if line.startswith("linli: ")]
    assert "disk" in last and "full" in last and "free space" in last
    assert "Traceback" not in child.tail(100_000) and "Error(" not in last
