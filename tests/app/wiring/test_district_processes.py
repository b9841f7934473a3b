"""``linli incidents run`` and ``linli console run`` as a district runs them, over a PostgreSQL that comes and goes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select

from app.wiring.children import Child
from app.wiring.rule_facts import finding_facts
from app.wiring.run_child import wait_until_ready
from contracts.findings import Finding, Phase, Severity
from contracts.names import DeviceClass
from delivery.receivers.webhook.stand_in import StandIn
from incidents.intake.intake import Intake
from incidents.store.schema import deliveries, findings, incidents
from incidents.store.store import Store
from streams.checkpoints.findings_topic import encode_findings_record
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.kafka import KafkaCluster
from tests.incidents.builders import T0, make_directory, make_finding
from tests.ingest.builders import device, place, site
from tests.support.district_run import district_settings, logged_in, process, receiver_of
from tests.support.kafka import RunningKafka, make_topics
from tests.support.linli_run import ended, wait_for
from tests.support.postgres import Postgres, running_postgres
from tests.support.stores import postgresql_url

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.timeout(300)]

_BY_CLOCK = {"ordinal", "number", "opened_ms", "changed_ms", "fold_group", "search", "building"}


def life(number: int) -> list[Finding]:
    """Two episodes at two doors: one grows and closes, one is taken back."""
    one: dict[str, Any] = {"key": f"door-{number}", "onset_ms": T0 + number * 1000}
    other: dict[str, Any] = {"key": f"lift-{number}", "onset_ms": T0 + number * 1000}
    return [
        make_finding(**one, severity=Severity.MINOR),
        make_finding(**other),
        make_finding(**one, nth=1, phase=Phase.UPDATE, severity=Severity.MAJOR),
        make_finding(**other, nth=1, phase=Phase.RETRACT),
        make_finding(**one, nth=2, phase=Phase.CLOSE, severity=Severity.MAJOR),
    ]


class District:
    """Findings that a worker writes, and everything behind them."""

    def __init__(self, folder: Path, server: Postgres, receiver: StandIn) -> None:
        self.folder, self.server, self.receiver = folder, server, receiver
        self.url = server.url(server.create())
        self.found = SqliteCheckpointStore(folder / "engine.db")
        self.settings = district_settings(folder, self.url, f"sqlite:///{folder}", receiver)
        self.lives = 0

    @contextmanager
    def incidents(self, name: str) -> Iterator[Child]:
        """One more ``linli incidents run``."""
        with process(name, self.folder, "incidents", "run", settings=self.settings) as child:
            yield child

    def live(self, more: int) -> None:
        """Write the findings of so many lives."""
        for number in range(self.lives, self.lives + more):
            self.found.append_findings(life(number))
        self.lives += more

    def told_of(self) -> int:
        """How many incidents the receiver has heard of."""
        return len({message.incident.incident_id for message in self.receiver.accepted.values()})


@contextmanager
def district(folder: Path) -> Iterator[District]:
    with running_postgres() as server, receiver_of(folder) as receiver:
        made = District(folder, server, receiver)
        yield made
        made.found.close()


def held(store: Store) -> dict[str, Any]:
    """Return what must be the same however often it was interrupted."""
    with store.read() as connection:
        rows = connection.execute(select(incidents)).mappings().all()
        known = connection.execute(select(findings.c.finding_id, findings.c.incident_id)).all()
    return {
        "incidents": {r["incident_id"]: {k: v for k, v in r.items() if k not in _BY_CLOCK} for r in rows},
        "findings": sorted((row.finding_id, row.incident_id) for row in known),
    }


def clean(folder: Path, lives: int) -> dict[str, Any]:
    """The same findings without a server that dies, in one process."""
    store = Store(f"sqlite:///{folder / 'clean.db'}", synchronous="OFF")
    taken = [finding for number in range(lives) for finding in life(number)]
    Intake(store, make_directory(), finding_facts(), ["webhook"]).take(list(enumerate(taken, start=1)))
    try:
        return held(store)
    finally:
        store.close()


def ready(children: Sequence[Child]) -> None:
    for child in children:
        wait_for(child, lambda child=child: "ready" in child.tail(), "ready")  # type: ignore[misc]


def test_findings_partitions_are_shared_and_a_dead_process_s_are_taken_over(
    kafka: RunningKafka, tmp_path: Path
) -> None:
    names, lives = make_topics(kafka.url, partitions=3), 9
    settings = district_settings(tmp_path, postgresql_url(tmp_path), kafka.url)
    settings |= {"LINLI_KAFKA_PREFIX": names.prefix, "LINLI_KAFKA_PARTITIONS": "3"}
    with KafkaCluster(kafka.url) as cluster:
        sender = cluster.producer()

        def say(numbers: range) -> None:
            for number in numbers:
                for finding in life(number):
                    sender.send(names.findings, number % 3, encode_findings_record(finding))
            sender.flush(30)

        with (
            process("one", tmp_path, "incidents", "run", settings=settings) as one,
            process("two", tmp_path, "incidents", "run", settings=settings) as two,
        ):
            ready([one, two])
            store = Store(postgresql_url(tmp_path))
            say(range(6))
            wait_for(one, lambda: len(held(store)["findings"]) == 30, "findings")
            os.kill(one.pid, signal.SIGKILL)
            say(range(3, lives))  # a worker that died says some again
            wait_for(two, lambda: len(held(store)["findings"]) == 45, "findings of the dead process's partitions")
            assert held(store) == clean(tmp_path, lives)
            store.close()
            assert two.stop() == 0, two.tail()


def by_claim(one: Child, two: Child) -> tuple[Child, Child]:
    """Who claimed the receiver last, and the other."""
    mark = re.compile(r"(\S+Z) .*claimed +name=receiver/webhook")
    first, second = (max(mark.findall(child.tail(10**6)), default="") for child in (one, two))
    return (one, two) if first > second else (two, one)


def all_settled(store: Store) -> bool:
    with store.read() as connection:
        return connection.execute(select(deliveries).where(deliveries.c.state == "pending")).first() is None


def test_killing_database_and_instance_loses_nothing_and_duplicates_nothing(tmp_path: Path) -> None:
    with district(tmp_path) as made, made.incidents("one") as one, made.incidents("two") as two:
        ready([one, two])
        made.live(10)
        wait_for(one, lambda: made.told_of() >= 5, "deliveries")
        made.server.kill()
        made.live(10)
        wait_for(one, lambda: "does not answer" in one.tail(10**6), "word of the database")
        wait_for(two, lambda: "does not answer" in two.tail(10**6), "word of the database")
        made.server.start()
        wait_for(one, lambda: made.told_of() >= 30, "deliveries after the database came back")
        holder, left = by_claim(one, two)
        os.kill(holder.pid, signal.SIGKILL)
        made.live(10)
        wait_for(left, lambda: made.told_of() >= 60, "deliveries by the other instance")
        store = Store(made.url)
        wait_for(left, lambda: all_settled(store), "end of deliveries")
        assert held(store) == clean(tmp_path, 30)
        with store.read() as connection:
            told = connection.execute(select(deliveries.c.delivery_id)).scalars().all()
        store.close()
        assert set(made.receiver.accepted) == set(told)
        assert made.receiver.told_twice() == 0
        assert left.stop() == 0, left.tail()


def test_a_process_waits_for_its_servers_by_name_and_a_signal_ends_the_waiting(tmp_path: Path) -> None:
    with district(tmp_path) as made:
        made.server.stop()
        with made.incidents("incidents") as waiting:
            wait_for(waiting, lambda: "does not answer" in waiting.tail(), "word of the database")
            assert f"postgresql://postgres@127.0.0.1:{made.server.port}/" in waiting.tail()
            made.server.start()
            ready([waiting])
            assert waiting.stop() == 0, waiting.tail()
        made.server.stop()
        with process("console", tmp_path, "console", "run", settings=made.settings) as console:
            wait_for(console, lambda: "does not answer" in console.tail(), "word of the database")
            assert console.stop() == 0, console.tail()
            assert "Traceback" not in console.tail(10**6)


def test_a_wrong_password_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    settings = district_settings(tmp_path, postgresql_url(tmp_path), f"sqlite:///{tmp_path}")
    (tmp_path / "database.secret").write_text("wrong", encoding="utf-8")
    with process("incidents", tmp_path, "incidents", "run", settings=settings) as child:
        assert ended(child) == 2
        assert "password authentication failed" in child.tail()


def test_the_console_of_another_process_follows_and_says_when_the_database_is_away(tmp_path: Path) -> None:
    with district(tmp_path) as made:
        rows = (site(), place("door-1"), device("gate-1", DeviceClass.GATE, name="North gate", place_id="door-1"))
        (tmp_path / "inventory.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
        with process("load", tmp_path, "inventory", "load", "inventory.jsonl", settings=made.settings) as load:
            assert ended(load) == 0, load.tail()
        with (
            made.incidents("incidents") as worker,
            process("console", tmp_path, "console", "run", settings=made.settings) as console,
        ):
            page = wait_until_ready(console)
            (file,) = re.findall(r"file=(\S+)", console.tail(10**6))
            password = (tmp_path / file).read_text(encoding="utf-8").strip()
            ready([worker])
            with closing(logged_in(page, password)) as client:
                assert [d["name"] for d in client.get("/api/v1/devices").json()["devices"]] == ["North gate"]
                with client.stream("GET", "/api/v1/stream", params={"after": 0}) as stream:
                    made.live(1)
                    assert "event: incident" in stream.iter_lines()
                assert len(client.get("/api/v1/incidents").json()["incidents"]) == 2
                made.server.kill()
                wait_for(console, lambda: _status(client) == (503, "unavailable"), "503")
                made.server.start()
                wait_for(console, lambda: _status(client) == (200, ""), "answer after the database came back")
            assert console.stop() == 0, console.tail()
            assert worker.stop() == 0, worker.tail()


def _status(client: httpx.Client) -> tuple[int, str]:
    answer = client.get("/api/v1/incidents?lang=en")
    assert answer.status_code == 200 or answer.json()["message"] == "The service is not available."
    return answer.status_code, answer.json().get("code", "")
