"""The demo's set-up: broker, inventory, four hours of history in the log, films, tokens; then the processes."""

from __future__ import annotations

import json
import os
import secrets
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from app.children import Child, linli_arguments
from app.community import BOXES_FILE, free_port
from app.demo.cameras import Rendering, box_file, clip_cameras, clip_tables
from app.log_loading import load_events
from contracts.errors import Permanent
from contracts.events import DeviceConfigured
from contracts.names import DeviceClass
from edge.token import make_token, register
from incidents.receivers.stand_in import StandIn
from incidents.store import Store, wall_ms
from incidents.users import Users
from ingest.broker import Broker, start_broker
from ingest.clock_rules import ClockRules
from ingest.inventory import Inventory
from simulator.demo_community import DEMO_BOX, DEMO_SITE, demo_inventory
from simulator.demo_script import DemoScript
from streams.daylog import DayLog

READY_S = 40.0
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
        self._port = free_port("127.0.0.1", port)
        self._children: dict[str, Child] = {}
        self._broker: Broker | None = None
        self._rendering: Rendering | None = None
        self.password = ""
        self.restarts = 0
        self.built = False

    @property
    def page(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._port}"

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
        self._rendering = Rendering(self.folder / "films", self._seed, _environment({}))
        self.receiver.start()
        self._broker = start_broker(self.folder / "broker")
        self._say(f"broker: {self._broker.name} on {self._broker.url}")
        self._write_inventory()
        self._write_history()
        self._write_people()
        self._start("linli", "run")
        self._wait_for_page()
        self._write_box(self._rendering)
        self._start("box", "edge", "run", "--config", str(self.folder / "box.toml"))
        self._write_processes()
        self.built = True

    def keep_alive(self) -> None:
        """Start again what has died, as a service manager would."""
        if self._broker is not None and not self._broker.running():
            self._say("the broker died; starting it again")
            self._broker = start_broker(self.folder / "broker", self._broker.port, self._broker.name)
            self.restarts += 1
        for name, child in self._children.items():
            if not child.running():
                self._say(f"{name} died; starting it again")
                self._start(name, *self._commands[name])
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
        """Where the processes write what they say."""
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
        (self.folder / "webhook.secret").write_text(self._secret, encoding="utf-8")
        (self.folder / "webhook.secret").chmod(0o600)
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
        (self.folder / "processes.json").write_text(json.dumps(content), encoding="utf-8")

    # --- processes ----------------------------------------------------------------------------------------------------

    @property
    def _commands(self) -> dict[str, tuple[str, ...]]:
        return {"linli": ("run",), "box": ("edge", "run", "--config", str(self.folder / "box.toml"))}

    def _start(self, name: str, *arguments: str) -> None:
        self.logs().mkdir(exist_ok=True)
        self._children[name] = Child(
            name,
            linli_arguments(*arguments),
            folder=self.folder,
            environment=_environment(self._settings()),
            log=self.logs() / f"{name}.log",
        )

    def _stop(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            child.stop()

    def _settings(self) -> dict[str, str]:
        folder = self.folder
        return {
            "LINLI_MQTT_URL": self.mqtt_url,
            "LINLI_MQTT_EMBEDDED": "off",
            "LINLI_LOG_URL": f"sqlite:///{folder}",
            "LINLI_INVENTORY_URL": f"sqlite:///{folder / 'config.db'}",
            "LINLI_INCIDENTS_URL": f"sqlite:///{folder / 'incidents.db'}",
            "LINLI_RESULTS_URL": f"sqlite:///{folder / 'results.db'}",
            "LINLI_EVIDENCE_FOLDER": str(folder / "evidence"),
            "LINLI_DEAD_LETTERS_FOLDER": str(folder / "dead-letters"),
            "LINLI_CONSOLE_PORT": str(self._port),
            "LINLI_WEBHOOK_URL": self.receiver.url,
            "LINLI_WEBHOOK_SECRET_FILE": str(folder / "webhook.secret"),
            "LINLI_WEBHOOK_ORIGINS": "live,simulated",
            "LINLI_WEBHOOK_UNVERIFIED": "true",
            "LINLI_WEBHOOK_MIN_SEVERITY": "info",
        }

    def _wait_for_page(self) -> None:
        deadline_s = time.monotonic() + READY_S
        while True:
            self._children["linli"].check()
            if _answers(f"{self.page}/api/v1/health") and "ready" in self._children["linli"].tail():
                return
            if time.monotonic() > deadline_s:
                raise Permanent(f"the page did not answer within {READY_S:.0f} s:\n{self._children['linli'].tail()}")
            time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _environment(settings: dict[str, str]) -> dict[str, str]:
    """This process's environment without its own settings, plus ``settings``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LINLI_")}
    return {**kept, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **settings}
