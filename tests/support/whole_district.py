"""A whole district on loopback for tests, chaos and benches: the real servers, and each ``linli`` process as a child.

Every part has a name and can be started, ended in order, killed, paused and let go on, again and again, on the same
data. All of it must be done by one thread, the one that opened the district: the kernel ends the children with it.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.children import linli_arguments
from app.wiring.run_child import SECRET_FILE, environment, write_secret
from app.wiring.stores import open_incidents, open_inventory
from contracts.events import Configuration
from delivery.receivers.webhook.stand_in import StandIn
from incidents.store.store import Store
from ingest.session.broker import free_port
from tests.support.cuttable import Cuttable
from tests.support.district_broker import BrokerFiles
from tests.support.kafka import RunningKafka, need_kafka
from tests.support.parts import HOST, LinliProcess, MosquittoPart, Part
from tests.support.small_disk import SmallDisk
from tests.support.wall_clock import WallClock

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

COMMAND_S = 300.0
DISK_MB = 16


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How large a district is, and which of its parts it has. Processes are made here and started by their names."""

    partitions: int = 8
    shards: int = 1
    workers: int = 1
    incidents: int = 0
    console: bool = False
    results: bool = False
    postgres_as_shipped: bool = False
    """Its commits are forced to disk, which tests spare themselves."""
    accounts: bool = False
    """Devices and ingest have accounts at the broker, as a district that ships has."""
    own_clock: bool = False
    """Ingest's machine has a wall clock of its own, which may be put elsewhere."""
    small_disk: bool = False
    """What ingest and results keep lies on a disk that may be filled, where one may be mounted."""
    settings: Mapping[str, str] = {}
    """More of the environment, by ``LINLI_…`` name."""


