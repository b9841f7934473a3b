"""Who watches that the log is judged: beside the rules of one machine, or from outside a district's workers."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from app.settings.settings import Settings
from app.wiring.district import is_district, log_partitions, open_cluster, topic_names
from contracts.errors import LinliError, Transient
from incidents.store.operator_alarms import Alarm, AlarmCode
from streams.runtime.judged_watch import JudgedPartition, JudgedWatch
from system.clock import wall_ms

LOOK_EVERY_S = 2.0
ASK_EVERY_S = 4.0
"""Where a look is some questions to Kafka: workers tell it every five seconds."""
ANSWER_S = 4.0
"""How long Kafka may take to answer one question; with the time between looks this stays below half a minute."""
SUBJECT = "rules"

LEAST_ROOM = 64 * 1024
"""Bytes; a disk with less is full: the log alone takes as much within a minute or two."""

Look = Callable[[], Mapping[int, JudgedPartition]]
"""Gives where each partition stands now; raises LinliError when the log cannot be asked."""


class Judging:
    """Looks at the partitions until told to stop, and knows what is not judged at any moment, also during a look.

    Args:
        look: asked every ``every_s``.
    """

    def __init__(self, look: Look, *, every_s: float = LOOK_EVERY_S) -> None:
        self._look, self._every_s = look, every_s
        self._lock = threading.Lock()
        self._watch = JudgedWatch(time.monotonic(), wall_ms())

    def alarm(self) -> Alarm | None:
        """Return the alarm that nothing, or not everything, is judged; None while all is. Callable from any thread."""
        with self._lock:
            standing = self._watch.standing(time.monotonic())
        if standing is None:
            return None
        return Alarm(AlarmCode.NOTHING_JUDGED, SUBJECT, standing.detail, standing.since_ms, wall_ms(), 1)

    def run(self, stop: threading.Event) -> None:
        """Look until ``stop``; after a look in vain soon again, so that one of them is no alarm yet."""
        pause_s = self._every_s
        while not stop.wait(pause_s):
            pause_s = self._every_s if self.step() else LOOK_EVERY_S

    def step(self) -> bool:
        """Look once; whether there was an answer."""
        try:
            found = self._look()
        except LinliError as error:
            with self._lock:
                self._watch.unasked(str(error))
            return False
        with self._lock:
            self._watch.observe(found, time.monotonic(), wall_ms())
        return True


def look_at_disk(folder: Path, look: Look) -> Look:
    """Return a look that first sees whether the disk of ``folder`` has room: without it all else only stands still.

    It raises Transient when there is none.
    """

    def looked() -> Mapping[int, JudgedPartition]:
        if shutil.disk_usage(folder).free < LEAST_ROOM:
            raise Transient(f"the disk of {folder} is full: free space, and it goes on by itself")
        return look()

    return looked


class JudgedTopic:
    """Where the partitions of a district's log stand, as its workers tell it."""

    def __init__(self, settings: Settings) -> None:
        names = topic_names(settings)
        self._log, self._judged, self._workers = names.log, names.judged, f"{names.prefix}streams"
        self._settings = settings
        self._cluster = open_cluster(settings, "linli-judged")
        self._cluster.answer_s = ANSWER_S
        self._ends = self._cluster.tails()

    def __call__(self) -> Mapping[int, JudgedPartition]:
        """See :data:`Look`."""
        told = self._cluster.told_offsets(self._judged, self._log)
        ends = self._ends.ends(self._log, range(log_partitions(self._cluster, self._settings)))
        if not told and self._cluster.group_members(self._workers):  # workers of before they told anything
            return {number: JudgedPartition(end, end) for number, end in ends.items()}
        return {
            number: JudgedPartition(position, end, int(at_ms or 0))
            for number, end in ends.items()
            for position, at_ms in [told.get(number, (0, ""))]
        }

    def close(self) -> None:
        """Leave the brokers."""
        self._cluster.close()


def district_judging(settings: Settings) -> tuple[Judging | None, Callable[[], object]]:
    """Return who watches a district's workers, and how to end it; nobody where the log is one machine's.

    Raises:
        ConfigurationError: ``log.url`` cannot be used.
    """
    if not is_district(settings):
        return None, lambda: None
    topic = JudgedTopic(settings)
    return Judging(topic, every_s=ASK_EVERY_S), topic.close
