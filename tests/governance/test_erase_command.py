"""``linli erase`` in a living district: killed half-way, run again, and at the end nothing is left anywhere."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.main import linli
from app.settings.loading import load_settings
from app.wiring.children import Child
from app.wiring.erasure import open_topics
from app.wiring.run_child import run_settings, start_child
from app.wiring.stores import open_inventory
from contracts.batch import Batch
from contracts.erasure import Erasure
from contracts.names import partition_of
from governance.topic_erasure import TopicEraser
from incidents.store.schema import incidents
from incidents.store.store import Store
from streams.checkpoints.findings_topic import encode_findings_record
from system.clock import wall_ms
from tests.governance.planted import (
    OTHER,
    REF,
    SEEN,
    STILL,
    passage,
    places,
    plant_evidence,
    plant_letter,
    planted_erasure,
    planted_finding,
    planted_records,
    sha_of,
    tables_naming,
)
from tests.governance.test_erase_topics import AT_ONCE
from tests.incidents.builders import still
from tests.ingest.builders import wire
from tests.ingest.clients import Devices
from tests.support.district import District, district
from tests.support.district_run import district_settings, process
from tests.support.kafka import RunningKafka
from tests.support.parts import MosquittoPart
from tests.support.stores import postgresql_url
from tests.support.waiting import until

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.timeout(280)]

PARTITIONS = 2
DAY_MS = 86_400_000
COMMANDS = {
    "ingest": ("ingest", "run", "--shard", "0/1"),
    "worker": ("streams", "run"),
    "incidents": ("incidents", "run"),
    "archive": ("archive", "run"),
}


class _Living:
    """A district of one process of each kind, which speaks of the reference since yesterday."""

    def __init__(self, kafka: RunningKafka, folder: Path, opened: ExitStack) -> None:
        self.folder, self.partition = folder, partition_of("s1", PARTITIONS)
        self.lying: District = opened.enter_context(district(kafka.url, folder, partitions=PARTITIONS))
        self.lying.cluster.configure_topic(self.lying.names.snapshots, AT_ONCE)
        (folder / "broker").mkdir()
        self.mosquitto = MosquittoPart(folder / "broker")
        self.mosquitto.start()
        opened.callback(self.mosquitto.stop)
        self.database_url = postgresql_url(folder)
        self.store: Store = opened.enter_context(closing(Store(self.database_url)))
        self.settings = run_settings(folder, self.mosquitto.url, 0, "") | self.lying.settings
        self.settings |= district_settings(folder, self.database_url, kafka.url) | {"LINLI_INVENTORY_URL": ""}
        self.topics: TopicEraser = opened.enter_context(closing(open_topics(load_settings(None, self.settings))))
        self._plant()

    def _plant(self) -> None:
        yesterday_ms = wall_ms() - DAY_MS
        with closing(open_inventory(load_settings(None, self.settings))) as inventory:
            inventory.put(planted_records(), now_ms=yesterday_ms)
        plant_letter(self.folder / "dead-letters")
        for data in (STILL, SEEN):
            plant_evidence(self.folder / "evidence", self.store, data)
        seen = passage("y1", yesterday_ms, evidence=(still(sha_of(SEEN)),))
        other = passage("y2", yesterday_ms + 1, OTHER)
        self.lying.append([Batch(partition=self.partition, watermark_ms=yesterday_ms, events=(seen, other))])
        said = encode_findings_record(planted_finding(yesterday_ms))
        self.lying._sender.send(self.lying.names.findings, self.partition, said).wait(10.0)

    def speak(self) -> None:
        """Today: a passage of theirs, and something that names them where nothing should."""
        with Devices(self.mosquitto.port) as devices:
            devices.say(passage("t1", wall_ms()))
            devices.send("linli/v1/s1/gate/g1/evt", wire(passage("t2", 1)).replace(b"access_attempted", REF.encode()))
            devices.send(f"mqtt/face/{REF}/Rec", b"{}")
            devices.confirmed()

    def places(self) -> set[str]:
        """Where the reference can be read now: files, tables, topics."""
        found = places(self.folder) | tables_naming(self.store)
        for name in ("log", "findings", "snapshots"):
            if getattr(self.topics, name)(self.erasure()).records:
                found.add(f"topic {name}")
        return found

    def erasure(self) -> Erasure:
        """Of everything up to now."""
        return planted_erasure(self.folder)

    def erase(self) -> dict[str, str]:
        """Each store's answer."""
        done = CliRunner().invoke(linli, ["erase", "--site", "s1", "--person", REF], env=self.settings)
        assert done.exit_code == 0, done.output
        return _answers(done.stdout)

    def verify(self) -> tuple[int, dict[str, str]]:
        """The exit code, and each store's answer."""
        done = CliRunner().invoke(linli, ["erase", "verify"], env=self.settings)
        head, _, rest = done.stdout.partition("\n")
        assert head == f"s1 person {self.erasure().digest}", done.output
        return done.exit_code, _answers(rest)

    def kill_while_erasing(self) -> None:
        """kill -9, when the inventory's part is done and the incidents' has to wait for somebody."""
        with psycopg.connect(self.database_url) as somebody:
            somebody.execute("LOCK TABLE incidents IN SHARE MODE")
            child = start_child("erase", self.folder, "erase", "--site", "s1", "--person", REF, settings=self.settings)
            try:
                until(lambda: "inventory.changes" not in tables_naming(self.store), "the inventory's part")
                os.killpg(child.pid, signal.SIGKILL)
            finally:
                assert child.stop() == -signal.SIGKILL, child.tail()
            somebody.rollback()


