"""Credentials are exchanged by command: the old ones stop, the new ones work, and nothing is lost meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.main import linli
from app.operations.rotation.exchange import SecretFile
from identity.box_credentials import BoxTokens
from ingest.session.accounts import mosquitto_hash
from inventory.inventory import Inventory
from tests.deploy.test_client_ids import ALARM, BOX, PATIENCE_S, Device, Ingest, _say
from tests.ingest.builders import site
from tests.ingest.clients import wait_until
from tests.support.broker import need_mosquitto
from tests.support.district_broker import DistrictBroker

SITE, _, NAME = BOX.split("/")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[DistrictBroker]:
    need_mosquitto()
    broker = DistrictBroker(tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that knows the boxes' site."""
    inventory = Inventory(tmp_path / "data" / "config.db")
    inventory.put([site(SITE)], now_ms=1)
    inventory.close()
    return tmp_path / "data"


def _run(folder: Path, *arguments: str, **settings: Path) -> Result:
    given = {f"LINLI_{name}": str(path) for name, path in settings.items()}
    return CliRunner().invoke(linli, list(arguments), env={"LINLI_LOG_URL": f"sqlite:///{folder}"} | given)


def test_a_new_token_of_a_box_replaces_the_old_one_at_once_and_no_other_boxs(tmp_path: Path, data: Path) -> None:
    tokens = {}
    for name, box in (("old", NAME), ("other", "box-2"), ("new", NAME)):
        out = tmp_path / name
        result = _run(data, "boxes", "rotate", SITE, box, "--token-out", str(out))
        assert result.exit_code == 0, result.output
        tokens[name] = out.read_text(encoding="utf-8").strip()
        assert tokens[name] not in result.output
        known = BoxTokens(data / "boxes.jsonl")
        assert known.box_of(tokens[name]) is not None
    assert known.box_of(tokens["old"]) is None
    assert known.box_of(tokens["other"]) is not None
    again = _run(data, "boxes", "rotate", SITE, NAME, "--token-out", str(tmp_path / "new"))
    assert "a token is never overwritten" in str(again.exception)
    assert known.box_of(tokens["new"]) is not None


@pytest.mark.service
@pytest.mark.patient
def test_a_new_password_of_a_box_replaces_the_old_one_and_ingest_loses_nothing(
    tmp_path: Path, data: Path, broker: DistrictBroker
) -> None:
    accounts, out = broker.secrets / "for-broker" / "devices", tmp_path / "new"
    ingest = Ingest(broker)
    box = Device(broker, BOX, BOX)
    box.say(f"linli/v1/{BOX}/evt", 3)
    command = ["boxes", "rotate", SITE, NAME, "--accounts", str(accounts), "--password-out", str(out)]
    result = _run(data, *command)
    assert result.exit_code == 0, result.output
    assert oct(accounts.stat().st_mode & 0o777) == "0o444"
    box.say(f"linli/v1/{BOX}/evt", 3)
    os.kill(broker.broker.pid, signal.SIGHUP)
    box.close()
    assert wait_until(lambda: _refused(broker), PATIENCE_S)
    file = broker.secrets / "linli" / f"mqtt-{BOX.replace('/', '-')}"
    file.unlink()
    file.write_text(out.read_text(encoding="utf-8"), encoding="utf-8")
    again = Device(broker, BOX, BOX)
    assert again.reason == "Success"
    again.say(f"linli/v1/{BOX}/evt", 3)
    again.close()
    _say(broker, 1)  # another account is as it was
    assert wait_until(lambda: ingest.heard(ALARM) == 1 and ingest.heard(f"linli/v1/{BOX}/evt") == 9, PATIENCE_S)
    ingest.session.stop()
    assert "a password is never overwritten" in str(_run(data, *command).exception)


def _refused(broker: DistrictBroker) -> bool:
    device = Device(broker, BOX, BOX)
    device.close()
    return device.reason == "Not authorized"


