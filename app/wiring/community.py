"""One community on one machine: the parts of a district's processes, in one process over one folder.

One writer per file; a hand-off is a cursor kept in the reader's own transaction. Killed at any moment and started
again, each part goes on where its own file says it was.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from functools import partial

import structlog

from app.settings.settings import Settings
from app.wiring.archives import archivers_of, follow, log_sealed, open_archive
from app.wiring.console import ConsoleService, first_run
from app.wiring.folder_lock import FolderLock
from app.wiring.incidents import IncidentsService
from app.wiring.ingest import shard_settings, show_ingest
from app.wiring.judging import Judging, look_at_disk
from app.wiring.metrics_server import Metrics
from app.wiring.own_broker import OwnBroker
from app.wiring.private_stores import close_stores
from app.wiring.process import on_signal
from app.wiring.receivers import receivers_of
from app.wiring.reference_key import reference_key
from app.wiring.results import ResultsService
from app.wiring.retention import digest_keeper, incident_keeper, inventory_keeper, log_keeper, segment_keeper
from app.wiring.rules import EmbeddedRules
from app.wiring.store_files import check_files, sqlite_files
from app.wiring.stores import boxes_file, open_incidents, open_inventory
from app.wiring.threads import Threads
from console.api.server import Server
from contracts.errors import RejectReason
from evidence.uploads import EVIDENCE
from governance.retention import Keeper, Retention
from identity.box_credentials import BoxTokens
from incidents.intake.relays import FindingsRelay
from incidents.monitor.inventory_monitor import InventoryMonitor
from incidents.monitor.judging_monitor import JudgingMonitor
from incidents.monitor.store_monitor import StoreMonitor
from incidents.store.leases import UncontestedLeases
from ingest.counters import Counters
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.shard import Shard
from inventory.directory import MemoryDirectory
from inventory.directory_relay import DirectoryRelay
from inventory.last_seen_keeper import LastSeenKeeper
from inventory.last_seen_log import LastSeenFollower, LastSeenLog, recall_from_ms
from streams.archive.archive import CATALOGUE
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from system.garbage import settle_garbage

LOG = structlog.get_logger("linli")
STEP_END_S = 12.0
"""How long ingest, then the rules, then everything else may take to end in order: less than 40 s in all."""
RESULTS_REST = 4.0  # catching up on results takes at most a fifth of a core from ingest and rules


class CommunityProcess:
    """Everything of one community; :meth:`start` it, :meth:`wait`, then :meth:`close` it.

    Raises:
        ConfigurationError: a setting cannot be used, or another process holds the folder.
        LogBroken: the log or its snapshots contradict each other.
    """

    def __init__(self, settings: Settings, *, accept_cut: bool = False) -> None:
        self._settings = settings
        self.threads = Threads()
        self._all_accepted, self._all_judged = threading.Event(), threading.Event()  # as the end goes on
        self._broker = OwnBroker(settings, settings.log.folder() / "broker")
        self._server: Server | None = None
        self._metrics = Metrics("run")
        with ExitStack() as opened:  # what fails half-way leaves nothing open
            opened.enter_context(FolderLock(settings.log.folder()))
            close_stores(settings)
            check_files(settings)
            self._open_stores(opened)
            self._build(accept_cut=accept_cut)
            opened.callback(self._results.close)
            self._stack = opened.pop_all()

    def _open_stores(self, opened: ExitStack) -> None:
        settings, folder = self._settings, self._settings.log.folder()
        self._log = opened.enter_context(closing(DayLog(folder)))
        self._engine_store = opened.enter_context(closing(SqliteCheckpointStore(folder / "engine.db")))
        self._inventory = opened.enter_context(closing(open_inventory(settings)))
        self._dead_letters = opened.enter_context(closing(DeadLetters(settings.dead_letters.folder)))
        self._incidents = opened.enter_context(closing(open_incidents(settings)))
        self._archive = open_archive(settings)
        if self._archive is not None:
            opened.enter_context(closing(self._archive))

    def _build(self, *, accept_cut: bool) -> None:
        settings, metrics, store = self._settings, self._metrics, self._incidents
        directory, self._counters = MemoryDirectory(), Counters()
        show_ingest(metrics, self._counters)
        self._directory_relay = DirectoryRelay(self._inventory, directory)
        self._service = IncidentsService(store, directory, receivers_of(settings), metrics, self._inventory)
        self.intake = FindingsRelay(self._engine_store, self._service.intake(self._engine_store.identity()))
        self.rules = EmbeddedRules(
            self._log,
            self._engine_store,
            store,
            metrics,
            reference_key=reference_key(settings),
            on_findings=self.intake.wake,
            accept_cut=accept_cut,
        )
        self._heard = LastSeenLog(self._log, self.rules.driver.wake)
        self._last_seen = LastSeenKeeper(self._heard, self._inventory, self._heard.heard_through_ms)
        self._archivers = (
            archivers_of(self._archive, [self._log], self._inventory, store, on_sealed=log_sealed)
            if self._archive is not None
            else []
        )
        boxes, names = BoxTokens(boxes_file(settings)), self._service.names
        self._judging = Judging(look_at_disk(settings.log.folder(), self.rules.judged))
        self._console = ConsoleService(
            settings, boxes, store, directory, self._heard, names, self._figures, judging=self._judging.alarm
        )
        self._results = ResultsService(
            settings,
            logs=[self._log],
            findings=[(self._engine_store, lambda: 0)],
            incidents=store,
            book=directory,
            rest=RESULTS_REST,
        )
        metrics.add_figures(self._results.figures)

    def start(self) -> str:
        """Start every thread; the address of the page. Ends once the log is judged to its end and ingest listens."""
        self._directory_relay.catch_up()
        self._recall()
        LOG.info("judging_log", to_position=self._log.end())
        self.rules.partition.open()
        self._metrics.serve(self._settings)
        first_run(self._incidents, self._settings)
        self._broker.start()
        shard = self._shard()
        self._start_threads()
        self.threads.start("ingest", shard.run)
        self._server = self._console.serve()
        while not shard.wait_ready(0.2) and not self.threads.stop.is_set():
            pass
        settle_garbage()
        return self._server.url

    def wait(self) -> None:
        """Wait for a signal, :meth:`stop` or a failed thread. In the main thread: a broker ends with who started it."""
        self.threads.wait(self._keep)

    def _keep(self) -> None:
        self._broker.keep()
        if self._server is not None:
            self._server = self._console.revive(self._server)

    def stop(self) -> None:
        """Ask everything to end."""
        self.threads.stop.set()

    def close(self) -> None:
        """End in order: what was accepted is written, judged, handed over; then files close.

        Raises:
            LinliError: a thread had failed; what it raised, where that says itself what to do.
        """
        self.stop()
        for name, ended in (("ingest", self._all_accepted), ("engine", self._all_judged)):
            self.threads.join(name, STEP_END_S)  # what it wrote last is what the next one must still see
            ended.set()
        stuck = self.threads.join(timeout_s=STEP_END_S)
        if self._server is not None:
            self._server.stop()
        self._broker.stop()
        self._metrics.close()
        if stuck:
            LOG.error("threads_did_not_end", threads=stuck)
        else:
            self._stack.close()
        self.threads.raise_failure()

    def _recall(self) -> None:
        """Know again when each device was last heard: what was kept, and what the log has had since."""
        since_ms = recall_from_ms(self._last_seen.load(), self._log.last_watermark_ms())
        LastSeenFollower([self._log], since_ms, self._heard).catch_up()

    def _start_threads(self) -> None:
        threads = self.threads
        threads.keep("heard", self._last_seen.run)
        threads.start("engine", lambda _stop: self.rules.driver.run(self._all_accepted))
        threads.start("judging", self._judging.run)
        threads.keep("judged", JudgingMonitor(self._incidents, self._judging.alarm).run)
        threads.keep("bell", self._incidents.follow)
        threads.keep("incidents", lambda _stop: self.intake.run(self._all_judged))
        threads.keep("directory", self._directory_relay.run)
        threads.keep("stores", self._store_monitor().run)
        threads.keep("inventory", InventoryMonitor(self._inventory, self._incidents).run)
        self._service.start(threads, UncontestedLeases())
        self._console.start(threads)
        if self._archivers:
            threads.keep("archive", partial(follow, self._archivers))
        threads.keep("retention", Retention(self._keepers()).run)
        self._results.start(threads)

    def _shard(self) -> Shard:
        wired = shard_settings(self._settings, log_id=self._log.identity(), protocol=self._broker.protocol)
        return Shard(wired, self._heard, self._inventory, self._dead_letters, counters=self._counters)

    def _figures(self) -> dict[str, float]:
        ingest = self._counters
        refused = {reason: ingest.value("linli_ingest_rejected_total", reason=reason) for reason in RejectReason}
        return {
            "messages_received": ingest.value("linli_ingest_messages_total"),
            **{f"refused_{reason}": count for reason, count in refused.items() if count},
            "time_behind_ms": ingest.value("linli_ingest_watermark_lag_ms"),
            **self.rules.figures(),
        }

    def _store_monitor(self) -> StoreMonitor:
        contents = {
            "engine.db": self._engine_store.check_rows,
            self._inventory.file_name: self._inventory.check_rows,
            self._incidents.file_name: self._incidents.check_rows,
            self._dead_letters.path.name: self._dead_letters.check_rows,
            EVIDENCE: self._console.check_evidence,
        }
        if self._archive is not None:
            contents[CATALOGUE] = self._archive.catalogue.check_rows
        return StoreMonitor(self._incidents, partial(sqlite_files, self._settings), contents)

    def _keepers(self) -> dict[str, Keeper]:
        settings, log_id, findings_id = self._settings, self._log.identity(), self._engine_store.identity()
        readers = {"rules": self.rules.needed_from, "results": lambda: self._results.cursor("log/0", log_id)}
        keepers: dict[str, Keeper] = {
            "incidents": incident_keeper(settings, self._incidents),
            "inventory": inventory_keeper(settings, self._inventory, self._incidents),
            "digests": digest_keeper(settings, self._inventory, self._incidents, self._archive),
        }
        if self._archive is not None:
            readers["archive"] = self._archivers[0].needed_from
            keepers["archive"] = segment_keeper(settings, self._archive, self._incidents)
        keepers["log"] = log_keeper(
            settings,
            self._log,
            self._engine_store,
            self._incidents,
            digest=self.rules.digest,
            readers=readers,
            taken=lambda: min(self.intake.cursor(), self._results.cursor("findings/0", findings_id)),
        )
        return keepers


def run_community(settings: Settings, *, accept_cut: bool = False) -> None:
    """Run until SIGTERM or Ctrl-C. Blocks; only in the main thread."""
    community = CommunityProcess(settings, accept_cut=accept_cut)
    on_signal(community.stop)
    try:
        url = community.start()
        if not community.threads.stop.is_set():
            LOG.info("ready", page=url)
        community.wait()
    finally:
        community.close()
