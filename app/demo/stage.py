"""The demo's set-up: broker, inventory, four hours of history in the log, films, tokens; then the processes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from app.demo.cameras import Rendering, box_file, clip_cameras, clip_tables
from app.wiring.children import Child
from app.wiring.log_loading import load_events
from app.wiring.run_child import environment, start_child, start_run, wait_until_ready, write_secret
from app.wiring.stores import BOXES_FILE
from contracts.events import DeviceConfigured
from contracts.names import DeviceClass
from delivery.receivers.webhook.stand_in import StandIn
from edge.token import make_token, register
from identity.users import Users
from incidents.store.store import Store
from ingest.pipeline.clock_rules import ClockRules
from ingest.session.broker import Broker, start_broker
from inventory.inventory import Inventory
from simulator.demo_community import DEMO_BOX, DEMO_SITE, demo_inventory
from simulator.demo_script import DemoScript
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms

MAX_CLIPS = 4
"""Real clips beside the three films: two cores decode no more at their own speed."""


class Stage:
    """Everything the demo runs on. :meth:`build` it, :meth:`keep_alive` now and then, :meth:`close` it."""

    def __init__(self, folder: Path, seed: int, port: int, clips: Path | None, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._clips = clip_cameras(clips)[:MAX_CLIPS] if clips else []
        self._say = say
        self._secret = secrets.token_hex(16)
        self.receiver = StandIn(self._secret.encode())
        self.script = DemoScript(seed, wall_ms())
        self._seed = seed
        self._port = port
        self.page = ""
        self._children: dict[str, Child] = {}
        self._broker: Broker | None = None
        self._rendering: Rendering | None = None
        self.password = ""
        self.restarts = 0
        self.built = False

    @property
    def mqtt_url(self) -> str:
        """The demo's broker."""
        assert self._broker is not None
        return self._broker.url

    def build(self) -> None:
        """Set up and start everything; returns when the page answers and ingest listens.

        Raises:
            Permanent: a part did not start; carries what it said.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rendering = Rendering(self.folder / "films", self._seed, environment({}))
        self.receiver.start()
        self._broker = start_broker(self.folder / "broker")
        self._say(f"broker: {self._broker.name} on {self._broker.url}")
        self._write_inventory()
        self._write_history()
        self._write_people()
        self._start("linli")
        self.page = wait_until_ready(self._children["linli"])
        self._port = int(self.page.rpartition(":")[2])  # where it must be again after a restart
        self._write_box(self._rendering)
        self._start("box")
        self._write_processes()
        self.built = True

    def keep_alive(self) -> None:
        """Start again what has died, as a service manager would."""
        if self._broker is not None and not self._broker.running():
            self._say("the broker died; starting it again")
            self._broker = start_broker(self.folder / "broker", self._broker.port, self._broker.name)
            self.restarts += 1
            self._write_processes()
        for name, child in self._children.items():
            if not child.running():
                self._say(f"{name} died; starting it again")
                self._start(name)
                self.restarts += 1
                self._write_processes()

    def stop_box(self) -> None:
        """End the box in order; what it still holds stays in its spool."""
        self._stop("box")

    def stop_linli(self) -> None:
        """End ``linli run`` in order."""
        self._stop("linli")

    def close(self) -> None:
        """End everything; no process is left."""
        if self._rendering is not None:
            self._rendering.stop()
        for name in ("box", "linli"):
            self._stop(name)
        if self._broker is not None:
            self._broker.stop()
        self.receiver.stop()

    def logs(self) -> Path:
        """Return where the processes write what they say."""
        return self.folder / "logs"

    # --- set-up -------------------------------------------------------------------------------------------------------

    def _write_inventory(self) -> None:
        inventory = Inventory(self.folder / "config.db")
        try:
            inventory.put(demo_inventory(self._seed, self.script.start_ms), actor="demo")
            inventory.put(self._clip_devices(), actor="demo")
        finally:
            inventory.close()

    def _clip_devices(self) -> list[DeviceConfigured]:
        return [
            DeviceConfigured(
                event_id=f"clip-{number}",
                site_id=DEMO_SITE,
                source_id="config",
                place_id="b1-facade",
                at_ms=self.script.end_ms,
                version=0,
                device_id=f"clip-{number}",
                device_class=DeviceClass.CAM,
                name=clip.name[:80],
                box_id=DEMO_BOX,
            )
            for number, clip in enumerate(self._clips, 1)
        ]

    def _write_history(self) -> None:
        log, clocks = DayLog(self.folder), ClockRules()
        try:
            events = (clocks.apply(event, event.received_ms) for event in self.script.history())
            count = load_events(log, events)
        finally:
            log.close()
        self._say(f"history: {count} events of the last four hours are in the log")

    def _write_people(self) -> None:
        store = Store(f"sqlite:///{self.folder / 'incidents.db'}")
        try:
            self.password = Users(store).first_run() or "(as before)"
        finally:
            store.close()
        write_secret(self.folder, self._secret)
        token = self.folder / "box.token"
        if not token.exists():
            register(make_token(DEMO_BOX, DEMO_SITE, token), self.folder)
        assert (self.folder / BOXES_FILE).exists()

    def _write_box(self, rendering: Rendering) -> None:
        truths = rendering.wait()
        token = self.folder / "box.token"
        text = box_file(self.folder / "films", truths, mqtt_url=self.mqtt_url, console_url=self.page, token=token)
        if self._clips:
            text += "\n" + clip_tables(self._clips)
        (self.folder / "box.toml").write_text(text, encoding="utf-8")
        self._say(f"cameras: {', '.join(truths)}" + (f" and {len(self._clips)} clips" if self._clips else ""))

    def _write_processes(self) -> None:
        pids = {name: child.pid for name, child in self._children.items()}
        broker_pid = getattr(self._broker, "pid", None)
        content = {**pids, "broker": broker_pid, "demo": os.getpid()}
        written = self.folder / "processes.json.part"
        written.write_text(json.dumps(content), encoding="utf-8")
        written.rename(self.folder / "processes.json")  # who looks for it finds all of it

    # --- processes ----------------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        self._children[name] = self._linli() if name == "linli" else self._box()

    def _linli(self) -> Child:
        return start_run(self.folder, mqtt_url=self.mqtt_url, port=self._port, webhook_url=self.receiver.url)

    def _box(self) -> Child:
        return start_child("box", self.folder, "edge", "run", "--config", str(self.folder / "box.toml"), settings={})

    def _stop(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            child.stop()