@pytest.mark.service
@pytest.mark.patient
def test_a_new_account_of_ingest_replaces_the_old_one_and_what_waits_is_kept(
    tmp_path: Path, broker: DistrictBroker
) -> None:
    """At every step ingest is away while alarms come: none is lost, though mosquitto forgets who may not log in."""
    accounts, own = broker.secrets / "for-broker" / "platform", broker.secrets / "linli" / "mqtt-ingest"
    old, command = own.read_text(encoding="utf-8"), ["secrets", "rotate", "mqtt", "--accounts", str(accounts)]
    Ingest(broker).session.stop()
    _say(broker, 2)
    heard = 0
    for finish in ([], ["--finish"]):
        result = _run(tmp_path, *command, *finish, MQTT_PASSWORD_FILE=own)
        assert result.exit_code == 0, result.output
        os.kill(broker.broker.pid, signal.SIGHUP)
        _say(broker, 2)
        ingest = Ingest(broker)
        assert wait_until(lambda n=heard, i=ingest: n + i.heard(ALARM) == 4 + n // 2, PATIENCE_S)  # type: ignore[misc]
        heard += ingest.heard(ALARM)
        ingest.session.stop()
    new = own.read_text(encoding="utf-8")
    assert (old.split(":")[0], new.split(":")[0]) == ("ingest", "ingest-b")
    assert new.strip().partition(":")[2] not in result.output
    own.unlink()
    own.write_text(old, encoding="utf-8")
    assert wait_until(lambda: _ingest_is_refused(broker), PATIENCE_S)


def test_an_exchange_of_ingests_account_is_not_begun_twice_and_survives_a_cut(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts, own = tmp_path / "platform", tmp_path / "mqtt"
    accounts.write_text("ingest:$7$101$x$y\n", encoding="utf-8")
    own.write_text("ingest:old\n", encoding="utf-8")
    command = ["secrets", "rotate", "mqtt", "--accounts", str(accounts)]
    with monkeypatch.context() as cut:
        cut.setattr(SecretFile, "take_next", lambda _: sys.exit(9))  # killed before ingest has it
        assert _run(data, *command, MQTT_PASSWORD_FILE=own).exit_code == 9
    assert (own.read_text(encoding="utf-8"), _names(accounts)) == ("ingest:old\n", ["ingest", "ingest-b"])
    assert _run(data, *command, MQTT_PASSWORD_FILE=own).exit_code == 0
    after = own.read_text(encoding="utf-8"), accounts.read_text(encoding="utf-8")
    name, password = after[0].strip().split(":")
    salt = b64decode(after[1].splitlines()[1].split("$")[3])
    assert name == "ingest-b" and after[1].splitlines()[1] == f"ingest-b:{mosquitto_hash(password, salt)}"
    again = _run(data, *command, MQTT_PASSWORD_FILE=own)  # ingest may still run as before
    assert "give --finish first" in str(again.exception)
    assert (own.read_text(encoding="utf-8"), accounts.read_text(encoding="utf-8")) == after
    assert _run(data, *command, "--finish", MQTT_PASSWORD_FILE=own).exit_code == 0
    assert _names(accounts) == ["ingest-b"]


def _names(accounts: Path) -> list[str]:
    return [line.partition(":")[0] for line in accounts.read_text(encoding="utf-8").splitlines()]


def _ingest_is_refused(broker: DistrictBroker) -> bool:
    other = Device(broker, "ingest", "another", port=broker.platform_port)
    other.close()
    return other.reason == "Not authorized"


def test_what_cannot_be_rotated_is_a_sentence_and_changes_nothing(tmp_path: Path, data: Path) -> None:
    accounts = tmp_path / "devices"
    accounts.write_text("other:$7$101$x$y\n", encoding="utf-8")
    for arguments, said in (
        (["boxes", "rotate", SITE, NAME], "nothing to rotate"),
        (["boxes", "rotate", SITE, NAME, "--accounts", str(accounts)], "are given together"),
        (
            ["boxes", "rotate", SITE, NAME, "--accounts", str(accounts), "--password-out", str(tmp_path / "out")],
            f"has no account '{BOX}'",
        ),
        (["secrets", "rotate", "mqtt", "--accounts", str(accounts)], "mqtt.password_file is empty"),
    ):
        result = _run(data, *arguments)
        assert result.exit_code != 0
        assert said in str(result.exception)
    assert accounts.read_text(encoding="utf-8") == "other:$7$101$x$y\n"
    assert not (tmp_path / "out").exists()
