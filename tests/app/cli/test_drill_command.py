"""``linli test-alarm`` goes through every receiver really, is marked as a drill, and is an incident nowhere."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from app.main import exit_code, linli
from contracts.secrets import Secret
from delivery.receivers.webhook.stand_in import ScriptedResponse, StandIn
from incidents.store.schema import alarms, attempts, deliveries, incidents
from incidents.store.store import Store
from ingest.session.broker import free_port
from inventory.inventory import Inventory
from tests.ingest.builders import site

SECRET = "0123456789abcdef"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hook.secret").write_text(SECRET, encoding="utf-8")
    (tmp_path / "other.secret").write_text("another secret of theirs", encoding="utf-8")
    with closing(Inventory(tmp_path / "linli-data" / "config.db")) as inventory:
        inventory.put([site("s1")])
    return tmp_path


def configure(folder: Path, **urls: tuple[str, str]) -> None:
    """Receivers by name, each with its URL and the file of its secret; only the live is told to them."""
    tables = [
        f'[[receiver]]\nkind = "webhook"\nname = "{name}"\nurl = "{url}"\nsecret_file = "{secret}"\nallow_http = true\n'
        'min_severity = "critical"\ntimeout_s = 5.0\n'
        for name, (url, secret) in urls.items()
    ]
    (folder / "linli.toml").write_text("\n".join(tables), encoding="utf-8")


def run(*words: str) -> Result:
    return CliRunner().invoke(linli, ["test-alarm", *words])


def test_a_receiver_gets_a_drill_that_it_can_tell_from_the_real_thing(here: Path) -> None:
    with StandIn(SECRET.encode()) as grid:
        configure(here, grid=(grid.url, "hook.secret"))
        first, second = run(), run("--receiver", "grid", "--site", "s1")
        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.stdout == second.stdout == "grid\tattempted\taccepted\t-\n"
        (message, other) = grid.accepted.values()  # each is counted: they are two
    told = message.incident
    assert (told.origin, told.scenario, told.site_id, told.severity) == ("drill", "test_alarm", "s1", "critical")
    assert told.number.endswith("-0000")
    assert (told.life_safety, told.building) == (False, None)
    assert other.delivery_id != message.delivery_id


def test_each_receiver_is_attempted_and_its_reason_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StandIn(SECRET.encode()) as good, StandIn(SECRET.encode()) as busy, StandIn(SECRET.encode()) as odd:
        busy.answer_next(ScriptedResponse(status=503))
        odd.answer_next(ScriptedResponse(body=b"<html>welcome</html>"))
        configure(
            here,
            good=(good.url, "hook.secret"),
            busy=(busy.url, "hook.secret"),
            odd=(odd.url, "hook.secret"),
            stranger=(good.url, "other.secret"),
            away=(f"http://127.0.0.1:{free_port()}/", "hook.secret"),
            unset=(good.url, "absent.secret"),
        )
        assert exit_code(["test-alarm"]) == 1
    told = capsys.readouterr()
    lines = {name: rest for name, *rest in (line.split("\t") for line in told.out.splitlines())}
    assert lines["good"] == ["attempted", "accepted", "-"]
    assert all(lines[name][:2] == ["attempted", "failed"] for name in ("busy", "odd", "stranger", "away"))
    assert lines["unset"][:2] == ["not attempted", "failed"]
    assert "503" in lines["busy"][2]
    assert "no receipt" in lines["odd"][2]
    assert "401" in lines["stranger"][2]
    assert "ConnectionRefused" in lines["away"][2]
    assert "absent.secret" in lines["unset"][2]
    assert told.err == "linli: 5 receivers did not take the test: nobody there would hear of an alarm now\n"


def test_nothing_of_it_is_stored_and_no_alarm_is_raised(here: Path) -> None:
    url = f"sqlite:///{here / 'linli-data' / 'incidents.db'}"
    Store(url).close()
    configure(here, away=(f"http://127.0.0.1:{free_port()}/", "hook.secret"))
    assert run().exit_code == 1
    with closing(Store(url)) as store, store.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar()
            for table in (incidents, deliveries, attempts, alarms)
        ]
    assert counts == [0, 0, 0, 0]


def test_without_a_receiver_or_with_another_name_it_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["test-alarm"]) == 2
    assert "no receiver is configured: nobody is told of any alarm" in capsys.readouterr().err
    configure(here, grid=("http://127.0.0.1:1/", "hook.secret"))
    assert exit_code(["test-alarm", "--receiver", "gird"]) == 2
    assert "no receiver is called 'gird'; did you mean 'grid'?" in capsys.readouterr().err


def test_the_short_form_of_one_webhook_is_tried_too(here: Path) -> None:
    with StandIn(SECRET.encode()) as hook:
        text = f'[webhook]\nurl = "{hook.url}"\nsecret_file = "hook.secret"\n'
        (here / "linli.toml").write_text(text, encoding="utf-8")
        assert run().stdout == "webhook\tattempted\taccepted\t-\n"
    assert Secret(SECRET).reveal() not in run().output
