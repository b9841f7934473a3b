"""The composition root of one shard of a district's ingest: MQTT in, Kafka out, nothing kept here but dead letters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import structlog

from app.settings.settings import Settings
from app.wiring.district import log_partitions, open_cluster, topic_names
from app.wiring.ingest import client_id_of, shard_settings, show_ingest
from app.wiring.letters_watch import watch_letters
from app.wiring.metrics_server import Metrics
from app.wiring.process import END_S, on_signal
from app.wiring.stores import open_inventory
from app.wiring.threads import keep_trying
from contracts.errors import LinliError
from ingest.counters import Counters
from ingest.settings import owned_partitions
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.shard import Shard
from streams.kafka import KafkaSender
from streams.log.kafka.kafka_log import KafkaLogWriter
from system.garbage import settle_garbage

LOG = structlog.get_logger("linli")
DEAD_PARTITION = 0


class IngestProcess:
    """Shard ``index`` of ``shards``.

    Args:
        settings: of the whole district.
        index: from 0.
        shards: how many share the log's partitions.
        on_ready: told once it listens and has proven so.

    Raises:
        ConfigurationError: the log is none of a district's.
    """

    def __init__(
        self, settings: Settings, index: int, shards: int, on_ready: Callable[[], object] = lambda: None
    ) -> None:
        self._settings, self._index, self._shards = settings, index, shards
        self.on_ready = on_ready
        self.client_id = client_id_of(settings, index, shards)
        self.counters = Counters()
        self.stop = threading.Event()
        self._cluster = open_cluster(settings, self.client_id)

    def run(self) -> None:
        """Run until :attr:`stop`, then finish what was accepted. Whoever is away at the start is waited for.

        Raises:
            ConfigurationError: a setting, a topic or a credential is wrong.
            Permanent: another process took the session over, or the log failed for good.
        """
        with self._cluster:
            keep_trying(f"ingest {self._index}/{self._shards}", self._work, self.stop)

    def _work(self, stop: threading.Event) -> None:
        """Run one life of the shard; what is away when it begins ends it as Transient, with everything closed."""
        with ExitStack() as opened:
            shard = self._shard(opened)
            waiting = threading.Thread(target=self._tell_ready, args=(shard, stop), daemon=True, name="linli-ready")
            waiting.start()
            shard.run(stop)

    def _shard(self, opened: ExitStack) -> Shard:
        names = topic_names(self._settings)
        settings = shard_settings(
            self._settings,
            self._index,
            self._shards,
            partitions=log_partitions(self._cluster, self._settings),
            log_id=self._cluster.topic_id(names.log),
        )
        self._cluster.partitions(names.dead)
        sender = self._cluster.producer(compress=True)
        opened.callback(sender.close)
        writer = KafkaLogWriter(self._cluster, names.log, owned_partitions(settings), sender)
        inventory = open_inventory(self._settings)
        opened.callback(inventory.close)
        letters = DeadLetters(
            self._settings.dead_letters.folder,
            lambda source, letter: _post(sender, names.dead, source, letter),
        )
        opened.callback(letters.close)
        self._watch(letters, opened)
        return Shard(settings, writer, inventory, letters, counters=self.counters)

    def _watch(self, letters: DeadLetters, opened: ExitStack) -> None:
        """Have the letters looked at for as long as this life of the shard has them open."""
        ended = threading.Event()
        arguments = (self._settings, letters, f"{self._index}/{self._shards}", ended)
        thread = threading.Thread(target=watch_letters, args=arguments, daemon=True, name="linli-stores")
        opened.callback(thread.join, END_S)
        opened.callback(ended.set)
        thread.start()

    def _tell_ready(self, shard: Shard, stop: threading.Event) -> None:
        while not stop.is_set():
            if shard.wait_ready(0.25):
                settle_garbage()
                LOG.info("ready", shard=f"{self._index}/{self._shards}", client_id=self.client_id)
                self.on_ready()
                return


def run_ingest(settings: Settings, index: int, shards: int) -> None:
    """Run a shard until SIGTERM or Ctrl-C. Blocks; only in the main thread."""
    process = IngestProcess(settings, index, shards)
    on_signal(process.stop.set)
    metrics = Metrics("ingest")
    show_ingest(metrics, process.counters)
    metrics.serve(settings)
    try:
        process.run()
    finally:
        metrics.close()


def _post(sender: KafkaSender, topic: str, source: str, letter: bytes) -> None:
    """Send the district a copy; the letter itself is on disk, so one that cannot be sent is only said."""
    try:
        sender.send(topic, DEAD_PARTITION, letter, source.encode())
    except LinliError as error:
        LOG.warning("dead_letter_not_copied", error=str(error))
