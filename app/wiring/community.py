"""The composition root of one community on one machine: ingest, engine, incidents and console in one process.

One writer per file; a hand-off is a cursor kept in the reader's own transaction. Killed at any moment and started
again, each part goes on where its own file says it was.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack
from functools import partial
from types import FrameType
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI

from app.settings.kinds import without_password
from app.settings.secret_files import read_secret_if_named
from app.settings.servers import EmbeddedBroker
from app.settings.settings import Settings
from app.wiring.archives import archivers_of, follow, log_sealed, open_archive
from app.wiring.folder_lock import FolderLock
from app.wiring.incident_figures import IncidentFigures
from app.wiring.ingest_process import client_id_of
from app.wiring.metrics_server import Metrics
from app.wiring.ports import free_port, listens
from app.wiring.receivers import receivers_of
from app.wiring.results import ResultsService
from app.wiring.stores import boxes_file, open_incidents, open_inventory
from app.wiring.threads import Threads
from console.api.app import build_app
from console.api.server import Server, serve
from contracts.errors import ConfigurationError, RejectReason
from contracts.hops import Hop
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver
from detectors.registry import all_rules
from evidence.files import EvidenceFiles
from evidence.uploads import Uploads
from governance.retention import IncidentKeeper, Keeper, LogKeeper, Retention, SegmentKeeper
from identity.box_credentials import BoxTokens
from identity.users import Users
from incidents.alerts.actions import Actions
from incidents.intake.intake import Intake, IntakeTimes
from incidents.intake.relays import DirectoryRelay, FindingsRelay
from incidents.monitor.stuck_work_monitor import Auditor
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from incidents.store.store import wall_ms
from ingest.counters import Counters
from ingest.session.broker import Broker, start_broker
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.shard import Shard
from inventory.directory import MemoryDirectory
from inventory.last_seen_log import HeardLog
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import EngineStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.embedded import EmbeddedDriver
from streams.runtime.partition_driver import DecisionTimes

LOG = structlog.get_logger("linli")
RESULTS_REST = 4.0  # catching up on results takes at most a fifth of a core from ingest and rules


class Community:
    """Everything of one community; :meth:`start` it, :meth:`wait`, then :meth:`close` it.

    Raises:
        ConfigurationError: a setting cannot be used, or another process holds the folder.
        LogBroken: the log or its snapshots contradict each other.
    """

    def __init__(self, settings: Settings, *, accept_cut: bool = False) -> None:
        self._settings = settings
        self._accept_cut = accept_cut
        self._folder = settings.log.folder()
        self.threads = Threads()
        self._broker: Broker | None = None
        self._server: Server | None = None
        self._metrics = Metrics("run")
        with ExitStack() as opened:  # what fails half-way leaves nothing open
            opened.enter_context(FolderLock(self._folder))
            self._open_stores(opened)
            self._wire(opened)
            self._stack = opened.pop_all()

    def _open_stores(self, opened: ExitStack) -> None:
        settings = self._settings
        self._log = DayLog(self._folder)
        opened.callback(self._log.close)
        self._engine_store = EngineStore(self._folder / "engine.db")
        opened.callback(self._engine_store.close)
        self._inventory = open_inventory(settings)
        opened.callback(self._inventory.close)
        self._dead_letters = DeadLetters(settings.dead_letters.folder)
        opened.callback(self._dead_letters.close)
        self._incidents = open_incidents(settings)
        opened.callback(self._incidents.close)
        self._archive = open_archive(settings)
        if self._archive is not None:
            opened.callback(self._archive.close)

    def _wire(self, opened: ExitStack) -> None:
        settings = self._settings
        self._receivers = receivers_of(settings)
        names = [profile.name for profile, _ in self._receivers]
        self._directory = MemoryDirectory()
        self._directory_relay = DirectoryRelay(self._inventory, self._directory)
        times, source = IntakeTimes(), self._engine_store.identity()
        self._metrics.add_hops([times.decided, times.due])
        intake = Intake(self._incidents, self._directory, names, source=source, times=times)
        self._intake = FindingsRelay(self._engine_store, intake)
        decided = DecisionTimes()
        self._metrics.add_hops([decided.due, decided.durable])
        self._engine = Engine(all_rules(), partition=0, partitions=1, log_id=self._log.identity())
        self._driver = EmbeddedDriver(
            self._log,
            self._engine_store,
            self._engine,
            on_findings=self._intake.wake,
            times=decided,
            on_alarm=self._alarm,
            accept_cut=self._accept_cut,
        )
        if self._archive is not None:
            self._archivers = archivers_of(
                self._archive, [self._log], self._inventory, self._incidents, on_sealed=log_sealed
            )
        self._heard = HeardLog(self._log, self._driver.wake)
        self._ingest_counters = Counters()
        self._auditor = Auditor(self._incidents, names)
        self._uploads = Uploads(self._incidents, EvidenceFiles(settings.evidence.folder))
        self._results = ResultsService(
            settings,
            logs=[self._log],
            findings=[(self._engine_store, lambda: 0)],
            incidents=self._incidents,
            book=self._directory,
            rest=RESULTS_REST,
        )
        opened.callback(self._results.close)
        self._users = Users(self._incidents)
        self._show_metrics()

    def _show_metrics(self) -> None:
        counters, metrics = self._ingest_counters, self._metrics
        metrics.add(counters.registry)
        metrics.add_hops([counters.device_accepted, counters.accepted_durable])
        metrics.add(IncidentFigures(self._incidents))
        metrics.add_figures(self._engine_figures)
        metrics.add_figures(self._results.figures)

    def start(self) -> str:
        """Start every thread; the address of the page. Ends once the log is judged to its end and ingest listens."""
        settings, threads = self._settings, self.threads
        host = settings.console.host
        self._directory_relay.catch_up()
        LOG.info("judging_log", to_position=self._log.end())
        self._driver.open()
        self._metrics.serve(settings)
        password = self._users.first_run()
        if password is not None:
            LOG.warning("first_run", user="admin", password=password, note="shown once; change it with linli users")
        self._start_broker()
        shard = self._shard()
        threads.start("engine", self._driver.run)
        threads.keep("bell", self._incidents.follow)
        threads.keep("incidents", self._intake.run)
        threads.keep("directory", self._directory_relay.run)
        threads.keep("auditor", self._auditor.run)
        retention_ms = settings.evidence.retention_hours * 3_600_000
        threads.keep("evidence", lambda stop: self._uploads.run(stop, retention_ms))
        if self._archive is not None:
            threads.keep("archive", partial(follow, self._archivers))
        threads.keep("retention", self._retention().run)
        for profile, receiver in self._receivers:
            threads.keep(f"outbox-{profile.name}", self._outbox(receiver, profile).run)
        self._results.start(threads)
        threads.start("ingest", shard.run)
        self._server = serve(self._console(), host, free_port(host, settings.console.port))
        while not shard.wait_ready(0.2) and not threads.stop.is_set():
            pass
        return self._server.url

    def wait(self) -> None:
        """Until a signal, :meth:`stop` or a failed thread. In the main thread: a broker ends with who started it."""
        self.threads.wait(self._keep_broker)

    def stop(self) -> None:
        """Ask everything to end."""
        self.threads.stop.set()

    def close(self) -> None:
        """End in order: what was accepted is written, judged, handed over; then files close.

        Raises:
            LinliError: a thread had failed; what it raised, where that says itself what to do.
        """
        self.stop()
        stuck = self.threads.join(timeout_s=15.0)
        if self._server is not None:
            self._server.stop()
        if self._broker is not None:
            self._broker.stop()
        self._metrics.close()
        if stuck:
            LOG.error("threads_did_not_end", threads=stuck)
        else:
            self._stack.close()
        self.threads.raise_failure()

    def _outbox(self, receiver: Receiver, profile: ReceiverProfile) -> Outbox:
        return Outbox(self._incidents, receiver, profile, times=self._metrics.hop(Hop.INCIDENT_TO_DELIVERED))

    def _shard(self) -> Shard:
        settings = self._settings
        shard_settings = ShardSettings(
            mqtt_url=settings.mqtt.url,
            client_id=client_id_of(settings, 0, 1),
            password=read_secret_if_named(settings.mqtt.password_file, "mqtt.password_file"),
            ca_file=settings.mqtt.ca_file,
            protocol=self._broker.protocol if self._broker else "auto",
            sites=settings.ingest.sites,
            log_id=self._log.identity(),
        )
        return Shard(shard_settings, self._heard, self._inventory, self._dead_letters, counters=self._ingest_counters)

    def _start_broker(self) -> None:
        kind = self._settings.mqtt.embedded
        parts = urlsplit(self._settings.mqtt.url)
        host, port = parts.hostname or "", parts.port or 1883
        if kind is EmbeddedBroker.OFF or (kind is EmbeddedBroker.AUTO and listens(host, port)):
            return
        if host not in {"127.0.0.1", "localhost"}:
            raise ConfigurationError(
                f"mqtt.url {without_password(self._settings.mqtt.url)!r} does not answer, "
                "and a broker is only started on 127.0.0.1"
            )
        self._broker = start_broker(self._folder / "broker", port, kind)
        LOG.info("broker_started", broker=self._broker.name, url=self._broker.url)

    def _keep_broker(self) -> None:
        """Start our own broker again when it has died; what is connected comes back by itself."""
        broker = self._broker
        if broker is not None and not broker.running():
            LOG.error("broker_died", broker=broker.name)
            self._broker = start_broker(self._folder / "broker", broker.port, broker.name)

    def _console(self) -> FastAPI:
        return build_app(
            store=self._incidents,
            actions=Actions(self._incidents, tuple(profile.name for profile, _ in self._receivers)),
            users=self._users,
            directory=self._directory,
            health=self._heard,
            uploads=self._uploads,
            boxes=BoxTokens(boxes_file(self._settings)),
            figures=self._figures,
            language=self._settings.console.language,
        )

    def _alarm(self, alarm: DriverAlarm, detail: str) -> None:
        LOG.error(alarm.value, detail=detail)
        if alarm is not DriverAlarm.STORE_BLOCKED:  # on the page too; a store that is blocked may well be this one
            with self._incidents.write() as connection:
                raise_alarm(connection, AlarmCode(alarm), self._log.identity(), detail, wall_ms())

    def _figures(self) -> dict[str, float]:
        ingest = self._ingest_counters
        refused = {reason: ingest.value("linli_ingest_rejected_total", reason=reason) for reason in RejectReason}
        return {
            "messages_received": ingest.value("linli_ingest_messages_total"),
            **{f"refused_{reason}": count for reason, count in refused.items() if count},
            "time_behind_ms": ingest.value("linli_ingest_watermark_lag_ms"),
            **self._engine_figures(),
        }

    def _engine_figures(self) -> dict[str, float]:
        counts = self._engine.counts
        return {
            "records_behind": self._log.end() - self._driver.position,
            "events_judged": counts.events,
            "events_doubled": counts.doubles,
            "events_late": counts.late,
            "windows_to_judge_again": len(self._engine_store.rejudges()),
        }

    def _retention(self) -> Retention:
        settings = self._settings
        log_id, findings_id = self._log.identity(), self._engine_store.identity()
        readers = {
            "rules": lambda: self._engine_store.needed_from(self._engine.digest),
            "results": lambda: self._results.cursor("log/0", log_id),
        }
        keepers: dict[str, Keeper] = {
            "incidents": IncidentKeeper(self._incidents, days=settings.incidents.retention_days)
        }
        if self._archive is not None:
            readers["archive"] = self._archivers[0].needed_from
            keepers["archive"] = SegmentKeeper(
                self._archive,
                self._incidents,
                days=settings.archive.retention_days,
                site_days=settings.archive.site_days,
            )
        keepers["log"] = LogKeeper(
            self._log,
            self._engine_store,
            self._incidents,
            digest=self._engine.digest,
            days=settings.log.retention_days,
            max_bytes=settings.log.retention_gb * 10**9,
            readers=readers,
            taken=lambda: min(self._intake.cursor(), self._results.cursor("findings/0", findings_id)),
        )
        return Retention(keepers)


def run_community(settings: Settings, *, accept_cut: bool = False) -> None:
    """Run until SIGTERM or Ctrl-C. Blocks; only in the main thread."""
    community = Community(settings, accept_cut=accept_cut)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        community.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        url = community.start()
        if not community.threads.stop.is_set():
            LOG.info("ready", page=url)
        community.wait()
    finally:
        community.close()
