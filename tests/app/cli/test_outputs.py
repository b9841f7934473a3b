"""Commands that write files: on a full disk nothing is left half-way, and the message names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.main import linli
from contracts.errors import ConfigurationError, Permanent
from tests.support.small_disk import small_disk


def _run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(linli, list(arguments), env={"LINLI_LOG_URL": f"sqlite:///{folder}"})


def test_a_token_that_has_no_room_leaves_no_file_and_names_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        out = disk.folder / "box.token"
        disk.fill()
        result = _run(tmp_path / "data", "edge", "token", "--box", "b1", "--site", "s1", "--out", str(out))
        assert isinstance(result.exception, ConfigurationError)
        assert f"{out} cannot be written: No space left" in str(result.exception)
        assert not out.exists()
        disk.free()
        again = _run(tmp_path / "data", "edge", "token", "--box", "b1", "--site", "s1", "--out", str(out))
        assert again.exit_code == 0, again.output


def test_a_folder_without_a_manifest_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    (source / "2026").mkdir(parents=True)
    (source / "2026" / "a.jpg").symlink_to("/dev/zero")  # whoever copies this meets it first
    result = _run(tmp_path / "data", "restore", str(source))
    assert isinstance(result.exception, Permanent)
    assert f"{source} is no whole backup: it has no manifest.json" in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_a_backup_that_has_no_room_says_where(tmp_path: Path) -> None:
    source = tmp_path / "backup"
    source.mkdir()
    (source / "manifest.json").write_text("{}", encoding="utf-8")
    (source / "incidents.db").write_bytes(bytes(2_000_000))
    with small_disk(tmp_path / "disk", 1) as disk:
        result = _run(disk.folder / "data", "restore", str(source))
        assert isinstance(result.exception, Permanent)
        assert f"{source} was not put back: {disk.folder}" in str(result.exception)
        assert "No space left" in str(result.exception)
        assert list(disk.folder.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "load"])
def test_a_long_inventory_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr("app.cli.inventory.TELL_EVERY", 10)
    file = tmp_path / "long.jsonl"
    rows = [f'{{"kind": "site_configured", "site_id": "s{n}", "name": "Willow Court"}}' for n in range(25)]
    file.write_text("\n".join(rows), encoding="utf-8")
    result = _run(tmp_path / "data", "inventory", command, str(file))
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if line.endswith("rows read")]
    assert told == [f"{file}: {n} rows read" for n in (10, 20)]
