"""``linli run`` ends along the way of the data: what ingest writes last is judged, and what is found last is taken."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.operations.migration.carry import check_drained, newest_of
from app.settings.loading import load_settings
from app.wiring.community import CommunityProcess
from contracts.batch import Batch
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from tests.streams.histories import history
from tests.support.linli_run import settings_over

LAST_S = 0.5


class SlowToEnd:
    """A shard that is ready at once, and still writes a while after it was asked to end."""

    def __init__(self, log: DayLog, batches: list[Batch]) -> None:
        self._log, self._batches = log, batches

    def wait_ready(self, _timeout_s: float) -> bool:
        return True

    def run(self, stop: threading.Event) -> None:
        stop.wait()
        threading.Event().wait(LAST_S)  # the rules have long found the log at its end
        self._log.append(self._batches)


def test_what_ingest_writes_last_is_judged_before_the_rules_are_marked_as_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = history(seed=1, events=40)

    def shard(community: CommunityProcess) -> Any:
        return SlowToEnd(community._log, batches)

    monkeypatch.setattr(CommunityProcess, "_shard", shard)
    community = CommunityProcess(load_settings(None, settings_over(tmp_path)))
    community.start()
    community.close()
    with closing(SqliteCheckpointStore(tmp_path / "engine.db")) as store, closing(DayLog(tmp_path)) as log:
        assert log.end() == len(batches)
        assert check_drained(newest_of(store.manifests().values()), log.end(), "`linli run`").drained
