"""One id leads from the device's message to the delivery, and every log line on the way carries it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from app.main import linli
from app.operations.story import Story, TracedFinding, steps_of
from app.wiring.rule_facts import finding_facts
from contracts.batch import Batch
from contracts.errors import ConfigurationError, Permanent
from contracts.findings import Fact, Finding
from contracts.hops import Hop
from contracts.incidents import DeliveryState
from delivery.deliveries import Delivery
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.recording_receiver import RecordingReceiver
from incidents.intake.intake import Intake
from incidents.intake.relays import FindingsRelay
from incidents.store.schema import deliveries, incidents
from incidents.store.store import Store
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.checkpoints.sqlite_lookup import StoredFinding
from streams.log.event_lookup import find_event
from streams.log.sqlite.day_log import DayLog
from tests.incidents.builders import T0, make_directory, make_finding
from tests.streams.support import passage


class Life:
    """A folder as ``linli run`` leaves it: an event in the log, the finding it began, its incident, its delivery."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = DayLog(folder)
        self.engine = SqliteCheckpointStore(folder / "engine.db")
        self.store = Store(f"sqlite:///{folder / 'incidents.db'}", synchronous="OFF")
        self.receiver = RecordingReceiver("hook")
        self.outbox = Outbox(self.store, self.receiver, ReceiverProfile(name="hook"))
        intake = Intake(self.store, make_directory(), finding_facts(), ["hook"], source=self.engine.identity())
        self.relay = FindingsRelay(self.engine, intake)
        self.finding = self._finding("e-7", T0 + 7_000, position=2)

    def _finding(self, event_id: str, onset_ms: int, position: int) -> Finding:
        plain = make_finding(onset_ms=onset_ms)
        facts = (Fact(code="gap_s", value=1.0, event_ids=("e-8",)),)
        return msgspec.structs.replace(plain, onset_event_id=event_id, position=position, facts=facts)

    def write_log(self, first: int = 0) -> None:
        """Records of a second each; ``e-n`` lies in one of them."""
        events = [msgspec.structs.replace(passage(f"e-{n}", 0, "g1"), at_ms=T0 + n * 1000) for n in range(10)]
        said = [msgspec.structs.replace(event, received_ms=event.at_ms + 40) for event in events]
        for n in range(first, 5):
            batch = said[2 * n : 2 * n + 2]
            self.log.append([Batch(partition=0, watermark_ms=batch[-1].received_ms, events=tuple(batch))])

    def go_all_the_way(self) -> None:
        self.write_log()
        self.engine.append_findings([self.finding])
        assert self.relay.step() == 1
        assert self.outbox.step()

    def ids(self) -> dict[str, str]:
        with self.store.read() as connection:
            incident = connection.execute(incidents.select()).one()
            delivery = connection.execute(deliveries.select()).one()
        assert delivery.state == DeliveryState.DELIVERED
        return {
            "event": "e-7",
            "event of a fact": "e-8",
            "finding": self.finding.finding_id,
            "incident": incident.incident_id,
            "number": incident.number,
            "delivery": delivery.delivery_id,
        }

    def trace(self, *arguments: str) -> Result:
        environment = {
            "LINLI_LOG_URL": f"sqlite:///{self.folder}",
            "LINLI_INCIDENTS_URL": f"sqlite:///{self.folder / 'incidents.db'}",
        }
        return CliRunner().invoke(linli, ["trace", *arguments], env=environment)

    def close(self) -> None:
        self.log.close()
        self.engine.close()
        self.store.close()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path)
    yield life
    life.close()


@pytest.mark.parametrize("kind", ["event", "finding", "incident", "number", "delivery"])
def test_every_id_on_the_way_leads_over_all_hops(life: Life, kind: str) -> None:
    life.go_all_the_way()
    result = life.trace(life.ids()[kind])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines] == [
        "device", "accepted", "log", "finding", "taken", "incident", "delivery", "attempt",
    ]  # fmt: skip
    hops = (Hop.DEVICE_TO_ACCEPTED, Hop.ACCEPTED_TO_DURABLE, Hop.DUE_TO_DECIDED, Hop.DECIDED_TO_INCIDENT)
    found = [hop for hop in Hop for line in lines if f" {hop} " in line]
    assert set(found) == {*hops, Hop.INCIDENT_TO_DELIVERED}
    assert "+0.040 s" in lines[1]
    assert "partition=0 position=3" in lines[2]
    assert result.stderr == "trace=e-7\n"


