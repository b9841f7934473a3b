"""How far each partition is judged, durably: what manifests say, watched from outside while everything goes on."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import msgspec

from app.settings.settings import Settings
from app.wiring.district import log_partitions, open_cluster, topic_names
from contracts.errors import LinliError
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.engine.manifest import decode_manifest

LOOK_S = 1.0
STALL_S = 10.0


class Stand(msgspec.Struct, frozen=True):
    """One partition: the position that is judged next, and where the log ends."""

    position: int
    end: int


class Stall(msgspec.Struct, frozen=True):
    """A partition stood still ``for_s`` seconds from ``from_s`` on, counted from the beginning of the watch."""

    partition: int
    from_s: float
    for_s: float


class ProgressWatch:
    """Looks every second from its own thread. Use as a context manager.

    Attributes:
        looks: how often it has looked at every partition.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._stands: dict[int, Stand] = {}
        self._moved_s: dict[int, float] = {}
        self._began_s = time.monotonic()
        self._stalls: dict[tuple[int, float], float] = {}
        self.looks = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProgressWatch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def stands(self) -> dict[int, Stand]:
        """Every partition as last seen."""
        with self._lock:
            return dict(self._stands)

    def stalls(self) -> list[Stall]:
        """Every time of at least ten seconds in which a position stood though the log was ahead; the longest first.

        What is seen while the brokers do not answer is counted from the last look to the next.
        """
        with self._lock:
            stalls = [Stall(p, round(from_s, 1), round(for_s, 1)) for (p, from_s), for_s in self._stalls.items()]
        return sorted((stall for stall in stalls if stall.for_s >= STALL_S), key=lambda stall: -stall.for_s)

    def _watch(self) -> None:
        while not self._over.is_set():
            try:
                self._look_for_long()
            except LinliError:  # the brokers are away, as chaos wants it
                self._over.wait(LOOK_S)

    def _look_for_long(self) -> None:
        names = topic_names(self._settings)
        with open_cluster(self._settings, "chaos-watch") as cluster:
            tails, sender = cluster.tails(), cluster.producer()
            partitions = range(log_partitions(cluster, self._settings))
            keeps = {p: KafkaCheckpointStore(cluster, names, p, sender=sender, tails=tails) for p in partitions}
            while not self._over.wait(LOOK_S):
                for partition, keep in keeps.items():
                    positions = [decode_manifest(body).position + 1 for body in keep.manifests().values()]
                    self._saw(partition, Stand(max(positions, default=0), tails(names.log, partition).end()))
                self.looks += 1

    def _saw(self, partition: int, stand: Stand) -> None:
        now_s = time.monotonic()
        with self._lock:
            before, self._stands[partition] = self._stands.get(partition), stand
            moved = before is None or stand.position != before.position or stand.position >= stand.end
            since_s = self._moved_s.setdefault(partition, now_s)
            self._stalls[partition, since_s - self._began_s] = now_s - since_s
            if moved:
                self._moved_s[partition] = now_s
