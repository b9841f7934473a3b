"""A district given another number of partitions: it finds the same, opens nothing, tells nobody anew, and goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.migrate import command
from app.operations.migration import growth, log_copy
from app.operations.migration.rehash import SourcePartition, rehashed
from contracts.batch import Batch
from contracts.errors import ConfigurationError
from contracts.events import AnyEvent
from contracts.findings import Finding
from detectors.registry import all_rules
from identity.users import Users
from incidents.store.schema import incidents
from incidents.store.store import Store
from simulator.generate import SimulationRequest, generate
from streams.engine.batching import SLICE_MS, batches_of
from streams.engine.engine import Engine
from tests.app.operations.migration.by_hand import deliver, judge, rows_of, take
from tests.support.district import District, district
from tests.support.kafka import RunningKafka
from tests.support.postgres import PASSWORD, USER, shared_postgres

OLD_PARTITIONS = 2
pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow]


@pytest.fixture(scope="module")
def day() -> Sequence[AnyEvent]:
    return generate(SimulationRequest(seed=5, days=1, sites=4)).events


class Grown:
    """A district whose processes stand still, and the topics of a larger one beside it."""

    def __init__(
        self, folder: Path, kafka_url: str, day: Sequence[AnyEvent], partitions: int, opened: ExitStack
    ) -> None:
        self.day = day
        self.old = opened.enter_context(district(kafka_url, folder, partitions=OLD_PARTITIONS))
        self.new = opened.enter_context(district(kafka_url, folder, partitions=partitions))
        server, secret = shared_postgres(), folder / "secret"
        secret.write_text(PASSWORD, encoding="utf-8")
        database = server.create()
        self._url = f"postgresql://{USER}@127.0.0.1:{server.port}/{database}"
        self._secret = secret
        self._file = folder / "old.toml"
        self._file.write_text(
            f'[log]\nurl = "{kafka_url}"\n'
            f'[kafka]\nprefix = "{self.old.names.prefix}"\npartitions = {OLD_PARTITIONS}\n'
            f'[incidents]\nurl = "{self._url}"\npassword_file = "{secret}"\n',
            encoding="utf-8",
        )
        self.store = Store(server.url(database))
        opened.callback(self.store.close)
        Users(self.store).first_run()
        self.found: set[str] = set()

    def live(self) -> None:
        """Half the day: judged, incidents made, receivers told."""
        self.old.append(self.half(OLD_PARTITIONS, first=True))
        self.found = judge(self.old.cluster, self.old.names)
        take(self.old.cluster, self.old.names, self.store)
        deliver(self.store)

    def half(self, partitions: int, *, first: bool) -> list[Batch]:
        """Return what shards write of the day, before or after noon."""
        noon_ms = self.day[len(self.day) // 2].received_ms // SLICE_MS * SLICE_MS
        batches = list(batches_of(self.day, partitions))
        cut = max(n for n, batch in enumerate(batches, start=1) if 0 < batch.watermark_ms <= noon_ms)
        return batches[:cut] if first else batches[cut:]

    def drop_first_hours(self) -> None:
        """As the topic's retention does."""
        for partition in range(OLD_PARTITIONS):
            self.old.delete_before(self.old.names.log, partition, self.old.end(partition) // 2)

    def migrate(self, into: District | None = None) -> str:
        """``linli migrate --from old.toml``; what it printed."""
        settings = (into or self.new).settings | {
            "LINLI_INCIDENTS_URL": self._url,
            "LINLI_INCIDENTS_PASSWORD_FILE": str(self._secret),
        }
        result = CliRunner().invoke(command, ["--from", str(self._file)], env=settings)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    def go_on(self) -> set[str]:
        """The larger district lives through the rest of the day, with a real worker; the ids of all that it found."""
        self.new.append(self.half(self.new.partitions, first=False))
        self.new.mark()
        with self.new.workers("worker") as (worker,):
            self.new.wait_until_found("batch_unreadable", self.new.partitions)
            assert worker.stop() == 0
        found = [finding for site in self.new.findings().values() for finding in site]
        return {finding.finding_id for finding in found if finding.rule != "batch_unreadable"}


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def found_unmoved(day: Sequence[AnyEvent]) -> set[str]:
    """The ids of all that is found in the day where nothing is migrated."""
    engine = Engine(all_rules(), partition=0, partitions=1, log_id="unmoved")
    outputs = [output for n, batch in enumerate(batches_of(day, 1)) for output in engine.feed(batch, n)]
    return {output.finding_id for output in outputs if isinstance(output, Finding)}


def dies_halfway(sources: Sequence[SourcePartition], partitions: int, sites: Sequence[str]) -> Iterator[Batch]:
    """As the process does."""
    batches = list(rehashed(sources, partitions, sites))
    yield from batches[: len(batches) // 2]
    raise KeyboardInterrupt


@pytest.mark.parametrize("partitions", [5])  # no multiple of two; six of two partitions is the case below
def test_more_partitions_find_the_same_open_nothing_and_tell_nobody_anew(
    tmp_path: Path,
    kafka: RunningKafka,
    day: Sequence[AnyEvent],
    found_unmoved: set[str],
    opened: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    partitions: int,
) -> None:
    grown = Grown(tmp_path, kafka.url, day, partitions, opened)
    grown.live()
    before, found = rows_of(grown.store), grown.old.findings()
    assert before[incidents.name]
    with monkeypatch.context() as patched:  # killed when a part of the log is copied
        patched.setattr(log_copy, "APPEND_BATCHES", 100)
        patched.setattr(growth, "rehashed", dies_halfway)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - click makes its own of it
            grown.migrate()
    assert sum(map(grown.new.end, range(partitions))) > 0
    printed = grown.migrate()
    assert grown.migrate() == printed  # compared, not copied twice
    assert judge(grown.new.cluster, grown.new.names) == grown.found
    assert grown.new.findings() == found
    assert take(grown.new.cluster, grown.new.names, grown.store) >= len(grown.found)
    assert rows_of(grown.store) == before
    assert grown.go_on() == found_unmoved


def test_where_the_log_no_longer_begins_at_its_beginning_the_rules_state_comes_along(
    tmp_path: Path, kafka: RunningKafka, day: Sequence[AnyEvent], found_unmoved: set[str], opened: ExitStack
) -> None:
    grown = Grown(tmp_path, kafka.url, day, 6, opened)
    grown.live()
    grown.drop_first_hours()
    before = rows_of(grown.store)
    grown.migrate()
    assert judge(grown.new.cluster, grown.new.names) == set()  # everything was decided before
    assert rows_of(grown.store) == before
    assert grown.go_on() == found_unmoved - grown.found != set()


def test_a_district_that_is_behind_or_the_same_one_is_refused(
    tmp_path: Path, kafka: RunningKafka, day: Sequence[AnyEvent], opened: ExitStack
) -> None:
    grown = Grown(tmp_path, kafka.url, day, 3, opened)
    with pytest.raises(ConfigurationError, match=r"the same log: set another kafka\.prefix"):
        grown.migrate(into=grown.old)
    grown.old.append([Batch(partition=0, watermark_ms=100_000), Batch(partition=1, watermark_ms=1_000)])
    with pytest.raises(ConfigurationError, match=r"partition 1 ends 99 s before that in partition 0: start its shard"):
        grown.migrate()
    grown.old.append([Batch(partition=1, watermark_ms=100_000)])
    grown.old.mark()
    judge(grown.old.cluster, grown.old.names)
    with pytest.raises(ConfigurationError, match=r"have not taken all findings of kafka/.*start its `linli incidents"):
        grown.migrate()
    assert sum(map(grown.new.end, range(3))) == 0