def test_an_event_that_a_finding_only_rests_on_leads_there_too(life: Life) -> None:
    life.go_all_the_way()
    result = life.trace("e-8", "--json")
    steps = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert "event=e-8" in steps[0]["detail"]
    assert {step["what"] for step in steps} >= {"finding", "incident", "attempt"}
    assert result.stderr == "trace=e-7\n"  # the one its incident is logged under


def test_what_is_not_there_yet_or_no_longer_is_said(life: Life) -> None:
    life.write_log()
    assert life.trace("e-3").stderr == "trace=e-3\nno finding rests on it\n"
    life.engine.append_findings([life.finding])
    waiting = life.trace(life.finding.finding_id)
    assert [line.split()[1] for line in waiting.stdout.splitlines()] == ["device", "accepted", "log", "finding"]
    assert "not an incident's yet" in waiting.stderr
    unknown = life.trace("no-such-id")
    assert isinstance(unknown.exception, Permanent)
    assert "'no-such-id'" in str(unknown.exception)


def test_an_event_gone_from_the_log_is_said_and_the_rest_is_shown(life: Life) -> None:
    life.write_log(first=4)  # e-7 was in a day file that is gone
    life.engine.append_findings([life.finding])
    life.relay.step()
    result = life.trace("e-7")
    assert [line.split()[1] for line in result.stdout.splitlines()][:2] == ["finding", "taken"]
    assert "e-7 is no longer in the log" in result.stderr


def test_without_stores_it_says_which_setting_names_them(tmp_path: Path) -> None:
    environment = {"LINLI_LOG_URL": f"sqlite:///{tmp_path / 'none'}"}
    result = CliRunner().invoke(linli, ["trace", "e-1"], env=environment)
    assert isinstance(result.exception, ConfigurationError)
    assert "log.url" in str(result.exception)
    assert not (tmp_path / "none").exists()


def test_log_lines_of_incidents_and_deliveries_carry_the_event_it_began_with(life: Life) -> None:
    with capture_logs() as lines:
        life.go_all_the_way()
    about = [line for line in lines if {"incident", "delivery", "finding"} & set(line)]
    assert [line["event"] for line in about] == ["incident_opened", "delivery_attempt"]
    assert {line["trace"] for line in about} == {"e-7"}


def test_a_refused_delivery_is_logged_under_the_same_id(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_delivery: Delivery) -> None:
        raise Permanent("no")

    monkeypatch.setattr(life.receiver, "send", refuse)
    with capture_logs() as lines:
        life.go_all_the_way()
    assert [(line["trace"], line["outcome"]) for line in lines if line["event"] == "delivery_attempt"] == [
        ("e-7", "rejected")
    ]


def test_what_was_judged_again_later_has_no_latency(life: Life) -> None:
    life.write_log()
    event, day_ms = find_event(life.log, "e-7"), 86_400_000
    assert event is not None
    copied = msgspec.structs.replace(event, record_ms=T0 + day_ms)
    again = TracedFinding(StoredFinding(life.finding, T0 + day_ms), T0 + 9_000)
    steps = steps_of(Story("e-7", copied, (again,)))
    assert [step.what for step in steps] == ["device", "accepted", "log", "finding", "taken"]
    assert all(step.took_ms is None or step.took_ms >= 0 for step in steps)
    assert (steps[2].hop, steps[3].hop, steps[4].hop) == (None, None, Hop.DUE_TO_INCIDENT)
    assert "copied then" in steps[2].detail and "judged again then" in steps[3].detail
    written = msgspec.structs.replace(event, record_ms=T0 + 7_100)
    assert steps_of(Story("e-7", written, (again,)))[2].hop is Hop.ACCEPTED_TO_DURABLE
