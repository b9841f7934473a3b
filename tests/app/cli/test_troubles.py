"""Every command beside what people meet: a site that is not there, read-only folders, an empty database, no server.

Each says it in one sentence and ends with its code; none of them shows a traceback or makes believe that it worked.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import ProgrammingError

from app.main import exit_code
from app.operations.doctor.report import Check, CheckResult, Level, ok
from app.operations.doctor.side_by_side import lines_of
from app.wiring.rule_facts import finding_facts
from incidents.intake.intake import Intake
from incidents.store.counters import current
from incidents.store.database import open_database
from incidents.store.schema import incidents
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters
from inventory.file_import import parse_inventory
from inventory.inventory import Inventory
from streams.archive.archive import Archive
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from streams.results.spool import PointSpool
from tests.app.test_exit_codes import LEAVES, NEEDED, code_of
from tests.incidents.builders import make_directory, make_finding
from tests.inventory.test_file_check import WHOLE
from tests.support.postgres import PASSWORD, shared_postgres
from tests.support.unprivileged import without_overrides

KAFKA = "is for a district on Kafka; with one machine's log it says so"
WAITS = "waits for servers that are away, until a signal: tests/app/wiring"
NOT_YET = "asks the servers when it has found the old machine's data: tests/app/operations/migration"
ONE_ACCOUNT = "would exchange the password that all tests here share: tests/app/operations/rotation"
NO_DATABASE = "asks no server of ours"


class Row(NamedTuple):
    """What a command ends with, beside read-only data, over an empty PostgreSQL, and with no server answering.

    A text instead of a code says why there is nothing to try. ``site``: words that name a site that is not there.
    """

    read_only: int
    empty: int | str
    away: int | str
    site: str = ""


COMMANDS = {
    "demo": Row(1, NO_DATABASE, NO_DATABASE),
    "run": Row(1, WAITS, WAITS),
    "edge run": Row(2, NO_DATABASE, NO_DATABASE),
    "edge token": Row(2, NO_DATABASE, NO_DATABASE),
    "edge analyze": Row(2, NO_DATABASE, NO_DATABASE),
    "simulate": Row(2, NO_DATABASE, 1),
    "topics create": Row(2, KAFKA, 1),
    "topics check": Row(2, KAFKA, 1),
    "ingest run": Row(2, KAFKA, WAITS),
    "ingest forget": Row(1, 1, 1),
    "replay": Row(0, NO_DATABASE, NO_DATABASE),
    "archive run": Row(2, KAFKA, WAITS),
    "archive once": Row(1, 0, 1),
    "archive list": Row(1, 0, 0, "--site nosuch"),
    "archive verify": Row(1, 0, 0, "--site nosuch"),
    "archive show": Row(1, 2, 2),
    "archive erase-site": Row(1, 2, 1, "nosuch --yes"),
    "hold add": Row(1, 2, 1, "--site nosuch --reason proof"),
    "hold remove": Row(1, 2, 1),
    "hold list": Row(1, 0, 1),
    "erase": Row(1, 2, 1, "--site nosuch --person p1"),
    "erase verify": Row(1, 0, 1),
    "log load": Row(1, 0, 0),
    "streams run": Row(2, KAFKA, WAITS),
    "streams failures": Row(1, 2, 2),
    "streams retry": Row(1, 2, 2),
    "streams skip": Row(1, 2, 2),
    "findings export": Row(1, 2, 2),
    "incidents run": Row(1, WAITS, WAITS),
    "console run": Row(1, WAITS, WAITS),
    "results run": Row(2, KAFKA, WAITS),
    "results status": Row(1, 2, 2),
    "results rejected": Row(1, 2, 2),
    "inventory load": Row(1, 0, 1),
    "inventory check": Row(1, 0, 1),
    "inventory list": Row(1, 0, 1, "--site nosuch"),
    "inventory pending": Row(1, 0, 1),
    "inventory notices": Row(1, 0, 1),
    "devices heard": Row(1, 0, 1, "--site nosuch"),
    "devices pending": Row(1, 0, 1),
    "test-alarm": Row(2, 2, 2, "--site nosuch"),
    "boxes revoke": Row(1, 2, 1, "nosuch b1"),
    "boxes rotate": Row(1, 2, 1, "nosuch b1 --token-out box.token"),
    "secrets rotate mqtt": Row(2, 2, 2),
    "secrets rotate postgresql": Row(2, ONE_ACCOUNT, 1),
    "secrets rotate influxdb": Row(2, 2, 2),
    "secrets rotate kafka": Row(2, 2, 2),
    "secrets rotate receiver": Row(2, 2, 2),
    "rules list": Row(0, NO_DATABASE, NO_DATABASE),
    "rules show": Row(0, NO_DATABASE, NO_DATABASE),
    "dead-letters list": Row(1, 0, 0),
    "dead-letters show": Row(1, 2, 2),
    "dead-letters purge": Row(1, 0, 0),
    "trace": Row(1, 2, 2, "f1 --site nosuch"),
    "models check": Row(2, NO_DATABASE, NO_DATABASE),
    "users add": Row(1, 0, 1, "wang --role operator@nosuch"),
    "users list": Row(1, 0, 1),
    "users password": Row(1, 2, 1),
    "users remove": Row(1, 2, 1),
    "migrate": Row(2, KAFKA, NOT_YET),
    "backup": Row(1, 2, 2),
    "restore": Row(2, 2, 2),
    "doctor": Row(1, 1, 1),
    "services": Row(1, 0, 0),
    "docs": Row(0, NO_DATABASE, NO_DATABASE),
    "check-config": Row(0, 0, 0),
}
WORDS = NEEDED | {
    "edge token": "--box b1 --site s1 --out linli-data/box.token",
    "simulate": "--seed 1 --sites 1 --out linli-data/events.jsonl",
    "rules show": "smoke_or_heat",
    "services": "--systemd linli-data/units",
    "log load": "EVENT",
    "replay": "EVENT",
    "demo": "--data linli-data/demo",
}
KAFKA_SERVED = {"topics create", "topics check"}
"""What asks the brokers in a district, and ends when they are away. Ten seconds each, so not all of them are tried."""
AWAY = """
[log]
url = "{log}"
[incidents]
url = "{incidents}"
password_file = "secret"
[mqtt]
url = "mqtt://127.0.0.1:1"
embedded = "off"
[results]
url = "influx://127.0.0.1:1/linli?version=1"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").touch()
    (tmp_path / "i.toml").write_text(WHOLE, encoding="utf-8")
    event = '{"kind":"site_configured","event_id":"e","site_id":"s1","source_id":"config","place_id":"s1","at_ms":1,'
    (tmp_path / "EVENT").write_text(f'{event}"received_ms":1,"version":1,"name":"x"}}\n', encoding="utf-8")
    yield tmp_path
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o700)