def _answers(said: str) -> dict[str, str]:
    return dict(line.strip().split(": ", 1) for line in said.splitlines())


def _outcomes(answers: dict[str, str], outcome: str) -> set[str]:
    return {store for store, said in answers.items() if said.startswith(outcome)}


@pytest.fixture
def living(kafka: RunningKafka, tmp_path: Path) -> Iterator[_Living]:
    with ExitStack() as opened:
        yield _Living(kafka, tmp_path, opened)


def _start(living: _Living, opened: ExitStack) -> dict[str, Child]:
    return {
        name: opened.enter_context(process(name, living.folder, *command, settings=living.settings))
        for name, command in COMMANDS.items()
    }


def test_killed_half_way_and_run_again_it_leaves_only_what_ages_out(living: _Living) -> None:
    everywhere = {"topic log", "topic findings", "topic snapshots", "public.findings", "public.incidents"}
    everywhere |= {"inventory.changes", "segments", "inventory.waiting_topics", "dead-letters"}
    # today's of the archive is not flushed yet
    with ExitStack() as opened:
        children = _start(living, opened)
        for name, child in children.items():
            until(lambda child=child: "ready" in child.tail(100_000), f"{name} to be ready")  # type: ignore[misc]
        living.speak()
        until(lambda: everywhere <= living.places(), f"all of {everywhere}")

        living.kill_while_erasing()
        code, answers = living.verify()
        assert code == 1
        assert {"incidents", "evidence", "dead letters"} <= _outcomes(answers, "still there")

        first = living.erase()
        assert {"incidents", "evidence", "dead letters", "pending"} <= _outcomes(first, "erased")
        assert _outcomes(first, "held") | _outcomes(first, "still there") == set()
        assert {"log", "findings", "box spools"} <= _outcomes(first, "ages out by ")
        ages_out = {"topic log", "topic findings"}
        until(lambda: living.places() <= ages_out, "the snapshots to be replaced and compacted")
        again = living.erase()
        assert _outcomes(again, "clean") == set(again) - _outcomes(again, "ages out by ")
        assert _outcomes(again, "ages out by ") <= {"log", "findings", "box spools", "dead letters' topic"}
        assert {name: child.stop(40.0) for name, child in children.items()} == dict.fromkeys(children, 0)

    assert living.places() == ages_out
    with living.store.read() as connection:
        assert connection.execute(select(incidents.c.subject_ref)).scalar() == f"erased-{living.erasure().digest[:24]}"
    for topic in (living.lying.names.log, living.lying.names.findings):
        living.lying.delete_before(topic, living.partition, living.lying._tails(topic, living.partition).end())
    code, answers = living.verify()
    assert (code, _outcomes(answers, "clean")) == (0, set(answers) - {"dead letters' topic"})
    assert living.places() == set()
