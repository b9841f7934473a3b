"""Workers of the rules on a real broker: whatever dies, the findings are those of ``linli replay``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from app.children import linli_arguments
from app.run_child import environment
from contracts.events import AnyEvent
from contracts.findings import Finding
from ingest.event_file import EventFile
from simulator.generate import Request, generate
from tests.support.district import District, district, until
from tests.support.kafka import RunningKafka

pytestmark = pytest.mark.service
PARTITIONS = 3
PAUSE_S = 0.1


class Day(NamedTuple):
    """A simulated day as a file, as what is accepted of it, and what ``linli replay`` finds in it."""

    file: Path
    events: list[AnyEvent]
    replayed: dict[str, list[Finding]]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    folder = tmp_path_factory.mktemp("day")
    file = folder / "day.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, generate(Request(seed=7, days=1, sites=3)).events)))
    with file.open("rb") as lines:
        events = list(EventFile().events(lines))
    return Day(file, events, by_site(linli({}, folder, "replay", "--json", str(file))))


@pytest.fixture
def over(kafka: RunningKafka, tmp_path: Path) -> Iterator[District]:
    with district(kafka.url, tmp_path, partitions=PARTITIONS) as opened:
        yield opened


def linli(settings: dict[str, str], folder: Path, *arguments: str) -> bytes:
    """What a command prints."""
    return subprocess.run(
        linli_arguments(*arguments), env=environment(settings), cwd=folder, check=True, capture_output=True, timeout=120
    ).stdout


def by_site(lines: bytes) -> dict[str, list[Finding]]:
    """Findings as printed, without what depends on how the log was cut."""
    sites: dict[str, list[Finding]] = {}
    for line in lines.splitlines():
        finding = msgspec.json.decode(line, type=Finding)
        sites.setdefault(finding.site_id, []).append(msgspec.structs.replace(finding, position=0, number=0))
    return sites


def test_workers_killed_while_the_log_grows_find_what_replay_finds(over: District, day: Day) -> None:
    def judged() -> int:
        return sum(map(over.position, range(PARTITIONS)))

    with over.workers("w1", "w2") as (first, second), over.loading(day.events, PAUSE_S) as loading:
        until(lambda: judged() > 500, "progress")
        first.kill()
        with over.workers("w3") as (third,):
            before = judged()
            until(lambda: judged() > before + 3_000, "progress after a kill")
            second.kill()
            loading.join()
            over.wait_until_judged()
            assert third.stop() == 0
    assert by_site(linli(over.settings, over.folder, "findings", "export", "--json")) == day.replayed
    assert sum(map(len, day.replayed.values())) > 50
    assert [m.drained for p in range(PARTITIONS) for m in over.manifests(p)] == [True] * PARTITIONS
    assert [path.name for path in over.folder.iterdir()] == ["logs"]  # nobody leaves anything behind