@pytest.fixture
def lived(here: Path) -> Path:
    """A machine's data folder, with each of its stores."""
    data = here / "linli-data"
    with closing(Inventory(data / "config.db")) as inventory:
        inventory.put(parse_inventory(WHOLE, toml=True, now_ms=1))
    stores = (
        Store(f"sqlite:///{data / 'incidents.db'}"), DayLog(data), SqliteCheckpointStore(data / "engine.db"),
        DeadLetters(data / "dead-letters"), Archive(data / "archive", None), PointSpool(data / "results-spool.db"),
    )  # fmt: skip
    for store in stores:
        store.close()
    return data


def _line(words: str) -> list[str]:
    return [*words.split(), *WORDS.get(words, "").replace("BROKEN", "i.toml").split()]


def _told(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr()
    assert "Traceback" not in told.err + told.out
    return told.err + told.out


def _settle(here: Path, log: str, incidents: str) -> None:
    (here / "secret").write_text(PASSWORD, encoding="utf-8")
    (here / "linli.toml").write_text(AWAY.format(log=log, incidents=incidents), encoding="utf-8")


def _empty_database() -> str:
    server = shared_postgres()
    return server.url(server.create()).replace(f":{PASSWORD}@", "@")


def test_every_command_is_listed_here() -> None:
    assert set(COMMANDS) == set(LEAVES), "add the command to COMMANDS, and see what it does in each of these troubles"


@pytest.mark.parametrize("words", [words for words, row in COMMANDS.items() if row.site and "erase-site" not in words])
def test_a_site_that_is_not_there_is_named(words: str, lived: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(*words.split(), *COMMANDS[words].site.split()) == 2
    assert _told(capsys) == "linli: configuration: there is no site 'nosuch'; known are s1\n"
    assert code_of(*words.split(), *COMMANDS[words].site.replace("nosuch", "s11").split()) == 2
    assert _told(capsys) == "linli: configuration: there is no site 's11'; did you mean 's1'?\n"
    shutil.rmtree(lived)
    assert code_of(*words.split(), *COMMANDS[words].site.split()) == 2
    assert "`linli inventory load FILE` first" in _told(capsys)


def test_an_archive_without_the_site_is_left_as_it_is(lived: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("archive", "erase-site", *COMMANDS["archive erase-site"].site.split()) == 2
    assert _told(capsys) == "linli: configuration: the archive has no key for site nosuch; it has: []\n"
    assert (lived / "archive").is_dir()


def test_every_command_that_takes_a_site_is_tried_with_another() -> None:
    takes = {words for words, command in LEAVES.items() if any(p.name == "site" for p in command.params)}
    assert takes <= {words for words, row in COMMANDS.items() if row.site}


@pytest.mark.parametrize("words", COMMANDS)
def test_read_only_data_are_told_in_one_sentence(words: str, lived: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in [*lived.rglob("*"), lived]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    with without_overrides():
        assert code_of(*_line(words)) == COMMANDS[words].read_only
    told = _told(capsys)
    if COMMANDS[words].read_only == 1 and words not in {"doctor", "ingest forget"}:
        assert "linli-data" in told
        assert told.count("linli: ") == 1
    assert "is damaged" not in told  # nobody should move away what is whole
    assert "restore it" not in told


@pytest.mark.service
@pytest.mark.parametrize("words", [words for words, row in COMMANDS.items() if isinstance(row.empty, int)])
def test_an_empty_postgresql_is_no_surprise(words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = _empty_database()
    _settle(here, "sqlite:///linli-data", url)
    assert code_of(*_line(words)) == COMMANDS[words].empty
    told = _told(capsys)
    if words == "doctor":
        assert "fail  incidents: " in told
        assert "fail  inventory: postgresql://" in told
        with closing(open_database(url.replace("@", f":{PASSWORD}@"))) as database, database.read() as connection:
            assert inspect(connection).get_table_names() == []  # it looks, and makes nothing
            assert "inventory" not in inspect(connection).get_schema_names()


@pytest.mark.parametrize("words", [words for words, row in COMMANDS.items() if isinstance(row.away, int)])
def test_a_server_that_is_away_is_named(
    words: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.cluster.ANSWER_S", 0.5)
    log = "kafka://127.0.0.1:1" if words in KAFKA_SERVED else "sqlite:///linli-data"
    _settle(here, log, "postgresql://linli@127.0.0.1:1/linli")
    line = ["simulate", "--seed", "1", "--sites", "1", "--mqtt", "mqtt://127.0.0.1:1"]
    assert code_of(*(line if words == "simulate" else _line(words))) == COMMANDS[words].away
    told = _told(capsys)
    if COMMANDS[words].away == 1:
        assert "127.0.0.1:1" in told
        assert words == "doctor" or told.count("linli: ") == 1


@pytest.mark.service
def test_a_check_of_tables_that_are_not_there_is_a_line_of_the_doctor() -> None:
    url = _empty_database().replace("@", f":{PASSWORD}@")

    def look() -> Iterator[CheckResult]:
        with closing(open_database(url)) as database, database.read() as connection:
            yield ok("readers", str(current(connection, "intake/x")))

    (line,) = lines_of([Check("readers", look, "start them")])
    assert (line.level, line.remedy) == (Level.FAIL, "start them")
    assert "does not exist" in line.detail
    assert "\n" not in line.detail
    with pytest.raises(ProgrammingError):
        list(look())


def test_an_error_of_ours_in_a_check_is_shown_whole() -> None:
    def look() -> Iterator[CheckResult]:
        yield ok("x", str(1 // len("")))

    with pytest.raises(ZeroDivisionError):
        list(lines_of([Check("x", look, "")]))


def test_a_hold_is_put_on_an_incident_by_the_number_that_people_see(
    lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = ["hold", "add", "--site", "s1", "--reason", "proof", "--incident"]
    with closing(Store(f"sqlite:///{lived / 'incidents.db'}")) as store:
        Intake(store, make_directory(), finding_facts(), ["console"]).take([(1, make_finding())])
        with store.read() as connection:
            ((incident_id, number),) = connection.execute(select(incidents.c.incident_id, incidents.c.number)).all()
    for named in (number, incident_id):
        assert exit_code([*hold, named]) == 0
    _told(capsys)
    assert exit_code(["hold", "list"]) == 0
    assert _told(capsys).count(f"\ts1\t{incident_id}\t") == 2
    assert exit_code([*hold, "20200101-0001"]) == 2
    assert "site s1 has no incident '20200101-0001'; expected its id, or its number" in _told(capsys)
