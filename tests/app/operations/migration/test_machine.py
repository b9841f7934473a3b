"""A day on one machine, migrated: the district finds the same, opens nothing and tells nobody anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from app.cli.migrate import command
from app.operations.migration import machine
from app.wiring.log_loading import load_events
from app.wiring.rule_facts import finding_facts
from contracts.errors import ConfigurationError
from contracts.events import ConfigurationRecord
from detectors.registry import all_rules
from governance.audit import first_broken
from identity.users import Users
from incidents.intake.intake import Intake
from incidents.intake.relays import FindingsRelay
from incidents.store.operator_alarms import standing_alarms
from incidents.store.schema import findings, incidents
from incidents.store.store import Store
from inventory.inventory import Inventory
from simulator.generate import SimulationRequest, generate
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.kafka import KafkaCluster
from streams.log.sqlite.day_log import DayLog
from streams.runtime.embedded import EmbeddedDriver
from streams.runtime.partition_driver import PartitionDriver
from streams.topics import TopicNames
from tests.app.operations.migration.by_hand import RECEIVER, deliver, judge, rows_of, take
from tests.incidents.builders import make_directory
from tests.support.broker import running_broker
from tests.support.kafka import RunningKafka, make_topics
from tests.support.postgres import PASSWORD, USER, shared_postgres

PARTITIONS = 4
pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow]


class Machine:
    """One machine's folder after a day of two communities: judged, incidents made, receivers told, drained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        world = generate(SimulationRequest(seed=5, days=1, sites=2))
        inventory = Inventory(folder / "config.db")
        inventory.put([event for event in world.events if isinstance(event, ConfigurationRecord)])
        inventory.close()
        log, store = DayLog(folder), SqliteCheckpointStore(folder / "engine.db")
        load_events(log, world.events)
        driver = PartitionDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity()))
        driver.open()
        ended = threading.Event()
        ended.set()
        EmbeddedDriver(driver).run(ended)  # drains
        self._tell(store)
        log.close()
        store.close()
        self.file = folder / "linli.toml"
        self.file.write_text(
            f'[log]\nurl = "sqlite:///{folder}"\n[inventory]\nurl = "sqlite:///{folder / "config.db"}"\n'
            f'[incidents]\nurl = "sqlite:///{folder / "incidents.db"}"\n',
            encoding="utf-8",
        )

    def _tell(self, engine: SqliteCheckpointStore) -> None:
        store = Store(f"sqlite:///{self.folder / 'incidents.db'}", synchronous="OFF")
        Users(store).first_run()
        intake = Intake(store, make_directory(), finding_facts(), [RECEIVER], source=engine.identity())
        relay = FindingsRelay(engine, intake)
        while relay.step():
            pass
        deliver(store)
        store.close()

    def drop_first_day(self) -> None:
        """As retention does, a week later."""
        log = DayLog(self.folder)
        assert log.drop_before(log.days()[0].end)
        log.close()


class Target:
    """An empty district."""

    def __init__(self, folder: Path, kafka_url: str, mqtt_url: str) -> None:
        self.names: TopicNames = make_topics(kafka_url, partitions=PARTITIONS)
        self.cluster = KafkaCluster(kafka_url, "tests")
        server, secret = shared_postgres(), folder / "secret"
        secret.write_text(PASSWORD, encoding="utf-8")
        database = server.create()
        self.url = server.url(database)
        self.settings = {
            "LINLI_LOG_URL": kafka_url,
            "LINLI_MQTT_URL": mqtt_url,
            "LINLI_KAFKA_PREFIX": self.names.prefix,
            "LINLI_KAFKA_PARTITIONS": str(PARTITIONS),
            "LINLI_INCIDENTS_URL": f"postgresql://{USER}@127.0.0.1:{server.port}/{database}",
            "LINLI_INCIDENTS_PASSWORD_FILE": str(secret),
        }

    def migrate(self, source: Path) -> str:
        """``linli migrate``; what it printed."""
        result = CliRunner().invoke(command, ["--from", str(source)], env=self.settings)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    def judge(self) -> set[str]:
        """Return what workers do; the ids of what is found."""
        return judge(self.cluster, self.names)

    def take(self, store: Store) -> int:
        """Return what ``linli incidents run`` does; how many findings it read."""
        return take(self.cluster, self.names, store)


@pytest.fixture(autouse=True)
def logs_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests go on in this process."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def target(tmp_path: Path, kafka: RunningKafka) -> Iterator[Target]:
    with running_broker("mosquitto", tmp_path / "mosquitto") as broker:
        target = Target(tmp_path, kafka.url, broker.url)
        yield target
        target.cluster.close()


def _count(store: Store, table: object) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def test_after_migrating_and_judging_the_whole_log_no_incident_is_new(
    lived: Machine, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []

    def dies(*_arguments: object) -> None:
        killed.append(True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # killed when the log is copied and the incidents are not
        patched.setattr(machine, "copy_incidents", dies)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - click makes its own of it
            target.migrate(lived.file)
    assert killed
    printed = target.migrate(lived.file)
    assert "incidents" in printed
    assert target.migrate(lived.file) == ""  # everything was there before
    old, new = Store(f"sqlite:///{lived.folder / 'incidents.db'}"), Store(target.url)
    before = rows_of(old)
    assert before[incidents.name]
    assert rows_of(new) == before
    assert target.judge() == {row[0] for row in before[findings.name]}
    assert target.take(new) >= len(before[findings.name])
    assert rows_of(new) == before
    with new.read() as connection:
        assert standing_alarms(connection) == []
        assert first_broken(connection) is None
    for store in (old, new):
        store.close()


def test_where_days_of_the_log_are_gone_the_state_comes_along_and_nothing_repeats(
    tmp_path: Path, target: Target
) -> None:
    lived = Machine(tmp_path)
    lived.drop_first_day()
    target.migrate(lived.file)
    new = Store(target.url)
    before = rows_of(new)
    assert target.judge() == set()  # everything was decided before
    assert target.take(new) == 0
    assert rows_of(new) == before
    new.close()


def test_a_district_that_holds_something_else_is_refused_and_left_alone(lived: Machine, target: Target) -> None:
    store = Store(target.url)
    Users(store).first_run()  # its console ran
    with pytest.raises(ConfigurationError, match=r"holds .*users.* migrate into an empty database"):
        target.migrate(lived.file)
    assert _count(store, incidents) == 0
    store.close()