class District:
    """The parts by name: ``kafka``, ``mosquitto``, ``postgres``, ``influx``; ``ingest-0``…, ``worker-0``…,
    ``incidents-0``…, ``console``, ``results``. Between ingest and mosquitto lies ``mqtt_way``, which can be cut.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.parts: dict[str, Part] = {}
        self.receiver: StandIn | None = None
        self.mqtt_way: Cuttable | None = None
        self.accounts: BrokerFiles | None = None
        self.clock: WallClock | None = None
        self.disk: SmallDisk | None = None
        self._opened = ExitStack()
        self._environment: dict[str, str] = dict(plan.settings)

    # --- opening and closing ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the servers, make the topics, and name the processes, which are not started."""
        try:
            self._open_kafka()
            if self.plan.shards or self.plan.incidents:
                self._open_postgres()
            if self.plan.shards:
                self._open_mosquitto()
            if self.plan.incidents:
                self._open_receiver()
            if self.plan.results:
                self._open_influx()
            if self.plan.small_disk:
                self._open_disk()
            if self.plan.own_clock:
                self.clock = WallClock(self.folder / "wall-clock")
            self._name_processes()
            self.linli("topics", "create")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything, in order: processes, then what they talk to."""
        for part in [part for part in self.parts.values() if isinstance(part, LinliProcess)]:
            part.resume()
            part.end()
        for part in [part for part in self.parts.values() if isinstance(part, LinliProcess)]:
            part.stop()
        self._opened.close()

    def process(self, name: str) -> LinliProcess:
        """A ``linli`` process by its name."""
        part = self.parts[name]
        assert isinstance(part, LinliProcess)
        return part

    def processes(self, prefix: str) -> list[LinliProcess]:
        """The processes whose names begin so."""
        return [p for name, p in self.parts.items() if isinstance(p, LinliProcess) and name.startswith(prefix)]

    def name(self, name: str, *arguments: str, **settings: str) -> None:
        """Add a ``linli`` process under a name, not started."""
        if self.clock is not None and name.startswith("ingest"):
            settings |= self.clock.environment()
        self.parts[name] = LinliProcess(name, arguments, self.folder, self._environment | settings)

    def start(self, *names: str) -> None:
        """Start these processes together and wait until each is ready."""
        for name in names:
            self.parts[name].start()
        for name in names:
            self.process(name).wait_ready()

    # --- what is asked of it ------------------------------------------------------------------------------------------

    @property
    def mqtt_url(self) -> str:
        """Where devices publish."""
        mosquitto = self.parts["mosquitto"]
        assert isinstance(mosquitto, MosquittoPart)
        return mosquitto.url

    @property
    def kafka(self) -> RunningKafka:
        """The broker of the log."""
        return self._kafka

    @property
    def postgres(self) -> Postgres:
        """The server of incidents and inventory."""
        return self._postgres

    def environment(self) -> dict[str, str]:
        """The ``LINLI_…`` settings that every process is given."""
        return dict(self._environment)

    def settings(self) -> Settings:
        """The same, as the product's own code reads them."""
        return load_settings(None, self._environment)

    def linli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end; its standard output and error are kept apart."""
        done = subprocess.run(
            linli_arguments(*arguments),
            cwd=self.folder,
            env=environment(self._environment),
            capture_output=True,
            timeout=COMMAND_S,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"linli {' '.join(arguments)}: {done.stderr.decode()[-2000:]}"
        return done

    def put_inventory(self, records: Sequence[Configuration]) -> None:
        """Write records into the tables that people edit."""
        inventory = open_inventory(self.settings())
        try:
            inventory.put(records, actor="test")
        finally:
            inventory.close()

    @contextmanager
    def incidents_store(self) -> Iterator[Store]:
        """The incidents' database."""
        store = open_incidents(self.settings())
        try:
            yield store
        finally:
            store.close()

    # --- parts --------------------------------------------------------------------------------------------------------

    def _open_kafka(self) -> None:
        need_kafka()
        self._kafka = RunningKafka(self._folder("kafka") / "data")
        self._opened.callback(self._kafka.stop)
        self._kafka.start()
        self.parts["kafka"] = self._kafka
        self._environment |= {
            "LINLI_LOG_URL": self._kafka.url,
            "LINLI_KAFKA_PARTITIONS": str(self.plan.partitions),
            "LINLI_DEAD_LETTERS_FOLDER": str(self.folder / "dead-letters"),
            "LINLI_EVIDENCE_FOLDER": str(self.folder / "evidence"),
        }

    def _open_postgres(self) -> None:
        from tests.support.postgres import PASSWORD, running_postgres

        self._postgres = self._opened.enter_context(running_postgres(as_shipped=self.plan.postgres_as_shipped))
        self.parts["postgres"] = self._postgres
        secret = self.folder / "postgres.secret"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o600)
        self._environment |= {
            "LINLI_INCIDENTS_URL": self._postgres.url(self._postgres.create()).replace(f":{PASSWORD}@", "@"),
            "LINLI_INCIDENTS_PASSWORD_FILE": str(secret),
        }

    def _open_mosquitto(self) -> None:
        self.accounts = BrokerFiles(self._folder("mosquitto")) if self.plan.accounts else None
        mosquitto = MosquittoPart(self._folder("mosquitto"), self.accounts)
        self._opened.callback(mosquitto.stop)
        mosquitto.start()
        self.parts["mosquitto"] = mosquitto
        port = mosquitto.port if self.accounts is None else self.accounts.platform_port
        self.mqtt_way = self._opened.enter_context(Cuttable(HOST, port))
        self._environment |= {"LINLI_MQTT_URL": f"mqtt://{HOST}:{self.mqtt_way.port}", "LINLI_MQTT_EMBEDDED": "off"}
        if self.accounts is not None:
            self._environment |= {
                "LINLI_MQTT_URL": f"mqtts://{HOST}:{self.mqtt_way.port}",
                "LINLI_MQTT_CA_FILE": self.accounts.ca_file,
                "LINLI_MQTT_PASSWORD_FILE": str(self.accounts.secrets / "for-ingest" / "mqtt-ingest"),
            }

    def _open_receiver(self) -> None:
        secret = secrets.token_hex(16)
        write_secret(self.folder, secret)
        self.receiver = self._opened.enter_context(StandIn(secret.encode()))
        self._environment |= {
            "LINLI_WEBHOOK_URL": self.receiver.url,
            "LINLI_WEBHOOK_SECRET_FILE": str(self.folder / SECRET_FILE),
            "LINLI_WEBHOOK_ORIGINS": "live,simulated",
            "LINLI_WEBHOOK_UNVERIFIED": "true",
            "LINLI_WEBHOOK_MIN_SEVERITY": "info",
        }

    def _open_influx(self) -> None:
        from tests.support.influx import influxd

        server = self._opened.enter_context(influxd(self._folder("influx")))
        self.parts["influx"] = server
        self._environment |= {
            "LINLI_RESULTS_URL": f"influx://{HOST}:{server.port}/linli?version=1",
            "LINLI_RESULTS_SPOOL": str(self.folder / "results-spool.db"),
        }

    def _open_disk(self) -> None:
        self.disk = SmallDisk.mounted(self._folder("disk"), DISK_MB)
        if self.disk is not None:
            self._opened.callback(self.disk.unmount)
            self._environment["LINLI_RESULTS_SPOOL"] = str(self.disk.folder / "results-spool.db")
            self._environment["LINLI_DEAD_LETTERS_FOLDER"] = str(self.disk.folder / "dead-letters")

    def _name_processes(self) -> None:
        plan = self.plan
        for n in range(plan.shards):
            self.name(f"ingest-{n}", "ingest", "run", "--shard", f"{n}/{plan.shards}")
        for n in range(plan.workers):
            self.name(f"worker-{n}", "streams", "run")
        for n in range(plan.incidents):
            self.name(f"incidents-{n}", "incidents", "run")
        if plan.console:
            self.name("console", "console", "run", LINLI_CONSOLE_PORT=str(free_port()))
        if plan.results:
            self.name("results", "results", "run")

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@contextmanager
def running_district(plan: Plan, folder: Path | None = None) -> Iterator[District]:
    """A district whose servers run; ``folder`` is made and removed when none is given."""
    place = folder or Path(tempfile.mkdtemp(prefix="linli-district-"))
    district = District(place, plan)
    district.open()
    try:
        yield district
    finally:
        district.close()
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)
