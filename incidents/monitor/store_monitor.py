"""Whether every file of ours is as it was written: all of each, at the start and every day, in the background.

What a start looks at is quick: large files are only looked at here, page by page and row by row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from contracts.durations import DAY_MS
from contracts.errors import LinliError, Transient
from incidents.store.operator_alarms import AlarmCode, clear_alarm, raise_alarm
from incidents.store.store import Store
from system.clock import Clock, wall_ms
from system.sqlite_check import pages

FIRST_S = 60.0
"""After a start rules and pages come first."""
_log = structlog.get_logger("incidents.monitor.store_monitor")


class StoreMonitor:
    """Looks at files and their contents.

    Args:
        files: says which files of SQLite there are now.
        contents: name of a file → reads all of its rows, and raises LinliError when one is not what was written.
    """

    def __init__(
        self,
        store: Store,
        files: Callable[[], Sequence[Path]],
        contents: Mapping[str, Callable[[], object]],
        *,
        clock_ms: Clock = wall_ms,
    ) -> None:
        self._store, self._files, self._contents, self._clock_ms = store, files, contents, clock_ms

    def step(self) -> dict[str, str]:
        """Look at everything once: an alarm for each file that is damaged, and none for the others. What is wrong.

        Raises:
            Transient: the incidents are away.
        """
        wrong = {path.name: pages(path) for path in self._files()}
        for name, read in self._contents.items():
            wrong[name] = wrong.get(name) or _unreadable(read)
        now_ms = self._clock_ms()
        with self._store.write() as connection:
            for name, detail in wrong.items():
                if detail:
                    _log.error("a file is damaged", file=name, detail=detail)
                    raise_alarm(connection, AlarmCode.STORE_DAMAGED, name, detail[:300], now_ms)
                else:
                    clear_alarm(connection, AlarmCode.STORE_DAMAGED, name, now_ms)
        return {name: detail for name, detail in wrong.items() if detail}

    def run(self, stop: threading.Event) -> None:
        """Look soon after the start and then every day, until ``stop``."""
        wait_s = FIRST_S
        while not stop.wait(wait_s):
            self.step()
            wait_s = DAY_MS / 1000


def _unreadable(read: Callable[[], object]) -> str:
    try:
        read()
    except Transient:
        return ""
    except LinliError as error:
        return str(error)
    return ""
