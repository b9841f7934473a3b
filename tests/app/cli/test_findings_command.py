"""``linli findings export`` prints what ``linli replay`` prints, from wherever the findings lie, and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from app.cli import findings as findings_command
from app.cli.replay import command as replay
from app.wiring.log_loading import load_events
from contracts.errors import ConfigurationError
from contracts.findings import Finding
from detectors.registry import all_rules
from ingest.pipeline.event_file import EventFile
from simulator.generate import SimulationRequest, generate
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver

pytestmark = pytest.mark.slow


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A simulated day as a file of events; ``log.url`` names a folder in which ``linli run`` has judged it."""
    file, folder = tmp_path / "events.jsonl", tmp_path / "data"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, generate(SimulationRequest(seed=3, days=1, sites=1)).events)))
    log, store = DayLog(folder), SqliteCheckpointStore(folder / "engine.db")
    with file.open("rb") as lines:
        load_events(log, EventFile().events(lines))
    PartitionDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())).open()
    store.close()
    log.close()
    monkeypatch.setenv("LINLI_LOG_URL", f"sqlite:///{folder}")
    return file


def _bare(lines: str) -> list[Finding]:
    decoded = [msgspec.json.decode(line, type=Finding) for line in lines.splitlines()]
    return [msgspec.structs.replace(finding, position=0, number=0) for finding in decoded]


def test_the_findings_of_one_machine_are_those_of_replay(file: Path) -> None:
    exported = CliRunner().invoke(findings_command.command, ["export", "--json"], catch_exceptions=False)
    replayed = CliRunner().invoke(replay, [str(file), "--json"], catch_exceptions=False)
    assert (exported.exit_code, exported.stderr) == (0, "")
    assert _bare(exported.stdout) == _bare(replayed.stdout)
    assert exported.stdout


@pytest.mark.usefixtures("file")
def test_without_json_a_person_can_read_them() -> None:
    printed = CliRunner().invoke(findings_command.command, ["export"], catch_exceptions=False)
    assert " open " in printed.stdout.splitlines()[0]


def test_a_folder_without_findings_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINLI_LOG_URL", f"sqlite:///{tmp_path}")
    with pytest.raises(ConfigurationError, match=r"there is no engine\.db"):
        CliRunner().invoke(findings_command.command, ["export"], catch_exceptions=False)
