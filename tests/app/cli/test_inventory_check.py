"""``linli inventory check`` and ``load``: every fault of a file, exit code 1, and nothing half written."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.doctor import command as doctor
from app.main import exit_code, linli
from inventory.file_import import parse_inventory
from inventory.inventory import Inventory
from tests.inventory.test_file_check import WHOLE

WRONG = (
    WHOLE + '[[device]]\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "nowhere-at-all"\nsilent_after_ms = 180\n'
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(linli, ["inventory", *words])


def test_faults_go_to_stdout_by_line_and_nothing_is_made(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "i.toml").write_text(WRONG, encoding="utf-8")
    assert exit_code(["inventory", "check", "i.toml"]) == 1
    told = capsys.readouterr()
    assert [line.partition(":")[0] for line in told.out.splitlines()] == ["line 27", "line 28"]
    assert told.err == "linli: i.toml: 2 faults; nothing was written\n"
    assert list(here.iterdir()) == [here / "i.toml"]


def test_a_file_with_one_fault_is_not_loaded_at_all(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "i.toml").write_text(WRONG, encoding="utf-8")
    assert exit_code(["inventory", "load", "i.toml"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.partition(":")[0] for line in told.err.splitlines()] == ["line 27", "line 28", "linli"]
    assert run("list").stdout == ""
    (here / "i.toml").write_text(WHOLE, encoding="utf-8")
    assert exit_code(["inventory", "load", "i.toml"]) == 0


def test_what_is_right_is_shown_by_site_and_class(here: Path) -> None:
    (here / "i.TOML").write_text(WHOLE, encoding="utf-8-sig")
    result = run("check", "i.TOML")
    assert result.stdout == "site\tclass\tdevices\tsilence_limit\tbox\ns1\tcam\t1\t1\t1\ns1\tedge\t1\t0\t0\n"
    assert (result.exit_code, result.stderr) == (0, "i.TOML: 5 records, nothing wrong\n")


def test_a_part_is_checked_beside_what_was_loaded_before(here: Path) -> None:
    (here / "whole.toml").write_text(WHOLE, encoding="utf-8")
    part = 'site_id = "s1"\n[[device]]\ndevice_id = "g"\ndevice_class = "gate"\nplace_id = "door"\n'
    (here / "part.toml").write_text(part, encoding="utf-8")
    assert exit_code(["inventory", "check", "part.toml"]) == 1
    assert run("load", "whole.toml").exit_code == 0
    assert run("check", "part.toml").exit_code == run("load", "part.toml").exit_code == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_mark_of_an_editor_changes_nothing(encoding: str, here: Path) -> None:
    (here / "i.toml").write_text(WHOLE.replace("Willow", "绿洲").replace("\n", "\r\n"), encoding=encoding)
    (here / "linli.toml").write_text("[console]\r\nport = 8088\r\n", encoding=encoding)
    assert run("load", "i.toml").exit_code == 0
    inventory = Inventory(here / "linli-data" / "config.db")
    assert [site.name for site in inventory.sites()] == ["绿洲 Court"]
    inventory.close()


def test_gbk_is_explained_in_one_sentence_wherever_people_write(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "i.toml").write_bytes(WHOLE.replace("Willow", "绿洲").encode("gbk"))
    for command in ("check", "load"):
        assert exit_code(["inventory", command, "i.toml"]) == 1
        told = capsys.readouterr()
        assert (told.out + told.err).count("i.toml is not UTF-8 in line 3: it reads as GBK; save it as UTF-8") == 1
    (here / "linli.toml").write_bytes("# 绿洲\n".encode("gbk"))
    (here / "box.toml").write_bytes("# 绿洲\n".encode("gbk"))
    for line in (["check-config"], ["edge", "run", "--config", "box.toml", "--check"]):
        assert exit_code(line) == 2
        assert "is not UTF-8 in line 1: it reads as GBK; save it as UTF-8" in capsys.readouterr().err


def test_the_doctor_tells_what_is_wrong_with_an_inventory_of_before(here: Path) -> None:
    inventory = Inventory(here / "linli-data" / "config.db")
    inventory.put(parse_inventory(WHOLE, toml=True, now_ms=1))
    told = CliRunner().invoke(doctor, [], env={"LINLI_MQTT_URL": "mqtt://127.0.0.1:1"}).stdout
    assert "ok    inventory: 1 sites, 2 devices" in told
    assert "warn  inventory" not in told
    wrong = WHOLE.replace('parent_id = "b1"', 'parent_id = "nowhere-at-all"').replace("180000", "180")
    inventory.put(parse_inventory(wrong, toml=True, now_ms=1))
    inventory.close()
    told = CliRunner().invoke(doctor, [], env={"LINLI_MQTT_URL": "mqtt://127.0.0.1:1"}).stdout
    assert "warn  inventory: s1: device 'cam': silent_after_ms = 180: expected 10000 (10 s) to 31 days" in told
    assert "warn  inventory: s1: place 'door': parent_id = 'nowhere-at-all': there is no such place" in told
    assert told.count("warn  inventory") == 2
