"""A whole community as people run it: broker, ``linli run`` as a process, a receiver that is told, and its console."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from app.wiring.children import Child
from app.wiring.ports import free_port
from app.wiring.run_child import start_child, start_run, wait_until_ready, write_secret
from contracts.events import Configuration
from delivery.receivers.webhook.stand_in import StandIn
from edge.token import make_token, register
from identity.users import Users
from incidents.store.store import Store
from inventory.inventory import Inventory
from tests.support.broker import running_broker

HOST = "127.0.0.1"


class RunningCommunity(msgspec.Struct, frozen=True):
    """What a test needs of it. ``console`` is logged in as admin."""

    folder: Path
    mqtt_url: str
    page: str
    linli: Child
    receiver: StandIn
    console: httpx.Client

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at ``/api/v1/{path}``."""
        answer = self.console.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def incidents(self) -> list[dict[str, Any]]:
        """Every incident in full, newest first."""
        page = self.get("incidents", limit=200)
        assert page["cursor"] is None
        return [self.get(f"incidents/{row['incident_id']}") for row in page["incidents"]]

    def enrol(self, box_id: str, site_id: str) -> Path:
        """A token for a box, known to the console; its file."""
        token = self.folder / f"{box_id}.token"
        register(make_token(box_id, site_id, token), self.folder)
        return token

    @contextmanager
    def box(self, config: Path) -> Iterator[Child]:
        """``linli edge run`` with this file, ended in order."""
        child = start_child("box", self.folder, "edge", "run", "--config", str(config), settings={})
        try:
            yield child
        finally:
            assert child.stop() == 0, child.tail()


@contextmanager
def running_community(
    folder: Path, records: Sequence[Configuration], broker: str = "mosquitto"
) -> Iterator[RunningCommunity]:
    """``linli run`` over ``folder`` with this inventory; ends in order, or the test fails."""
    inventory = Inventory(folder / "config.db")
    inventory.put(records, actor="test")
    inventory.close()
    password = _first_user(folder)
    secret = secrets.token_hex(16)
    write_secret(folder, secret)
    with running_broker(broker, folder / "broker") as mqtt, StandIn(secret.encode()) as receiver:
        linli = start_run(folder, mqtt_url=mqtt.url, port=free_port(HOST, 0), webhook_url=receiver.url)
        try:
            page = wait_until_ready(linli)
            with httpx.Client(base_url=page, headers={"X-Linli-Request": "1"}, timeout=20) as console:
                answer = console.post("/api/v1/session", json={"name": "admin", "password": password})
                assert answer.status_code == 200, answer.text
                yield RunningCommunity(folder, mqtt.url, page, linli, receiver, console)
        finally:
            code = linli.stop()
        assert code == 0, linli.tail()


def _first_user(folder: Path) -> str:
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    try:
        password = Users(store).first_run()
    finally:
        store.close()
    assert password is not None
    return password
